"""`python -m bench.appraisals`: how many pieces of evidence one core appraises in a second.

Synthetic evidence under made-up roots; chains, collateral
and certificates are those of the piece before, as in a fleet. Beside it stands, from the same run, one bare
ECDSA verification on the curve that the kind uses: read the ratio, the times are those of one machine at one moment.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.synthetic.exhibits import EXHIBITS
from verifier.evidence.examination import Examination

RUNS = int(os.environ.get("BENCH_RUNS", "9"))
SECONDS = 0.5
RESULTS = Path(__file__).with_name("appraisals.json")
BARS = {"snp": 1000, "sgx": 1000, "tdx": 1000, "nitro": 700}


def per_second(act: Callable[[], object], seconds: float = SECONDS) -> float:
    """How often `act` is done in a second, over about `seconds`."""
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        for _ in range(10):
            act()
        done += 10
    return done / (time.perf_counter() - started)


def verifications() -> dict[str, Callable[[], object]]:
    """One bare verification on each curve."""
    made: dict[str, Callable[[], object]] = {}
    for curve, digest in ((ec.SECP256R1(), hashes.SHA256()), (ec.SECP384R1(), hashes.SHA384())):
        key, algorithm = ec.generate_private_key(curve), ec.ECDSA(digest)
        signature = key.sign(b"message", algorithm)
        made[f"one {curve.name} verification"] = partial(key.public_key().verify, signature, b"message", algorithm)
    return made


def appraisals() -> dict[str, Callable[[], object]]:
    """One appraisal of each exhibit, its chains known already."""
    made: dict[str, Callable[[], object]] = {}
    for name, make in EXHIBITS.items():
        exhibit = make()
        exhibit.appraise()
        made[name] = partial(_appraise, exhibit.appraiser.appraise_untrusted, exhibit.parts, exhibit.now)
    return made


def _appraise(appraise: Callable[..., object], parts: object, now: float) -> object:
    return appraise(parts, now, Examination())


def main() -> int:
    """Measure in turn, print, write appraisals.json. Returns 1 where a bar is missed."""
    acts = {**verifications(), **appraisals()}
    runs = [{name: per_second(act) for name, act in acts.items()} for _ in range(RUNS)]
    rows = {name: round(statistics.median(run[name] for run in runs)) for name in acts}
    missed = []
    for name, found in rows.items():
        bar = BARS.get(name.partition("-")[0])
        missed += [name] if bar is not None and found < bar else []
        print(f"{name:<28} {found:>7}/s" + (f"   bar {bar}" if bar is not None else ""))
    RESULTS.write_text(
        json.dumps({"per_second": rows, "runs": RUNS, "python": sys.version.split()[0]}, indent=2) + "\n"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
