"""What Linux tells of processes: their children, cores, time on a processor, and memory."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MEGABYTE = 1e6


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for task in _tasks(pid):
        for child in Path(f"/proc/{pid}/task/{task}/children").read_text("ascii").split():
            found += family(int(child))
    return found


def enclave_of(agent: int) -> int:
    """The enclave's process: the agent's only child."""
    (enclave,) = family(agent)[1:2]
    return enclave


def seconds_on_processor(pid: int) -> float:
    """Of all threads of a process, to the nanosecond: the first figure of schedstat."""
    stats = (Path(f"/proc/{pid}/task/{task}/schedstat").read_text("ascii") for task in _tasks(pid))
    return sum(int(stat.split()[0]) for stat in stats) / 1e9


@contextmanager
def pinned(pids: Iterable[int], cores: Sequence[int]) -> Iterator[None]:
    """All threads of these processes on these cores; then on all cores again."""
    all_cores = os.sched_getaffinity(0)
    tasks = [task for pid in pids for task in _tasks(pid)]
    try:
        for task in tasks:
            os.sched_setaffinity(task, cores)
        yield
    finally:
        for task in tasks:
            os.sched_setaffinity(task, all_cores)


def _tasks(pid: int) -> list[int]:
    return [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]


def resident(pids: Sequence[int]) -> tuple[int, int]:
    """Bytes that processes hold: each page counted once, and counted in each process that maps it.

    Private pages are added up. Of a mapping that others share, the process counts that holds most of it: pages that
    two of them hold are the same ones, in all but a few.
    """
    private, everywhere = 0, 0
    shared: dict[str, int] = {}
    for pid in pids:
        for mapping, sizes in _mappings(pid):
            private += sizes["Private_Clean"] + sizes["Private_Dirty"]
            together = sizes["Shared_Clean"] + sizes["Shared_Dirty"]
            shared[mapping] = max(shared.get(mapping, 0), together)
            everywhere += sizes["Rss"]
    return private + sum(shared.values()), everywhere


def _mappings(pid: int) -> Iterator[tuple[str, dict[str, int]]]:
    """Each mapping by what it maps: a place in a file, or addresses, which a forked child has in common."""
    mapping, sizes = "", dict[str, int]()
    for line in Path(f"/proc/{pid}/smaps").read_text("utf-8").splitlines():
        words = line.split()
        if words[0].endswith(":"):
            if words[-1] == "kB":
                sizes[words[0][:-1]] = int(words[1]) * 1024
            continue
        if mapping:
            yield mapping, sizes
        file = len(words) > 5 and words[5].startswith("/")
        mapping, sizes = (f"{words[5]} {words[2]}" if file else words[0]), {}
    if mapping:
        yield mapping, sizes
