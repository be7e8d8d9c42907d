"""The child process of `isolated`: a request on standard input, graphs or a refusal on standard output.

What reads hostile models is C++ of others (protobuf, ONNX's checker and shape inference, onnxruntime): it may crash,
take minutes or fill the memory, here and nowhere else.
"""

import os
import sys
from pathlib import Path
from typing import Any

import cbor2

from protocol.errors import ConfigurationError, Finding
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.importing.isolation import REFUSED
from publisher.compiler.importing.preparing import prepared
from publisher.compiler.importing.transfer import encode
from publisher.compiler.importing.wishes import Wishes


def answer_standard_input(processor_seconds: str, data_bytes: str) -> None:
    """Do what one request says, within limits; exit with `REFUSED` and a reason when the model cannot be taken."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not print into the answer
    bound(int(processor_seconds), int(data_bytes))
    request = cbor2.loads(sys.stdin.buffer.read())
    try:
        output, status = answer(request), 0
    except ConfigurationError as refusal:
        output, status = refusal_bytes(refusal), REFUSED
    answers.write(output)
    answers.flush()
    sys.exit(status)


def answer(request: dict[str, Any]) -> bytes:
    """A list of graphs, one for each set of lengths asked for, or one model in ONNX. Raises `ConfigurationError`."""
    made = []
    for dims in request["dims"]:
        folder = Path(request["folder"]) if request["folder"] else None
        wishes = Wishes(dims, request["shapes"], request["constants"], folder, request["simplify"])
        ready = prepared(request["model"], wishes)
        made.append(ready.model.SerializeToString() if request["onnx"] else encode(ready.graph()))
    return cbor2.dumps(made)


def refusal_bytes(refusal: ConfigurationError) -> bytes:
    """An error as bytes: what it says, what was expected and found, and the operator if it is one's fault."""
    finding = refusal.finding or Finding("")
    operator = (refusal.operator, refusal.why) if isinstance(refusal, UnsupportedError) else None
    return cbor2.dumps([str(refusal), finding.claim, finding.expected, finding.found, operator])


def bound(processor_seconds: int, data_bytes: int) -> None:
    """Lower this process's own limits. Linux counts private writable memory as data; others bound the time alone."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - exists on POSIX alone

        resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds))
        resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
