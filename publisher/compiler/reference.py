"""What onnxruntime says about a model: in a process of its own, on one thread."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from protocol.errors import ConfigurationError
from publisher.compiler.check import Arrays
from publisher.compiler.graph import Graph, Value
from publisher.compiler.importing.wishes import Wishes

ANSWER_SECONDS: Final = 120.0
"""For the start with the model, and for each answer."""

MAX_LINE: Final = 2**16
MAX_ANSWER: Final = 2**30


class Reference:
    """`with Reference(model, graph) as reference:` answers inputs in the graph's order with outputs in its order.

    `model` is what the graph was imported from, `wishes` what was said then. `version` is onnxruntime's. `seconds` says
    how long the last answer took, on one thread and without the way to the process and back. `as_written` has each node
    computed as it stands, so that quantised models are not made of integer operators. Every failure is a
    `ConfigurationError` of one line.
    """

    def __init__(self, model: bytes, graph: Graph, wishes: Wishes | None = None, *, as_written: bool = False) -> None:
        self.seconds = 0.0
        self._inputs = [graph.values[name] for name in graph.inputs]
        self._child = subprocess.Popen(  # noqa: S603 - this interpreter, on this package's own code
            # `-I` keeps the working directory and the environment from choosing what is imported.
            [sys.executable, "-I", "-c", _BOOTSTRAP, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with self._watched():
            hello = {**_hello(model, graph, wishes or Wishes()), "as_written": as_written}
            said = self._asked(json.dumps(hello).encode() + b"\n" + model)
        if "error" in said:
            self.close()
            raise ConfigurationError(f"onnxruntime does not take the model: {_words(said['error'])}")
        self.version = _words(said.get("version", ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._child.kill()
        self._child.communicate()

    def answer(self, inputs: Arrays) -> Arrays | None:
        """The outputs; None where onnxruntime does not take these inputs. What it says is as trusted as the model."""
        parts = [_bytes(value, array) for value, array in zip(self._inputs, inputs, strict=True)]
        with self._watched():
            said = self._asked(b"\n" + b"".join(parts))
            if "refused" in said:
                return None
            self.seconds = float(said["seconds"])
            return tuple(self._output(dtype, tuple(shape)) for dtype, shape in said["outputs"])

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Ends a process that is too slow. What goes wrong on the way to it or back means that it ended."""
        watchdog = threading.Timer(ANSWER_SECONDS, self._child.kill)
        watchdog.start()
        try:
            yield
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            self.close()
            raise ConfigurationError(
                f"onnxruntime ended on this model, or took longer than {ANSWER_SECONDS:.0f} s: "
                f"its process returned {self._child.returncode}"
            ) from None
        finally:
            watchdog.cancel()

    def _asked(self, data: bytes) -> Mapping[str, Any]:
        """Send, and read one line of JSON."""
        if self._child.stdin is None or self._child.stdout is None:
            raise OSError("not piped")
        self._child.stdin.write(data)
        self._child.stdin.flush()
        said = json.loads(self._child.stdout.readline(MAX_LINE))
        if not isinstance(said, dict):
            raise TypeError("not an object")
        return said

    def _output(self, dtype: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        size = prod(shape) * np.dtype(dtype).itemsize
        if not 0 <= size <= MAX_ANSWER or np.dtype(dtype).hasobject or self._child.stdout is None:
            raise ValueError("no tensor")
        return np.frombuffer(self._child.stdout.read(size), dtype).reshape(shape)


_BOOTSTRAP: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from publisher.compiler.reference_child import answer_standard_input; answer_standard_input()"
)


def _hello(model: bytes, graph: Graph, wishes: Wishes) -> Mapping[str, Any]:
    inputs = [graph.values[name] for name in graph.inputs]
    return {
        "bytes": len(model),
        "inputs": [(each.name, each.dtype, each.shape) for each in inputs],
        "input_bytes": sum(each.bytes for each in inputs),
        "outputs": graph.outputs,
        "labels": graph.labels,
        "constants": wishes.constants,
        "folder": None if wishes.folder is None else str(wishes.folder.resolve()),
    }


def _bytes(value: Value, array: np.ndarray[Any, Any]) -> bytes:
    if (array.dtype.name, array.shape) != (value.dtype, value.shape):
        raise ConfigurationError(f"the input {value.name!a} is {value.dtype}{list(value.shape)}")
    return array.tobytes()


def _words(text: Any) -> str:
    return str(text)[:400]
