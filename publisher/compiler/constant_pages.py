"""Where weights lie in a module's memory: many of them on pages of their own, whose ends the module exports.

The enclave keeps such pages from being written, and has less to put back after each request (guests/README.md).
"""

from typing import Final

from publisher.compiler.planning.memory import ALIGNMENT

WEIGHTS: Final = "weights.bin"
PAGE_BYTES: Final = 4096
MANY_BYTES: Final = 32 * 1024
CONSTANT_ENDS: Final = ("sealedge_constant_start", "sealedge_constant_end")
"""Nothing that is ever written lies between these."""


def weights_declared(weights: bytes | bytearray) -> tuple[str, ...]:
    """The C that declares `weights`, which are the file `weights.bin`."""
    content = f'#embed "{WEIGHTS}" if_empty(0)'
    if not are_many(weights):
        return (f"static const unsigned char weights[] __attribute__((aligned({ALIGNMENT}))) = {{", content, "};")
    start, end = CONSTANT_ENDS
    where = f'__attribute__((visibility("hidden"), section("constants"), aligned({PAGE_BYTES})))'
    # What has a section of its own lies there in the order of the source.
    return (
        f'const unsigned char weights[] __asm__("{start}") {where} = {{',
        content,
        "};",
        f'const unsigned char weights_end[1] __asm__("{end}") {where} = {{0}};',
    )


def are_many(weights: bytes | bytearray) -> bool:
    """Whether they are worth pages of their own: fewer are as quickly written anew for each request."""
    return len(weights) >= MANY_BYTES
