"""Hostile models are read in a child process, whose crash or end is one clear line here."""

import subprocess
import sys
from typing import Any, Final

import cbor2

from protocol.errors import ConfigurationError, Finding
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.importing.bounds import CHILD_BYTES, CHILD_COPIES, CHILD_SECONDS
from publisher.compiler.importing.refusing import explained, one_line, refused

REFUSED: Final = 3
"""The child's exit status when standard output says why."""
PYTHON_EXCEPTION: Final = 1

# `-I` keeps the working directory and the environment from choosing what is imported; the path is the parent's.
BOOTSTRAP: Final = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from publisher.compiler.importing.child import answer_standard_input; answer_standard_input(*sys.argv[1:3])"
)


def isolated(request: dict[str, Any], *, seconds: int = CHILD_SECONDS, memory: int = CHILD_BYTES) -> list[bytes]:
    """What the child answered: still nobody's but the model's maker's. Raises `ConfigurationError` alone.

    Where the child crashes, a second one tries without onnxruntime, which is the largest of what reads models.
    `memory` is in bytes, besides what a model of that length needs anyway.
    """
    try:
        return _answers(request, seconds, memory)
    except _CrashedError as crash:
        if not request["simplify"]:
            raise
        try:
            return _answers({**request, "simplify": False}, seconds, memory)
        except _CrashedError:
            raise crash from None


class _CrashedError(ConfigurationError):
    """The child ended by a signal that is not its limit of time."""


def _answers(request: dict[str, Any], seconds: int, memory: int) -> list[bytes]:
    room = memory + CHILD_COPIES * len(request["model"])
    command = [sys.executable, "-I", "-c", BOOTSTRAP, str(seconds), str(room), *sys.path]
    try:
        child = subprocess.run(  # noqa: S603 - this interpreter, on this package's code
            command, input=cbor2.dumps(request), capture_output=True, timeout=2 * seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise _too_slow(seconds) from None
    except OSError as fault:
        raise refused(f"the importer does not start: {fault.strerror}") from None
    if child.returncode == REFUSED:
        raise _refusal(child.stdout)
    if child.returncode != 0:
        raise _fault(child.returncode, child.stderr, seconds)
    with explained("the import gave no answer"):
        answers = cbor2.loads(child.stdout)
        if not isinstance(answers, list) or not all(isinstance(each, bytes) for each in answers):
            raise refused("the import gave no answer")
        return answers


def _refusal(answer: bytes) -> ConfigurationError:
    with explained("the import gave no answer"):
        message, claim, expected, found, operator = cbor2.loads(answer)
        claim, expected, found = (one_line(str(each)) for each in (claim, expected, found))
        if operator is not None:
            name, why = operator
            return UnsupportedError(one_line(str(name)), one_line(str(why)), expected)
        return refused(one_line(str(message)), claim, expected, found)


def _fault(status: int, words: bytes, seconds: int) -> ConfigurationError:
    """Of a child that a signal, its limits or Python ended."""
    last = words.rstrip().rpartition(b"\n")[2].decode(errors="replace")
    if status == PYTHON_EXCEPTION and last.startswith("ModuleNotFoundError"):
        return refused(f"building models needs the extra `build` (pip install 'sealedge[build]'): {one_line(last)}")
    if status == PYTHON_EXCEPTION and "MemoryError" not in last:
        return refused(f"the importer does not run: {one_line(last)}")
    if status in {-9, -24}:  # SIGKILL and SIGXCPU are how the limit of time ends a process
        return _too_slow(seconds)
    message = "the model crashed what reads it, or needs more memory than that may use"
    return _CrashedError(message, finding=Finding("exit status", "0", str(status)))


def _too_slow(seconds: int) -> ConfigurationError:
    return refused("the model takes too long to read", "seconds", f"at most {seconds}", "more")
