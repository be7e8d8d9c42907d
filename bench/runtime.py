"""`python -m bench.runtime`: what limits and fresh instances cost, and what a second core brings.

limits/none heavy        a GEMM, a depthwise convolution and a byte sum in one module, against the same machine
                         code without any check (`limits/none gemm`: the GEMM alone; `scalar`: the byte sum alone)
epochs/none heavy        the same with wasmtime's own epoch checks, which the enclave uses for components alone
reset 14 MB weights      what the next line's difference is, in microseconds; and the same where all are read
fresh 14 MB/fresh small  a run of a module that does nothing, with 14 MB of initial data and without
read 14 MB/read again    a run that reads one word of each of those pages, against the same in one kept instance
two threads/one          calls a second from two threads and from one
"""

import hashlib
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import wasmtime

from bench.table import Row, figure, ratio, show
from edge_agent.enclave.engine import FEATURES, MAX_STACK_BYTES
from edge_agent.enclave.limits import Limits
from edge_agent.enclave.runtime import AnyModule, Runtime
from guests.toolchain import compile_c

KERNELS: Final = Path(__file__).with_name("kernels.c")
REPETITIONS: Final = {"heavy": 20, "gemm": 60, "scalar": 200}
MEGABYTES: Final = 14
REQUESTS: Final = 20
Act = Callable[[], object]


def rows(runs: int) -> list[Row]:
    """All of them, from one runtime."""
    runtime = Runtime(Limits(max_seconds=60))
    found = [*limits(runtime, runs), *fresh(runtime, runs), *two_threads(runtime, runs)]
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
    """wasmtime with the enclave's settings, in fresh instances too; nothing ends a run but epochs, if at all."""

    def __init__(self, module: bytes, epochs: bool) -> None:
        config = wasmtime.Config()
        for name, enabled in {**FEATURES, "epoch_interruption": epochs}.items():
            setattr(config, name, enabled)
        config.max_wasm_stack = MAX_STACK_BYTES
        self._engine = wasmtime.Engine(config)
        self._linked = wasmtime.Linker(self._engine).instantiate_pre(wasmtime.Module(self._engine, module))
        self._epochs = epochs

    def run(self, data: bytes) -> bytes:
        """As a core module with fixed buffers is run."""
        store = wasmtime.Store(self._engine)
        if self._epochs:
            store.set_epoch_deadline(10**9)
        exports = self._linked.instantiate(store).exports(store)
        memory = exports["memory"]
        memory.write(store, data, exports["input"](store))
        length = exports["infer"](store)
        at = exports["output"](store)
        output = bytes(memory.read(store, at, at + length))
        store.close()
        return output


def fresh(runtime: Runtime, runs: int) -> list[Row]:
    small, large, reading = (
        runtime.load(holding(*each)) for each in ((0, False), (MEGABYTES, False), (MEGABYTES, True))
    )
    kept = Kept(holding(MEGABYTES, True))
    taken = in_turn(
        {
            "small": many(small, 100),
            "large": many(large, 100),
            "read": many(reading, 100),
            "again": lambda: [kept.run() for _ in range(100)],
        },
        runs,
    )
    more = [large - small for large, small in zip(taken["large"], taken["small"], strict=True)]
    reading_more = [read - again for read, again in zip(taken["read"], taken["again"], strict=True)]
    name = f"reset {MEGABYTES} MB weights"
    return [
        figure(name, more, "µs", 1e4, "a fresh instance and its end, beyond those of a module without weights"),
        figure(
            f"{name}, all read", reading_more, "µs", 1e4, "one word of each page is read, beyond that in one instance"
        ),
        ratio(f"fresh {MEGABYTES} MB/fresh small", taken["large"], taken["small"], "µs", 1e4),
        ratio(f"read {MEGABYTES} MB/read again", taken["read"], taken["again"], "µs", 1e4),
    ]


class Kept(Bare):
    """One instance for all runs: what no enclave may do."""

    def __init__(self, module: bytes) -> None:
        super().__init__(module, False)
        self._store = wasmtime.Store(self._engine)
        self._exports = self._linked.instantiate(self._store).exports(self._store)

    def run(self, _data: bytes = b"") -> bytes:
        """Only the call."""
        self._exports["infer"](self._store)
        return b""


def holding(megabytes: int, reads: bool) -> bytes:
    """A module with so much initial data, none of it zero, of which each page is read or none."""
    end = (megabytes << 20) if reads else 4096
    text = f"""(module (memory (export "memory") {16 * megabytes + 2})
      (global (export "input") i32 (i32.const 0)) (global (export "input_size") i32 (i32.const 0))
      (global (export "output") i32 (i32.const 0)) (global (export "output_size") i32 (i32.const 0))
      (func (export "infer") (result i32) (local $at i32) (local $sum i32)
        (loop $next
          (local.set $sum (i32.add (local.get $sum) (i32.load offset=65536 (local.get $at))))
          (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4096))) (i32.const {end}))))
        (i32.eq (local.get $sum) (i32.const 0x12345678)))
      {f'(data (i32.const 65536) "{"0123456789abcdef" * (megabytes << 16)}")' if megabytes else ""})"""
    return bytes(wasmtime.wat2wasm(text))


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
