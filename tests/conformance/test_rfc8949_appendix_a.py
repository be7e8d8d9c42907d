"""RFC 8949 Appendix A: what is deterministic and of the accepted kinds round-trips, all else is refused."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from protocol import cbor
from protocol.errors import MalformedError

Load = Callable[[str], Any]

BIGNUMS = {"c249010000000000000000", "c349010000000000000000"}
LONG_FLOATS = {
    "fa7f800000",
    "fa7fc00000",
    "faff800000",
    "fb7ff0000000000000",
    "fb7ff8000000000000",
    "fbfff0000000000000",
}
SIMPLE_VALUES = {"f7", "f0", "f818", "f8ff"}
TAGGED = ("c0", "c1", "d7", "d8")
INDEFINITE = "ff"


def outcome(encoded: str) -> str:
    try:
        value = cbor.decode_untrusted(bytes.fromhex(encoded))
    except MalformedError:
        return "refused"
    return "accepted" if cbor.encode(value).hex() == encoded else "not deterministic"


def why_refused(encoded: str) -> str:
    if encoded in BIGNUMS:
        return "bignum"
    if encoded in LONG_FLOATS:
        return "float longer than needed"
    if encoded in SIMPLE_VALUES:
        return "simple value"
    if encoded.startswith(TAGGED):
        return "tag"
    return "indefinite length" if INDEFINITE in encoded else "none"


def test_appendix_a(load_vectors: Load) -> None:
    found = load_vectors("cbor/cbor-appendix-a/appendix_a.json")
    assert len(found) == 82
    refused = Counter(why_refused(each["hex"]) for each in found if outcome(each["hex"]) == "refused")
    assert refused == {
        "bignum": 2,
        "float longer than needed": 6,
        "simple value": 4,
        "tag": 6,
        "indefinite length": 11,
    }
    assert sum(outcome(each["hex"]) == "accepted" for each in found) == 82 - refused.total()


def test_appendix_a_values(load_vectors: Load) -> None:
    compared = 0
    for each in load_vectors("cbor/cbor-appendix-a/appendix_a.json"):
        if "decoded" not in each or outcome(each["hex"]) == "refused":
            continue
        assert cbor.decode_untrusted(bytes.fromhex(each["hex"])) == each["decoded"]
        compared += 1
    assert compared == 47


def test_special_floats() -> None:
    for encoded, value in (("f97c00", math.inf), ("f9fc00", -math.inf)):
        assert cbor.decode_untrusted(bytes.fromhex(encoded)) == value
        assert cbor.encode(value).hex() == encoded
    nan = cbor.decode_untrusted(bytes.fromhex("f97e00"))
    assert isinstance(nan, float)
    assert math.isnan(nan)
