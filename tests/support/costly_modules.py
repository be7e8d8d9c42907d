"""Valid modules that cost a compiler more than they should."""

from tests.support.wat_modules import ECHO, performing


def slow_to_compile() -> bytes:
    """A valid module of 150 KiB: thousands of variables that live across thousands of calls."""
    set_all = "".join(f"(local.set {place} (i32.load (i32.const {4 * place})))" for place in range(3000))
    use_all = "".join(f"(i32.store (i32.const {4 * place}) (local.get {place}))" for place in range(3000))
    calls = "(call $g) (if (local.get 3) (then (local.set 2 (local.get 1))))" * 6000
    return performing(ECHO, f"(func $g) (func (local {'i32 ' * 3000}) {set_all} (loop {calls} {use_all} (br 0)))")


def large_to_compile() -> bytes:
    """A valid module of half a MiB: one function that never branches."""
    step = "(i32.store (local.get 0) (i32.mul (i32.load (local.get 1)) (i32.load (local.get 2))))"
    return performing(ECHO, f"(func (param i32 i32 i32) {step * 30_000})")
