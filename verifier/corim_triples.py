"""Reference triples of a CoMID (draft-ietf-rats-corim §5): what is measured where, as far as it can be compared.

A triple with something that cannot be compared is left out whole and named: to ignore a condition would widen what
it says. Measurements of one element that hold nothing but digests are alternatives, since it can have but one value.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from protocol.cbor import CBORTag
from protocol.errors import Finding, MalformedError
from schemas.reference_values import Environment, ReferenceMeasurement, ReferenceTriple
from verifier.corim_fields import digests_untrusted, entry, identifier, map_untrusted, sequence_untrusted

_TAG_IDENTITY, _TRIPLES, _REFERENCE = 1, 4, 0
_OTHER_TRIPLES: Final = {
    1: "endorsed values",
    2: "identity keys",
    3: "attestation keys",
    4: "dependencies",
    5: "memberships",
    6: "CoSWID",
    8: "conditional endorsement series",
    10: "conditional endorsements",
}
_CLASS, _INSTANCE, _GROUP = 0, 1, 2
_UUID, _OID, _UEID, _SVN, _LEAST_SVN, _BYTES, _MASKED = 37, 111, 550, 552, 553, 560, 563
_PSA_IMPLEMENTATION, _PSA_COMPONENT, _CCA_CONFIG = 600, 601, 602
_MKEY, _MVAL, _AUTHORIZED_BY = 0, 1, 2
_DESCRIBING: Final = frozenset({0, 8, 11})
"""Version, serial number and name: words about what the digests or numbers beside them identify."""


class _Unused(Exception):  # noqa: N818 - not an error: what a triple says is not used
    """A construct that cannot be compared with evidence."""


def comid_untrusted(value: Any, *, extended: bool = False) -> tuple[list[ReferenceTriple], list[str]]:
    """The reference triples of a CoMID, and one line about each thing that is not used. Raises `MalformedError`.

    `extended` says that a profile's private entries of measurements (negative keys) may be passed over.
    """
    comid = map_untrusted(value, "comid")
    identity = map_untrusted(entry(comid, _TAG_IDENTITY, "comid.tag-identity"), "comid.tag-identity")
    tag = identifier(entry(identity, 0, "comid.tag-id"))
    triples = map_untrusted(entry(comid, _TRIPLES, "comid.triples"), "comid.triples")
    skipped = [
        f"{tag}: {_OTHER_TRIPLES.get(key, f'triples {key}')} are not used" for key in triples if key != _REFERENCE
    ]
    found: list[ReferenceTriple] = []
    if _REFERENCE in triples:
        for index, each in enumerate(sequence_untrusted(triples[_REFERENCE], "comid.reference-triples")):
            try:
                found.append(_triple_untrusted(tag, each, extended))
            except _Unused as unused:
                skipped.append(f"{tag}: reference triple {index}: {unused} is not used")
    return found, skipped


def _triple_untrusted(tag: str, value: Any, extended: bool) -> ReferenceTriple:
    name = "comid.reference-triple"
    pair = sequence_untrusted(value, name, 2)
    if len(pair) != 2:
        raise MalformedError(f"{name} is not environment and measurements")
    environment = _environment_untrusted(map_untrusted(pair[0], f"{name}.environment"))
    listed = [_element_untrusted(each, extended) for each in sequence_untrusted(pair[1], f"{name}.measurements")]
    return ReferenceTriple(tag=tag, environment=environment, measurements=_alternatives(listed))


def _alternatives(listed: list[tuple[str, ReferenceMeasurement]]) -> tuple[ReferenceMeasurement, ...]:
    """Measurements of one element by digests alone are joined; all others must hold together."""
    joined: dict[object, ReferenceMeasurement] = {}
    for index, (key, each) in enumerate(listed):
        bare = ReferenceMeasurement(key=each.key, signer=each.signer, digests=each.digests)
        element: object = (key, each.signer) if each == bare else index
        held = joined.get(element)
        digests = each.digests if held is None else tuple(dict.fromkeys((*held.digests, *each.digests)))
        joined[element] = each.model_copy(update={"digests": digests})
    return tuple(joined.values())


def _environment_untrusted(content: Mapping[Any, Any]) -> Environment:
    if content.keys() - {_CLASS, _INSTANCE}:
        raise _Unused("a group of instances" if _GROUP in content else "an extension of the environment")
    described = map_untrusted(content[_CLASS], "comid.class") if _CLASS in content else {}
    if described.keys() - set(range(5)):
        raise _Unused("an extension of the class")
    named, implementation = _class_id_untrusted(described.get(0))
    words = [named, *(_text_untrusted(described.get(key)) for key in (1, 2))]
    words += [f"{word} {described[key]}" for key, word in ((3, "layer"), (4, "index")) if key in described]
    return Environment(
        named=" ".join(word for word in words if word)[:256],
        implementation=implementation,
        instance=_instance_untrusted(content.get(_INSTANCE)),
    )


def _class_id_untrusted(value: Any) -> tuple[str, bytes | None]:
    if value is None:
        return "", None
    if isinstance(value, CBORTag) and isinstance(value.value, bytes):
        if value.tag in {_BYTES, _PSA_IMPLEMENTATION}:
            return value.value.hex()[:64], value.value
        if value.tag in {_UUID, _OID}:
            return value.value.hex()[:64], None
    raise _Unused("this kind of class id")


def _instance_untrusted(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, CBORTag) and value.tag in {_UEID, _BYTES} and isinstance(value.value, bytes):
        return value.value
    raise _Unused("this kind of instance id")


def _text_untrusted(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise MalformedError("comid.class: a vendor or model that is not text")
    return value or ""


def _element_untrusted(value: Any, extended: bool) -> tuple[str, ReferenceMeasurement]:
    """A measurement, and which element it is of: its key as it stands, since 1 is not "1"."""
    content = map_untrusted(value, "comid.measurement")
    if content.keys() - {_MKEY, _MVAL, _AUTHORIZED_BY}:
        raise _Unused("an extension of the measurement")
    if _AUTHORIZED_BY in content:
        raise _Unused("authorized-by")
    key, signer = _mkey_untrusted(content.get(_MKEY))
    said = map_untrusted(entry(content, _MVAL, "comid.mval"), "comid.mval")
    fields: dict[str, Any] = {"key": key, "signer": signer}
    for number, field in said.items():
        private = isinstance(number, int) and number < 0
        fields |= {} if private and extended else _field_untrusted(number, field, said)
    if fields.keys() <= {"key", "signer"}:
        raise _Unused("a measurement of words alone")
    return repr(content.get(_MKEY)), ReferenceMeasurement(**fields)


def _mkey_untrusted(value: Any) -> tuple[str | None, bytes | None]:
    """The element's name; of a PSA component its measurement type, and its signer."""
    if value is None:
        return None, None
    if isinstance(value, CBORTag) and value.tag == _PSA_COMPONENT:
        component = map_untrusted(value.value, "comid.psa-refval-id")
        signer = component.get(5)
        if signer is not None and not isinstance(signer, bytes):
            raise MalformedError("comid.psa-refval-id: a signer that is not bytes")
        return (identifier(component[1]) if 1 in component else None), signer
    if isinstance(value, CBORTag) and value.tag == _CCA_CONFIG:
        raise _Unused("a platform configuration")
    return identifier(value), None


