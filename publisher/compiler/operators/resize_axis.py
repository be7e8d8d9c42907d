"""Where an element of a resized axis comes from, as ONNX's Resize says: coordinates, and weights around them."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of `length` elements that becomes one of `made`; `scale` as the model says it.

    `roi` is the part that is resized, from 0 to 1, for tf_crop_and_resize.
    """

    length: int
    made: int
    scale: float
    roi: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Form:
    """What all axes of a Resize have in common, by the names of its attributes."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False


LARGEST: Final = 2.0**40
"""Coordinates beyond are as far outside as any."""

Coordinates = NDArray[np.float32]
Places = NDArray[np.int64]
Weights = NDArray[np.float64]

_ROUNDINGS: Final[dict[str, Callable[[float], int]]] = {
    "round_prefer_floor": lambda x: ceil(x - 0.5),
    "round_prefer_ceil": lambda x: floor(x + 0.5),
    "floor": floor,
    "ceil": ceil,
}


def coordinates(axis: Axis, how: str) -> Coordinates:
    """For each element made, where it lies along the axis, in elements. Raises `UnsupportedError`.

    In single precision like onnxruntime: halves are to be rounded in the same direction.
    """
    made = np.arange(axis.made, dtype=np.float32)
    # What the scale asks for, which need not be a whole number.
    asked = axis.scale * axis.length
    last = axis.length - 1
    start, end = (bound * last for bound in axis.roi)
    half = (made + 0.5) / axis.scale - 0.5
    ways = {
        "half_pixel": half,
        "half_pixel_symmetric": axis.length / 2 * (1 - axis.made / asked) + half,
        "pytorch_half_pixel": half if axis.made > 1 else made * 0,
        "tf_half_pixel_for_nn": (made + 0.5) / axis.scale,
        "align_corners": made * last / (asked - 1) if asked != 1 else made * 0,
        "asymmetric": made / axis.scale,
        "tf_crop_and_resize": start + (made * (end - start) / (asked - 1) if asked != 1 else (end - start) / 2 + made),
    }
    if how not in ways:
        raise UnsupportedError("Resize", f"has coordinates {how[:30]!a}", "use half_pixel or align_corners")
    return np.asarray(ways[how], np.float32)


def taps(axis: Axis, form: Form) -> tuple[Places, Weights]:
    """For each element made, places along the axis and their weights: two arrays of as many rows as are made."""
    where = coordinates(axis, form.coordinates)
    if form.mode == "nearest":
        return _nearest(where, form)[:, None].clip(0, axis.length - 1), np.ones((axis.made, 1))
    if form.mode not in {"linear", "cubic"}:
        raise UnsupportedError("Resize", f"has the mode {form.mode[:20]!a}", "use nearest, linear or cubic")
    # An axis made shorter is blurred by a filter that is as much wider.
    stretch = min(axis.scale, 1.0) if form.antialias else 1.0
    reach = (1 if form.mode == "linear" else 2) / stretch
    if not 0 < reach <= 4 * axis.length + 4:
        raise ConfigurationError("Resize: a scale is impossible")
    count = 2 * ceil(reach) + int(form.antialias)
    first = np.floor(np.clip(where, -LARGEST, LARGEST)).astype(np.int64) - ceil(reach) + 1
    places = first[:, None] + np.arange(count)[None, :]
    weights = _filter((places - np.asarray(where[:, None], np.float64)) * stretch, form)
    outside = (places < 0) | (places >= axis.length)
    if form.exclude_outside:
        weights = np.where(outside, 0.0, weights)
    if form.exclude_outside or form.antialias:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return places.clip(0, axis.length - 1), weights


def _nearest(where: Coordinates, form: Form) -> Places:
    if form.rounding not in _ROUNDINGS:
        raise UnsupportedError("Resize", f"rounds by {form.rounding[:30]!a}", "use round_prefer_floor or floor")
    return np.array([_ROUNDINGS[form.rounding](float(each)) for each in np.clip(where, -LARGEST, LARGEST)], np.int64)


def _filter(distance: NDArray[np.floating[Any]], form: Form) -> Weights:
    """The weight of an element at a distance: a triangle, or Keys' cubic convolution."""
    x = np.abs(distance)
    if form.mode == "linear":
        return np.asarray(np.maximum(0.0, 1.0 - x))
    a = form.cubic
    near: Any = ((a + 2) * x - (a + 3)) * x * x + 1
    far: Any = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.asarray(np.where(x <= 1, near, np.where(x < 2, far, 0.0)))
