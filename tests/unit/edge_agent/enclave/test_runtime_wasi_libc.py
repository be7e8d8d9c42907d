"""A guest with a whole C library in it finds the imports it links, and nothing behind them."""

import os
import subprocess
import sys

import pytest

from protocol.errors import EnclaveError

GUEST = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int constructed;
__attribute__((constructor)) static void construct(void) { constructed = 1; }

__attribute__((export_name("perform_inference")))
int perform_inference(const char *input, unsigned length, char *output, unsigned capacity) {
  char *copy = malloc(length + 1000000);
  if (!copy) return -2;
  printf("%d %d %lld\n", constructed, fopen("/etc/hostname", "r") || getenv("PATH"), (long long)time(0));
  fflush(stdout);
  memset(copy, 'x', length + 1000000);
  for (unsigned i = 0; i < length; i++) copy[i] = input[length - 1 - i];
  if (length == 4) exit(0);
  memcpy(output, copy, length);
  return length;
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("allocator", [[], ["-Wl,--export=malloc"]], ids=["new pages", "malloc"])
def test_a_guest_with_a_c_library(load, tmp_path, tmp_path_factory, allocator):
    # The compiler builds its C library once and keeps it in the home directory.
    home = str(tmp_path_factory.getbasetemp())
    source, module = tmp_path / "guest.c", tmp_path / "guest.wasm"
    source.write_text(GUEST)
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-O2", "-s"]
    subprocess.run([*command, *allocator, source, "-o", module], check=True, env={**os.environ, "HOME": home})
    guest = load(module.read_bytes())
    for data in (b"reversed", bytes(range(256)) * 100):
        log = bytearray()
        assert guest.run(data, log) == data[::-1]
        assert log == b"1 0 0\n"
    with pytest.raises(EnclaveError, match="exited"):
        guest.run(b"exit")
