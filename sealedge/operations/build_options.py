"""What stands behind the options of `sealedge build`, as text: NAME=VALUE, checked."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from protocol.errors import ConfigurationError, Finding
from publisher.compiler.importing import Numbers
from publisher.compiler.preprocessing import Preprocessing
from publisher.compiler.repeating import Dim

T = TypeVar("T")

_NORMALISATION: Final = "mean:NUMBERS, std:NUMBERS, type:uint8, layout:nhwc"


def dims(given: Sequence[str]) -> dict[str, int | Dim]:
    """`--dim N=4`: what a length that the model leaves open is; `--dim N=1..64`: open for each request to choose."""
    found = _pairs("--dim", "NAME=LENGTH or NAME=LEAST..MOST", given, _range)
    return {name: least if most is None else Dim(name, most, least) for name, (least, most) in found.items()}


def _range(text: str) -> tuple[int, int | None]:
    least, dots, most = text.partition("..")
    return int(least), int(most) if dots else None


def shapes(given: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`--shape x=1,3,224,224`: the shape of a whole input."""
    return _pairs(
        "--shape", "NAME=1,3,224,224", given, lambda text: tuple(int(each) for each in text.split(",") if each)
    )


def constants(given: Sequence[str]) -> dict[str, Numbers]:
    """`--constant rate=16000`: an input that is always the same; several numbers make a list."""
    return _pairs("--constant", "NAME=NUMBERS", given, _numbers)


def normalise(given: Sequence[str]) -> dict[str, Preprocessing]:
    """`--normalise x=mean:127.5,std:127.5,type:uint8,layout:nhwc`: what is done to a raw input first."""
    found = _pairs("--normalise", f"NAME={_NORMALISATION}", given, _fields)
    return {name: _preprocessing(name, fields) for name, fields in found.items()}


def state(given: Sequence[str]) -> dict[str, str]:
    """`--state h=hn`: the input `h` is the output `hn` of the request before."""
    return _pairs("--state", "INPUT=OUTPUT", given, str)


def labels(given: Sequence[str]) -> dict[str, Path]:
    """`--labels classes.txt`, or `--labels OUTPUT=classes.txt` where several outputs have as many classes."""
    return files("--labels", given)


def files(option: str, given: Sequence[str]) -> dict[str, Path]:
    """`NAME=FILE`, or `FILE` under "". A file that is there is no name and half a file, whatever it is called."""
    found: dict[str, Path] = {}
    for text in given:
        name, _, path = text.partition("=") if "=" in text and not Path(text).exists() else ("", "", text)
        if name in found:
            raise _wrong(option, "each name once", text)
        found[name] = Path(path)
    return found


def _pairs(option: str, form: str, given: Sequence[str], parse: Callable[[str], T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for text in given:
        name, sign, value = text.rpartition("=")
        if not sign or not name or not value or name in found:
            raise _wrong(option, f"{form}, each name once", text)
        try:
            found[name] = parse(value)
        except (ValueError, OverflowError):
            raise _wrong(option, form, text) from None
    return found


def _numbers(text: str) -> Numbers:
    values = [_number(each) for each in text.split(",")]
    return values if len(values) > 1 else values[0]


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError("not finite") from None
        return value


def _fields(text: str) -> dict[str, list[str]]:
    """`mean:1,2,3,std:4` is {"mean": ["1", "2", "3"], "std": ["4"]}."""
    found: dict[str, list[str]] = {}
    last: list[str] = []
    for part in text.split(","):
        key, sign, value = part.rpartition(":")
        if sign:
            if key in found or key not in {"mean", "std", "type", "layout"}:
                raise ValueError("an unknown word")
            last = found[key] = []
        last.append(value)
    if found and next(iter(found)) == text.partition(":")[0]:
        return found
    raise ValueError("no word before the first number")


def _preprocessing(name: str, fields: Mapping[str, list[str]]) -> Preprocessing:
    try:
        mean, std = (tuple(_number(each) for each in fields.get(key, [])) for key in ("mean", "std"))
    except ValueError:
        raise _wrong("--normalise", _NORMALISATION, name) from None
    raw, layout = (",".join(fields.get(key, [default])) for key, default in (("type", "float32"), ("layout", "nchw")))
    if 0 in std or raw not in {"float32", "uint8"} or layout not in {"nchw", "nhwc"}:
        raise _wrong("--normalise", f"{_NORMALISATION}, std not 0", name)
    return Preprocessing(name, mean or (0.0,), std or (1.0,), raw, layout == "nhwc")


def _wrong(option: str, form: str, found: str) -> ConfigurationError:
    return ConfigurationError(f"{option} cannot be read", finding=Finding(option, form, f"{found[:80]!a}"))
