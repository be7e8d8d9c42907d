"""Writes the committed corpus anew: for each target, libFuzzer's merge of all that was found, the smallest first.

libFuzzer merges in a process that it starts, over and over, as the program that it is. That program is a script here,
which asks this process for a child: it has everything imported and instrumented already.
"""

import os
import select
import shutil
from pathlib import Path
from typing import Final

from tests.fuzz.corpus import ARCHIVE, archive, archived, folder, lay_out, smallest
from tests.fuzz.running import child, merge
from tests.fuzz.targets import names, target

_SCRIPT: Final = """#!/bin/sh
printf '%s\\n' "$0" "$@" "" > "{requests}"
read -r status < "{answers}"
exit "$status"
"""

_LOOK_AGAIN_SECONDS: Final = 0.1


def keep(only: str) -> int:
    """Merge the targets whose name contains a word; what the archive has of the others stays."""
    kept = {name: contents for name, contents in archived().items() if name in names()}
    for name in names():
        if only in name:
            seeds = target(name).inputs
            kept[name] = smallest(_merged(name, lay_out(name, seeds)), seeds)
            print(f"{len(kept[name]):>5} inputs  {name}", flush=True)
    archive(kept)
    print(f"{sum(map(len, kept.values()))} inputs of {len(kept)} targets, {ARCHIVE.stat().st_size} bytes")
    return 0


def _merged(name: str, corpus: Path) -> list[bytes]:
    shutil.rmtree(folder("merge", name))
    here = folder("merge", name).absolute()
    script, requests, answers = here / "program", here / "requests", here / "answers"
    script.write_text(_SCRIPT.format(requests=requests, answers=answers), "utf-8")
    script.chmod(0o700)
    os.mkfifo(requests)
    os.mkfifo(answers)
    (here / "into").mkdir()
    outer = child(name, lambda: merge(name, [str(script), "-merge=1", str(here / "into"), str(corpus)]))
    _serve(name, outer, requests, answers)
    return [each.read_bytes() for each in (here / "into").iterdir()]


def _serve(name: str, outer: int, requests: Path, answers: Path) -> None:
    """A child for each that the script asks for, until the one that runs the script has ended."""
    # Also for writing, so that it is never at its end.
    listening = os.open(requests, os.O_RDWR)
    try:
        while os.waitpid(outer, os.WNOHANG) == (0, 0):
            if select.select([listening], [], [], _LOOK_AGAIN_SECONDS)[0]:
                arguments = _asked(listening)
                inner = child(name, lambda arguments=arguments: merge(name, arguments))  # type: ignore[misc]
                status = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
                answers.write_text(f"{abs(status)}\n", "utf-8")
    finally:
        os.close(listening)


def _asked(listening: int) -> list[str]:
    """One line an argument, and an empty one at the end."""
    text = b""
    while not text.endswith(b"\n\n"):
        text += os.read(listening, 65536)
    return text.decode().split("\n")[:-2]
