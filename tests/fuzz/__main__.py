"""`python -m tests.fuzz`: each target for some seconds under a coverage-guided fuzzer, inputs kept in `.fuzz/corpus`.

Exit 1 when an input raised anything but a RemoteError, took ten seconds, or took 2 GiB: it is left in `.fuzz/found`.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

KEPT = Path(".fuzz")
LIMITS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=8192", "-print_final_stats=1", "-verbosity=0")


def main() -> int:
    """Fuzz the targets whose name contains a word, one process each, and say what came of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    parser.add_argument("--only", default="", help="targets whose name contains this")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--target", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.target is not None:
        fuzz(given.target, given.seconds)
    from tests.fuzz.targets import targets  # noqa: PLC0415 - in a target's process it is imported instrumented

    rows = []
    for name in (name for name in targets() if given.only in name):
        rows.append(fuzzed(name, given.seconds))
        if not given.json:
            print(_line(rows[-1]), flush=True)
    if given.json:
        print(json.dumps(rows, indent=1))
    return 0 if rows and all(row["clean"] for row in rows) else 1


def fuzz(name: str, seconds: int) -> None:
    """In a process of its own: run the fuzzer on one target. Ends the process."""
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=["protocol", "schemas", "verifier", "edge_agent", "publisher", "sealedge"]):
        from tests.fuzz.targets import targets  # noqa: PLC0415
    target = targets()[name]
    corpus = _folder("corpus", name)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    found = f"-artifact_prefix={_folder('found', name)}/"
    atheris.Setup([sys.argv[0], *LIMITS, f"-max_total_time={seconds}", found, str(corpus)], target.run)
    atheris.Fuzz()


def fuzzed(name: str, seconds: int) -> dict[str, object]:
    """Fuzz one target in a process; how many inputs, and whether nothing was found."""
    command = [sys.executable, "-m", "tests.fuzz", "--target", name, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    inputs = [int(line.split()[-1]) for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    row: dict[str, object] = {"target": name, "inputs": sum(inputs), "clean": done.returncode == 0 and bool(inputs)}
    if not row["clean"]:
        row["said"] = _end(done.stdout.splitlines() + done.stderr.splitlines())
    return row


def _end(lines: Sequence[str]) -> str:
    told = [line for line in lines if "Exception" in line or "Error" in line or "SUMMARY" in line]
    return "\n".join((told or list(lines))[-5:])


def _line(row: dict[str, object]) -> str:
    return f"{'ok ' if row['clean'] else 'BAD'} {row['inputs']:>9} {row['target']} {row.get('said', '')}"


def _folder(kind: str, name: str) -> Path:
    folder = KEPT / kind / "".join(each if each.isalnum() else "-" for each in name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
