"""Runs libFuzzer on one target: in a child of a process that has imported and instrumented everything once.

A child ends when its time is over or at the first fault. What it said stays in `.fuzz/log`.
"""

import os
import re
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from tests.fuzz.bounds import MAX_BYTES
from tests.fuzz.corpus import folder, lay_out, named
from tests.fuzz.mutating import mutated

ROOMS: Final = ["protocol", "schemas", "verifier", "edge_agent", "publisher", "sealedge", "tests.fuzz.planted"]
"""What counts as code that an input may reach."""

MEGABYTES: Final = 1536
"""Of memory that a child may take in all; a single input may take what `tests.fuzz.bounds` says."""


HANGING_SECONDS: Final = 120
"""By the clock on the wall, for what no signal handler of Python's ends: far more than an input's CPU time may last."""

HANGING: Final = "planted:loops-in-c"
PLANTED_HANGING_SECONDS: Final = 5


@dataclass(frozen=True)
class Outcome:
    """What came of one target. `found` is the error's name, `timeout` or `out-of-memory`; empty where nothing was."""

    target: str
    runs: int
    coverage: int
    features: int
    corpus: int
    found: str
    said: str
    replay: str

    @property
    def is_clean(self) -> bool:
        """Whether it ran at all, and nothing was found."""
        return self.runs > 0 and not self.found

    @property
    def line(self) -> str:
        """For people."""
        shown = f"{'ok' if self.is_clean else 'FAULT':5} {self.runs:>9} runs {self.coverage:>5} edges"
        shown += f" {self.features:>6} features {self.corpus:>5} inputs  {self.target}"
        return shown if self.is_clean else f"{shown}\n      {self.said}\n      {self.replay}"


def instrumented() -> None:
    """Import what is fuzzed so that libFuzzer sees its branches. Raises `ModuleNotFoundError` without atheris."""
    import atheris  # noqa: PLC0415

    with redirect_stderr(Path(os.devnull).open("w", encoding="utf-8")), atheris.instrument_imports(include=ROOMS):
        from tests.fuzz import registry  # noqa: PLC0415

        # Finding the functions imports them.
        registry.names()


def fuzzed(names: Sequence[str], seconds: int, jobs: int) -> Iterator[Outcome]:
    """Fuzz each for so long, so many at a time, and say what came of it."""
    waiting, running = list(reversed(names)), dict[int, str]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name = waiting.pop()
                running[child(name, partial(fuzz, name, [f"-max_total_time={seconds}"]))] = name
            pid, status = os.wait()
            shutil.rmtree(folder("temporary", running[pid]))
            yield outcome(running.pop(pid), os.waitstatus_to_exitcode(status))
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)


def child(name: str, act: Callable[[], object]) -> int:
    """A process that does something, and ends as it says by `SystemExit`; what it says goes to its target's log."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _say_into(folder("log", name) / "log.txt")
            tempfile.tempdir = str(folder("temporary", name))
            act()
        except SystemExit as ended:
            status = 1 if ended.code else 0
        except BaseException:
            traceback.print_exc()
        finally:
            # Nothing of the parent's is cleaned up by its child, and what was said is said.
            sys.stderr.flush()
            os._exit(status)
    return pid


def _say_into(log: Path) -> None:
    with log.open("wb") as opened:
        os.dup2(opened.fileno(), 1)
        os.dup2(opened.fileno(), 2)


def fuzz(name: str, arguments: Sequence[str]) -> NoReturn:
    """In this process, to its end. Raises `SystemExit`: 0 where nothing was found."""
    import atheris  # noqa: PLC0415

    from tests.fuzz.registry import target  # noqa: PLC0415

    chosen = target(name)
    corpus = lay_out(name, chosen.inputs)
    own = ["-seed=1"] if name.startswith("planted:") else []
    alarm = f"-timeout={PLANTED_HANGING_SECONDS if name == HANGING else HANGING_SECONDS}"
    limits = [alarm, f"-max_len={MAX_BYTES}", f"-rss_limit_mb={MEGABYTES}", "-print_final_stats=1"]
    found = folder("found", name)
    resource.setrlimit(resource.RLIMIT_DATA, (MEGABYTES * 2**20, MEGABYTES * 2**20))

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        # Looked up each time: it is another function once the fuzzer runs.
        return mutated(data, most, seed, atheris.Mutate, chosen.head)

    def run(data: bytes) -> None:
        try:
            chosen.run(data)
        except BaseException:
            _keep(found, data)
            raise

    where = [f"-artifact_prefix={found}/", str(corpus)]
    atheris.Setup([sys.argv[0], *limits, *own, *arguments, *where], run, custom_mutator=mutate)
    atheris.Fuzz()
    sys.exit(0)


def _keep(found: Path, data: bytes) -> None:
    """As libFuzzer writes what hangs or takes all memory; of an exception it would at a process's usual end only."""
    written = found / f"crash-{named(data)}"
    written.write_bytes(data)
    print(f"Test unit written to {written}", flush=True)


def merge(name: str, arguments: Sequence[str]) -> NoReturn:
    """libFuzzer's merge, or the process that it starts for it: `arguments` are libFuzzer's own.

    Raises `SystemExit`.
    """
    import atheris  # noqa: PLC0415

    from tests.fuzz.registry import target  # noqa: PLC0415

    atheris.Setup([*arguments, f"-max_len={MAX_BYTES}", f"-timeout={HANGING_SECONDS}"], target(name).run)
    atheris.Fuzz()
    sys.exit(0)


def outcome(name: str, status: int) -> Outcome:
    """Read what a child has said."""
    log = folder("log", name) / "log.txt"
    text = log.read_text("utf-8", errors="replace")
    counted = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", text) or [("0", "0", "0")]
    runs = re.findall(r"^#(\d+)|number_of_executed_units: (\d+)", text, re.MULTILINE) or [("0", "")]
    coverage, features, corpus = map(int, counted[-1])
    found, said = _fault(text) if status else ("", "")
    written = re.findall(r"Test unit written to (\S+)", text)
    again = f".venv/bin/python -m tests.fuzz --replay {shlex.quote(written[-1])}" if written else f"see {log}"
    return Outcome(name, int("".join(runs[-1])), coverage, features, corpus, found, said, again if found else "")


def _fault(text: str) -> tuple[str, str]:
    """Its name, and what is told of it."""
    raised = re.search(r"Uncaught Python exception: ===\n(?:[\w.]*\.)?(\w+)(.*)", text)
    if raised is not None:
        return raised[1], raised[1] + raised[2][:300]
    ended = re.search(r"ERROR: libFuzzer: ([\w-]+)(.*)", text)
    if ended is not None:
        return ended[1], ended[1] + ended[2][:300]
    lines = [line for line in text.splitlines() if line.strip()]
    return "ended", lines[-1][:300] if lines else "without a word"
