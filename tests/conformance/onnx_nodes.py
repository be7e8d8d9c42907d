"""Run onnx's node tests: `python -m tests.conformance.onnx_nodes [--only REGEX] [--json] [--write PAGE]`."""

import argparse
import sys
from pathlib import Path

from tests.conformance.onnx_cases import collect
from tests.conformance.onnx_report import as_json, as_page, as_table, report
from tests.conformance.onnx_running import FAILED, outcomes


def main(arguments: list[str] | None = None) -> int:
    """Print what became of the tests; 1 when one fails, which a refusal is not."""
    parser = argparse.ArgumentParser(prog="onnx_nodes", description="Run the node tests of the onnx package.")
    parser.add_argument("--only", default="", metavar="REGEX", help="tests in whose name or operator it is found")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page of all operators")
    asked = parser.parse_args(arguments)
    found = outcomes(collect(asked.only))
    counted = report(found)
    if asked.write:
        asked.write.write_text(as_page(counted), encoding="utf-8")
    for each in found:
        if each.verdict == FAILED:
            print(f"{each.name}: {each.why}", file=sys.stderr)
    print(as_json(counted, found) if asked.json else as_table(counted))
    return int(counted.count(FAILED) > 0)


if __name__ == "__main__":
    sys.exit(main())
