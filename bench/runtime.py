"""`python -m bench.runtime`: what limits cost, what putting an instance back costs, and what a second core brings.

limits/none heavy        a GEMM, a depthwise convolution and a byte sum in one module, against the same machine
                         code without any check (`limits/none gemm`: the GEMM alone; `scalar`: the byte sum alone)
epochs/none heavy        the same with wasmtime's own epoch checks, which the enclave uses for components alone
kept/new ...             a run of a module whose instances are put back and used again, against a run of one with the
                         same memory and entry whose instances cannot be (`CASES` has them)
two threads/one          calls a second from two threads and from one
"""

import hashlib
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import wasmtime

from bench.table import Row, ratio, show
from edge_agent.enclave.compiling.engine import FEATURES, MAX_STACK_BYTES
from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.rewriting.constants import CONSTANT_END, CONSTANT_START
from edge_agent.enclave.running.runtime import AnyModule, Runtime
from guests.toolchain import compile_c

KERNELS: Final = Path(__file__).with_name("kernels.c")
REPETITIONS: Final = {"heavy": 20, "gemm": 60, "scalar": 200}
REQUESTS: Final = 20
NOT_KEPT: Final = '(data $never "never") (func (data.drop $never))'
"""Code that may drop a segment, though it is never called: the runtime cannot put such a module's instances back."""
TIMES: Final = 50
Act = Callable[[], object]


def rows(runs: int) -> list[Row]:
    """All of them, from one runtime."""
    runtime = Runtime(Limits(max_seconds=60))
    found = [*limits(runtime, runs), *kept(runtime, runs), *two_threads(runtime, runs)]
    runtime.close()
    return found


def limits(runtime: Runtime, runs: int) -> list[Row]:
    rows: list[Row] = []
    for name, repetitions in REPETITIONS.items():
        module, data = built(name), struct.pack("<I", repetitions)
        limited, bare, epochs = runtime.load(module), Bare(module, False), Bare(module, True)
        acts: dict[str, Act] = {
            "limits": lambda m=limited, d=data: m.run(d),
            "none": lambda m=bare, d=data: m.run(d),
            "epochs": lambda m=epochs, d=data: m.run(d),
        }
        taken = in_turn(acts, runs)
        rows += [ratio(f"{each}/none {name}", taken[each], taken["none"], "ms", 1e3) for each in ("limits", "epochs")]
    return rows


class Bare:
    """wasmtime with the enclave's settings, in one instance that nobody puts back; only epochs may end a run."""

    def __init__(self, module: bytes, epochs: bool) -> None:
        config = wasmtime.Config()
        for name, enabled in {**FEATURES, "epoch_interruption": epochs}.items():
            setattr(config, name, enabled)
        config.max_wasm_stack = MAX_STACK_BYTES
        self._engine = wasmtime.Engine(config)
        linked = wasmtime.Linker(self._engine).instantiate_pre(wasmtime.Module(self._engine, module))
        self._store = wasmtime.Store(self._engine)
        if epochs:
            self._store.set_epoch_deadline(10**9)
        self._exports = linked.instantiate(self._store).exports(self._store)

    def run(self, data: bytes) -> bytes:
        """As a core module with fixed buffers is run."""
        store, exports = self._store, self._exports
        memory = exports["memory"]
        memory.write(store, data, exports["input"](store))
        length = exports["infer"](store)
        at = exports["output"](store)
        return bytes(memory.read(store, at, at + length))


@dataclass(frozen=True, slots=True)
class Case:
    """A module with a page of its own, so many KiB that it may write, so many that it names as constants.

    `data` is whether all of it is initial data, none of it zero. Of each page of this, one word is read, or written.
    """

    kibibytes: int
    constants: bool
    data: bool
    act: str

    def module(self, others: str = "") -> bytes:
        """With fixed buffers of no length."""
        names = ("input", "input_size", "output", "output_size")
        globals_ = "".join(f'(global (export "{name}") i32 (i32.const 0))' for name in names)
        end = 65_536 + (self.kibibytes << 10)
        if self.constants:
            ends = zip((CONSTANT_START, CONSTANT_END), (65_536, end), strict=True)
            globals_ += "".join(f'(global (export "{name}") i32 (i32.const {at}))' for name, at in ends)
        text = "0123456789abcdef" * (self.kibibytes << 6)
        initial = f'(data (i32.const 65536) "{text}")' if self.data else ""
        memory = f'(memory (export "memory") {-(-end // 65_536)})'
        return bytes(wasmtime.wat2wasm(f"(module {memory} {globals_} {self._entry(end)} {initial} {others})"))

    def _entry(self, end: int) -> str:
        touch = {
            "nothing": "",
            "read": "(local.set $sum (i32.add (local.get $sum) (i32.load (local.get $at))))",
            "write": "(i32.store (local.get $at) (i32.const -1))",
        }[self.act]
        loop = f"""(loop $next {touch} (local.set $at (i32.add (local.get $at) (i32.const 4096)))
          (br_if $next (i32.lt_u (local.get $at) (i32.const {end}))))"""
        return f"""(func (export "infer") (result i32) (local $at i32) (local $sum i32)
          (local.set $at (i32.const 65536)) {loop if touch else ""} (i32.eq (local.get $sum) (i32.const 0x12345678)))"""


