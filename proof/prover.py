"""Ask E, a theorem prover for first-order logic with equality, whether something can come about.

The clauses are Horn clauses, so `violated` follows from them if and only if some run of the model, with any number of
parties and sessions, leads there. E either derives it, or makes all there is to derive and does not find it.
"""

import enum
import re
import shutil
import subprocess
import time
from dataclasses import dataclass

STATUS = re.compile(r"SZS status (\w+)")
# With these, what an attacker composes is not derived forwards without end: it ends where the model lets it.
OPTIONS = (
    "--literal-selection-strategy=SelectMaxLComplex",
    "--term-ordering=KBO6",
    "--forward-context-sr",
    "-H(1*Clauseweight(PreferUnits,1,1,1))",
)


class Verdict(enum.Enum):
    """What the prover said."""

    IMPOSSIBLE = "impossible"
    POSSIBLE = "possible"
    UNKNOWN = "unknown"


SAID = {"Satisfiable": Verdict.IMPOSSIBLE, "Unsatisfiable": Verdict.POSSIBLE, "ResourceOut": Verdict.UNKNOWN}


@dataclass(frozen=True)
class Answer:
    """A verdict, and the seconds that it took."""

    verdict: Verdict
    seconds: float


class ProverError(Exception):
    """The prover is not there, or did not understand the clauses."""


def found() -> bool:
    """Whether E is installed."""
    return shutil.which("eprover") is not None


def ask(problem: str, seconds: int) -> Answer:
    """Whether the goal of a problem in TPTP's CNF can come about; UNKNOWN after `seconds` of the processor's time.

    Raises ProverError where E says anything else.
    """
    if not found():
        raise ProverError("no eprover: on Debian, apt-get install eprover")
    begun = time.monotonic()
    done = subprocess.run(  # noqa: S603, the arguments are ours
        ["eprover", "--silent", f"--cpu-limit={seconds}", "--memory-limit=2048", *OPTIONS],  # noqa: S607
        input=problem,
        capture_output=True,
        text=True,
        check=False,
    )
    said = STATUS.search(done.stdout)
    if said is None or said[1] not in SAID:
        raise ProverError((done.stderr or done.stdout).strip()[-500:])
    return Answer(SAID[said[1]], time.monotonic() - begun)
