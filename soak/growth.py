"""What processes hold over time: memory, file descriptors, threads; and how fast it grows."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

MEGABYTE: Final = 1e6
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What some processes hold together, at a time in seconds. Memory in bytes: anonymous pages, swapped ones too.

    Anonymous pages are those that no file stands behind: what leaks is among them, and they do not change when
    another process that maps the same libraries ends.
    """

    at: float
    memory: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Megabytes an hour by least squares, with its standard error, between the first and the last sample."""

    megabytes_an_hour: float
    standard_error: float
    first_megabytes: float
    last_megabytes: float
    samples: int


def sampled(pids: Sequence[int], at: float) -> Sample | None:
    """One sample of these processes; None where one of them has just ended, or there is none."""
    try:
        found = [_held(Path(f"/proc/{pid}")) for pid in pids]
    except (OSError, KeyError):
        return None
    return Sample(at, *map(sum, zip(*found, strict=True))) if found else None


def _held(process: Path) -> tuple[int, int, int]:
    lines = (line.split() for line in (process / "status").read_text("utf-8").splitlines())
    status = {words[0]: words[1] for words in lines if len(words) > 1}
    memory = (int(status["RssAnon:"]) + int(status["VmSwap:"])) * 1024
    return memory, len(list((process / "fd").iterdir())), int(status["Threads:"])


def growth(samples: Sequence[Sample]) -> Growth | None:
    """The line through the samples. None for fewer than three, which have no error."""
    if len(samples) < 3:
        return None
    hours = [each.at / HOUR for each in samples]
    sizes = [each.memory / MEGABYTE for each in samples]
    middle_hour, middle = fmean(hours), fmean(sizes)
    spread = sum((hour - middle_hour) ** 2 for hour in hours)
    slope = sum((hour - middle_hour) * (size - middle) for hour, size in zip(hours, sizes, strict=True)) / spread
    off = [size - middle - slope * (hour - middle_hour) for hour, size in zip(hours, sizes, strict=True)]
    error = math.sqrt(sum(each**2 for each in off) / (len(off) - 2) / spread)
    return Growth(round(slope, 2), round(error, 2), round(sizes[0], 2), round(sizes[-1], 2), len(samples))


def shown(samples: Sequence[Sample], warm_from: float) -> dict[str, Any]:
    """One party's row for JSON: growth after `warm_from`, and descriptors and threads over the whole time."""
    warm = [each for each in samples if each.at >= warm_from]
    found = growth(warm)
    return {
        "memory": None if found is None else asdict(found),
        "descriptors": _course([each.descriptors for each in samples], [each.descriptors for each in warm]),
        "threads": _course([each.threads for each in samples], [each.threads for each in warm]),
    }


def _course(whole: Sequence[int], warm: Sequence[int]) -> dict[str, int | None]:
    first, last = (warm[0], warm[-1]) if warm else (None, None)
    return {"highest": max(whole, default=None), "first_warm": first, "last": last}
