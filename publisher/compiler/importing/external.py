"""Constants that lie in files beside the model: read only there, and only when a folder is named."""

import os
import stat
from pathlib import Path, PurePosixPath
from typing import Final

import onnx
from onnx import TensorProto

from publisher.compiler.importing.bounds import CONSTANT_BYTES
from publisher.compiler.importing.refusing import quoted, refused

PARTS: Final = 16


def embed_external_data(model: onnx.ModelProto, folder: Path | None) -> None:
    """Read what the main graph's constants say lies outside, in place. Raises `ConfigurationError`.

    Only regular files inside `folder` are opened, and no symbolic link is followed.
    """
    total = 0
    for tensor in model.graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        if folder is None:
            raise refused("the model's constants lie in other files", "folder", "where they are", "none given")
        content = _read(tensor, folder, CONSTANT_BYTES - total)
        total += len(content)
        del tensor.external_data[:]
        tensor.ClearField("data_location")
        tensor.raw_data = content


def _read(tensor: TensorProto, folder: Path, room: int) -> bytes:
    said = {each.key: each.value for each in tensor.external_data}
    location = said.get("location", "")
    offset, length = (_number(said.get(key, ""), default) for key, default in (("offset", 0), ("length", -1)))
    descriptor = _opened(folder, location)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise refused("a file of constants is no regular file", "file", "regular", quoted(location))
    with os.fdopen(descriptor, "rb") as file:
        size = status.st_size
        length = size - offset if length < 0 else length
        if length > room:
            raise refused("the model's constants are too large", "bytes", f"at most {CONSTANT_BYTES}", "more")
        if offset + length > size or length < 0:
            raise refused(f"the file {quoted(location)} is too short for the model", "bytes", offset + length, size)
        file.seek(offset)
        return file.read(length)


def _number(text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise refused("a place in a file of constants is no number", "offset or length", "a number", quoted(text))
    return int(text)


def _opened(folder: Path, location: str) -> int:
    """A descriptor of a regular file under the folder, each step of the way opened without following links."""
    parts = PurePosixPath(location).parts
    if not parts or len(parts) > PARTS or location.startswith("/") or ".." in parts or not location.isprintable():
        raise refused(
            "a file of constants is not beside the model", "path", "inside the model's folder", quoted(location)
        )
    if "\\" in location or ":" in location:
        raise refused("a file of constants is not beside the model", "path", "with / alone", quoted(location))
    at = _folder(folder)
    try:
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            kind = os.O_NONBLOCK if last else os.O_DIRECTORY
            below = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | kind, dir_fd=at)
            os.close(at)
            at = below
    except OSError as fault:
        os.close(at)
        raise refused(f"the file of constants {quoted(location)} cannot be read: {fault.strerror}") from None
    return at


def _folder(folder: Path) -> int:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as fault:
        raise refused(f"the model's folder cannot be read: {fault.strerror}") from None
