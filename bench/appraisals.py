"""`python -m bench.appraisals`: how many pieces of evidence one core appraises in a second.

Synthetic evidence under made-up roots; chains, collateral
and certificates are those of the piece before, as in a fleet. Beside it stands, from the same run, one bare
ECDSA verification on the curve that the kind uses: read the ratio, the times are those of one machine at one moment.
"""

import time
from collections.abc import Callable
from functools import partial

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.table import Row, figure, show
from tests.synthetic.exhibits import EXHIBITS
from verifier.evidence.examination import Examination

SECONDS = 0.5


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


def rows(runs: int) -> list[Row]:
    """Measured in turn."""
    acts = {**verifications(), **appraisals()}
    found = [{name: per_second(act) for name, act in acts.items()} for _ in range(runs)]
    return [
        figure(name if name.startswith("one ") else f"appraisals a second, {name}", [run[name] for run in found], "1/s")
        for name in acts
    ]


if __name__ == "__main__":
    print(show(rows(9)))
