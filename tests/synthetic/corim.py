"""CoRIMs under a made-up supplier, signed and not, with every part open to a fault."""

from collections.abc import Mapping, Sequence
from typing import Any

from cbor2 import CBORTag, dumps

from tests.synthetic.cose import PrivateKey, algorithm, ec_key, sign1

DIGEST = bytes([0xD1]) * 32
SUPPLIER = ec_key(11)
NOW = 1_800_000_000


def measurement(*digests: bytes, key: Any = None, algorithm: int | str = 1, **fields: Any) -> dict[int, Any]:
    """A measurement-map; `fields` by number as `n4=...`."""
    said = {int(name[1:]): value for name, value in fields.items()}
    if digests:
        said[2] = [[algorithm, each] for each in digests]
    return {1: said} if key is None else {0: key, 1: said}


def triple(*measurements: Any, environment: Mapping[int, Any] | None = None) -> list[Any]:
    """A reference triple; by default of a class that has but a name."""
    return [environment or {0: {1: "ACME", 2: "RoadRunner"}}, list(measurements)]


def comid(*triples: Any, tag: Any = "comid-1", **fields: Any) -> CBORTag:
    """A tagged CoMID of these reference triples."""
    said = {int(name[1:]): value for name, value in fields.items()}
    return CBORTag(506, dumps({1: {0: tag}, 4: {**({0: list(triples)} if triples else {}), **said}}))


def corim(*tags: Any, **fields: Any) -> CBORTag:
    """An unsigned CoRIM, tag 501; `fields` by number as `n3=...`."""
    said = {int(name[1:]): value for name, value in fields.items()}
    return CBORTag(501, {0: "corim-1", 1: list(tags) or [comid(triple(measurement(DIGEST)))], **said})


def unsigned(*tags: Any, **fields: Any) -> bytes:
    return dumps(corim(*tags, **fields))


def header(key: PrivateKey = SUPPLIER, **changes: Any) -> bytes:
    """The protected header, `changes` by number as `n8=...`; None leaves one out."""
    meta = dumps({0: {0: "ACME"}, 1: {0: CBORTag(1, NOW - 100), 1: CBORTag(1, NOW + 100)}})
    said = {1: algorithm(key), 3: "application/rim+cbor", 8: meta}
    said |= {int(name[1:]): value for name, value in changes.items()}
    return dumps({number: value for number, value in said.items() if value is not None})


def signed(payload: Any = None, key: PrivateKey = SUPPLIER, **changes: Any) -> bytes:
    """A signed CoRIM, valid around `NOW`."""
    content = dumps(corim() if payload is None else payload)
    return sign1(key, content, protected=header(key, **changes))


def wrapped(data: bytes, tags: Sequence[int]) -> bytes:
    """Under the outer tags of earlier drafts."""
    return b"".join(b"\xd9" + tag.to_bytes(2, "big") for tag in tags) + data