CASES: Final = {
    "small": Case(0, constants=False, data=False, act="nothing"),
    "14 MB constants": Case(14 << 10, constants=True, data=True, act="nothing"),
    "14 MB constants, all read": Case(14 << 10, constants=True, data=True, act="read"),
    "1 MB data, all read": Case(1 << 10, constants=False, data=True, act="read"),
    "14 MB data, all read": Case(14 << 10, constants=False, data=True, act="read"),
    "14 MB data": Case(14 << 10, constants=False, data=True, act="nothing"),
    "1 MB, all written": Case(1 << 10, constants=False, data=False, act="write"),
    "1 MB": Case(1 << 10, constants=False, data=False, act="nothing"),
    "14 MB, all written": Case(14 << 10, constants=False, data=False, act="write"),
    "14 MB": Case(14 << 10, constants=False, data=False, act="nothing"),
}


def kept(runtime: Runtime, runs: int) -> list[Row]:
    """Call, reset and all."""
    rows: list[Row] = []
    for name, case in CASES.items():
        modules = {"kept": runtime.load(case.module()), "new": runtime.load(case.module(NOT_KEPT))}
        taken = in_turn({each: many(module, TIMES) for each, module in modules.items()}, runs)
        rows.append(ratio(f"kept/new {name}", taken["kept"], taken["new"], "µs", 1e6 / TIMES))
    return rows


def many(module: AnyModule, times: int) -> Act:
    return lambda: [module.run(b"") for _ in range(times)]


def two_threads(runtime: Runtime, runs: int) -> list[Row]:
    """And the same with SHA-256 in place of a module: what this machine has to give while others use it, too."""
    module, data, message = runtime.load(built("heavy")), struct.pack("<I", REPETITIONS["heavy"]), bytes(20_000_000)
    acts: dict[str, Act] = {}
    for name, act in (("", lambda: module.run(data)), (" sha256", lambda: hashlib.sha256(message).digest())):
        acts[f"one{name}"], acts[f"two{name}"] = in_threads(act, 1), in_threads(act, 2)
    rates = {name: [REQUESTS / seconds for seconds in each] for name, each in in_turn(acts, runs).items()}
    return [
        ratio(f"two threads/one{name}", rates[f"two{name}"], rates[f"one{name}"], "calls/s") for name in ("", " sha256")
    ]


def in_threads(act: Act, count: int) -> Act:
    def work() -> None:
        for _ in range(REQUESTS // count):
            act()

    def together() -> None:
        threads = [threading.Thread(target=work) for _ in range(count)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    return together


def built(name: str) -> bytes:
    """One of the kernels' modules: `heavy` has all of them."""
    with tempfile.TemporaryDirectory() as scratch:
        source, output = Path(scratch, "kernels.c"), Path(scratch, "kernels.wasm")
        define = "" if name == "heavy" else f"#define ONLY_{name.upper()}\n"
        unused = '#pragma clang diagnostic ignored "-Wunused-function"\n'
        source.write_text(f"{define}{unused}{KERNELS.read_text('utf-8')}", "utf-8")
        compile_c(source, output)
        return output.read_bytes()


def in_turn(acts: dict[str, Act], runs: int) -> dict[str, list[float]]:
    """Seconds of each run of each act, in turn, so that the machine's drift meets all of them."""
    taken: dict[str, list[float]] = {name: [] for name in acts}
    for act in acts.values():
        act()
    for _ in range(runs):
        for name, act in acts.items():
            started = time.perf_counter()
            act()
            taken[name].append(time.perf_counter() - started)
    return taken


if __name__ == "__main__":
    print(show(rows(15)))
