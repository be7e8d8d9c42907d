"""The C compiler is ended with all that it started, and not given what it could not compile."""

import os
import time
from pathlib import Path

import pytest

from protocol.errors import ConfigurationError
from publisher.compiler import toolchain
from publisher.compiler.emission import Program
from publisher.compiler.toolchain import SOURCE_BYTES, compile_program


def program(source: str) -> Program:
    return Program(source, b"", 0, 0, 0, 0, ())


def running_with(word: str) -> list[int]:
    """Processes that were started with a word among their arguments."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [int(each.parent.name)] if word.encode() in each.read_bytes().split(b"\0") else []
        except OSError:
            continue
    return found


def test_a_compiler_that_takes_too_long_is_ended_with_what_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = f"-DMARK_{os.getpid()}"
    monkeypatch.setattr(toolchain, "COMPILER_SECONDS", 0.4)
    monkeypatch.setattr(toolchain, "COMMON", (*toolchain.COMMON, mark))
    body = "for (int i = 0; i < n; i++) for (int j = 0; j < n; j++) s += x[i + {0}] * x[j * {0}];"
    functions = (
        f"float f{at}(float *x, int n) {{ float s = 0; {body.format(at % 7 + 1)} return s; }}" for at in range(9000)
    )
    with pytest.raises(ConfigurationError, match="did not end within"):
        compile_program(program("\n".join(functions)))
    # Killed they are; on a busy machine the system takes a moment to clear them away.
    for _ in range(100):
        if not running_with(mark):
            return
        time.sleep(0.05)
    pytest.fail("the compiler went on")


def test_a_compiler_that_fails_is_quoted_in_one_line() -> None:
    with pytest.raises(ConfigurationError, match="the C compiler failed with 1") as refused:
        compile_program(program("int f(void) { return missing; }"))
    assert "\n" not in str(refused.value)
    assert "missing" in str(refused.value)


def test_more_c_than_can_be_compiled_is_refused_before() -> None:
    with pytest.raises(ConfigurationError, match="too many layers"):
        compile_program(program(" " * (SOURCE_BYTES + 1)))
