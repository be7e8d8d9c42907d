"""Arrays and labels that a person named: read with limits; what is none is said in one line."""

import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError, Finding
from storage.files import read_text

MAX_ARRAY_BYTES: Final = 2**30
MAX_LABELS: Final = 4096

Array = NDArray[Any]


def read_regular(path: Path, max_bytes: int) -> bytes:
    """A regular file, of which nothing is read where it is too large. Raises `ConfigurationError`."""
    try:
        # Not blocking: nobody may ever write into a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"{path}: is not a regular file")
            if found.st_size > max_bytes:
                finding = Finding("bytes", f"at most {max_bytes}", str(found.st_size))
                raise ConfigurationError(f"{path}: is too large", finding=finding)
            return file.read(max_bytes)
    except (OSError, ValueError) as fault:
        raise ConfigurationError(f"{path}: cannot be read: {getattr(fault, 'strerror', None) or fault}") from None


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a .npz file by name; the one of a .npy file under "". Raises `ConfigurationError`."""
    read_regular(path, MAX_ARRAY_BYTES)
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                return _unzipped(path)
            file.seek(0)
            return {"": _numbers(path, np.lib.format.read_array(file, allow_pickle=False))}
    except (OSError, ValueError, EOFError, KeyError, SyntaxError, MemoryError, zipfile.BadZipFile) as fault:
        raise ConfigurationError(f"{path}: is no .npy or .npz file: {type(fault).__name__}") from None


def read_labels(path: Path) -> tuple[str, ...]:
    """One class a line, in the order of their numbers; empty lines at the end do not count."""
    lines = [line.strip() for line in read_text(path).rstrip().split("\n")]
    if not 1 <= len(lines) <= MAX_LABELS or not all(each.isprintable() and 1 <= len(each) <= 256 for each in lines):
        finding = Finding("labels", f"1 to {MAX_LABELS} lines of 1 to 256 printable characters", f"{len(lines)} lines")
        raise ConfigurationError(f"{path}: is no list of labels", finding=finding)
    return tuple(lines)


def fitted(name: str, array: Array, dtype: str, shape: tuple[int, ...]) -> list[Array]:
    """An array as inputs of this type and shape: one, or several along its first dimension.

    Integers become floats and doubles floats where the model wants them. Raises `ConfigurationError`.
    """
    array = cast(name, array, dtype, shape)
    if array.shape == shape:
        return [array]
    if array.ndim == len(shape) + 1 and array.shape[1:] == shape:
        return list(array)
    batch = shape[0] if shape else 0
    if batch and array.ndim == len(shape) and array.shape[1:] == shape[1:] and array.shape[0] % batch == 0:
        return [array[start : start + batch] for start in range(0, array.shape[0], batch)]
    if batch == 1 and array.shape == shape[1:]:
        return [array.reshape(shape)]
    raise _unfit(name, dtype, shape, array)


def cast(name: str, array: Array, dtype: str, shape: tuple[int, ...]) -> Array:
    """An array as one of this type; `shape` is for the error. Raises `ConfigurationError` for another kind."""
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise _unfit(name, dtype, shape, array)
    return np.asarray(array.astype(dtype), order="C")


def named(arrays: Mapping[str, Array], names: list[str], path: Path) -> dict[str, Array]:
    """What a file holds by the names of a model's inputs; one without a name is the only input."""
    if set(arrays) == {""} and len(names) == 1:
        return {names[0]: arrays[""]}
    if set(arrays) != set(names):
        finding = Finding("inputs", ", ".join(map(ascii, names)), ", ".join(map(ascii, sorted(arrays)[:16])))
        raise ConfigurationError(f"{path}: does not hold the model's inputs", finding=finding)
    return dict(arrays)


def _unzipped(path: Path) -> dict[str, Array]:
    with zipfile.ZipFile(path) as archive:
        # Said by the file itself, and kept by the reader: more is a BadZipFile.
        if sum(each.file_size for each in archive.infolist()) > MAX_ARRAY_BYTES:
            raise ConfigurationError(f"{path}: its arrays have more than {MAX_ARRAY_BYTES} bytes")
    with np.load(path, allow_pickle=False) as found:
        return {name: _numbers(path, found[name]) for name in found.files}


def _numbers(path: Path, array: Array) -> Array:
    if array.dtype.kind not in "biuf":
        raise ConfigurationError(f"{path}: holds something else than numbers")
    return array


def _unfit(name: str, dtype: str, shape: tuple[int, ...], array: Array) -> ConfigurationError:
    finding = Finding(f"input {name!a}", f"{dtype}{list(shape)}", f"{array.dtype}{list(array.shape)}")
    return ConfigurationError("the array does not fit the model", finding=finding)