def _field_untrusted(number: Any, value: Any, said: Mapping[Any, Any]) -> dict[str, Any]:
    """One entry of measurement-values-map as the fields of a `ReferenceMeasurement`."""
    if number in _DESCRIBING or (number == 5 and 4 in said):
        return {}
    if number == 4:
        return _raw_untrusted(value, said.get(5))
    if number not in _FIELDS:
        raise _Unused(f"entry {number} of a measurement")
    return _FIELDS[number](value)


def _digests_untrusted(value: Any) -> dict[str, tuple[bytes, ...]]:
    return {"digests": _known(digests_untrusted(value, "comid.digests"))}


def _known(digests: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if not digests:
        raise _Unused("a digest by none but unknown algorithms")
    return digests


def _svn_untrusted(value: Any) -> dict[str, int]:
    field = "svn"
    if isinstance(value, CBORTag) and value.tag in {_SVN, _LEAST_SVN}:
        field = "svn" if value.tag == _SVN else "least_svn"
        value = value.value
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MalformedError("comid.svn is not a number", finding=Finding("comid.svn", "a number"))
    return {field: value}


def _flags_untrusted(value: Any) -> dict[str, bool]:
    flags = map_untrusted(value, "comid.flags")
    if flags.keys() != {3}:
        raise _Unused("a flag other than is-debug")
    if not isinstance(flags[3], bool):
        raise MalformedError("comid.flags.is-debug is not a truth value")
    return {"debug": flags[3]}


def _raw_untrusted(value: Any, mask: Any) -> dict[str, bytes]:
    if isinstance(value, CBORTag) and value.tag == _MASKED:
        pair = sequence_untrusted(value.value, "comid.raw-value", 2)
        value, mask = pair[0], pair[1]
    elif isinstance(value, CBORTag) and value.tag == _BYTES:
        value = value.value
    if not isinstance(value, bytes) or not isinstance(mask, bytes | None):
        raise MalformedError("comid.raw-value is not bytes")
    return {"raw": value} if mask is None else {"raw": value, "mask": mask}


def _signer_untrusted(value: Any) -> dict[str, bytes]:
    """A signer id of PSA, which its profile writes as a key of opaque bytes."""
    keys = sequence_untrusted(value, "comid.cryptokeys")
    only = keys[0]
    if len(keys) == 1 and isinstance(only, CBORTag) and only.tag == _BYTES and isinstance(only.value, bytes):
        return {"signer": only.value}
    raise _Unused("a key in a measurement")


def _registers_untrusted(value: Any) -> dict[str, Any]:
    registers = map_untrusted(value, "comid.integrity-registers")
    found = [
        (identifier(name), _known(digests_untrusted(digests, "comid.integrity-registers")))
        for name, digests in registers.items()
    ]
    return {"registers": tuple(found)}


_FIELDS: Final[Mapping[int, Callable[[Any], dict[str, Any]]]] = {
    1: _svn_untrusted,
    2: _digests_untrusted,
    3: _flags_untrusted,
    13: _signer_untrusted,
    14: _registers_untrusted,
}
