"""CoRIM (draft-ietf-rats-corim) at the import edge: a file, signed or not, becomes a `ReferenceDocument`.

    18(COSE_Sign1) ─one of the policy's keys─┐
    501(map) ────────────────────────────────┴─> identifier, validity, CoMIDs ─> reference triples

Reference triples are all that is used. Endorsements, keys, dependencies and tags of other kinds are named in
`skipped`; a file that yields no reference value is refused, and so is a profile that nobody said is understood.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from protocol.cbor import CBORTag
from protocol.errors import AuthenticationError, Finding, MalformedError, UnsupportedError
from protocol.messages import digest
from schemas.reference_values import ReferenceDocument, ReferenceTriple
from verifier.corim_fields import Window, entry, identifier, map_untrusted, sequence_untrusted, window_untrusted
from verifier.corim_triples import comid_untrusted
from verifier.evidence.foreign_cbor import decode_foreign_untrusted
from verifier.evidence.foreign_cose import SIGN1_TAG, ForeignSign1, parse_foreign_sign1_untrusted
from verifier.evidence.public_keys import PublicKey, spki

MAX_CORIM: Final = 1 << 20
"""Bytes of a CoRIM."""

MEDIA_TYPE: Final = "application/rim+cbor"

ARM_PROFILES: Final = frozenset(
    {
        "http://arm.com/psa/iot/1",
        "http://arm.com/cca/ssd/1",
        "http://arm.com/cca/realm/1",
        "tag:arm.com,2025:psa#1.0.0",
        "tag:arm.com,2025:cca_platform#1.0.0",
        "tag:arm.com,2025:cca_realm#1.0.0",
    }
)
"""Profiles whose reference values are made of what is read here."""

_URI, _OID = 32, 111
_UNSIGNED, _COSWID, _COMID, _COTL = 501, 505, 506, 508
_TAGS: Final = frozenset({1, 18, 32, 37, 111, 500, 501, 502, 505, 506, 508, *range(550, 565), 600, 601, 602})
_WRAPPERS: Final = frozenset({500, 502})
"""Tags that earlier drafts put around a CoRIM."""

_CONTENT_TYPE, _CORIM_META, _CWT_CLAIMS, _HASH_ENVELOPE = 3, 8, 15, 258
_ID, _CONCISE_TAGS, _DEPENDENT, _PROFILE, _VALIDITY, _ENTITIES = range(6)
_SKIPPED_TAGS: Final = {_COSWID: "a CoSWID tag", _COTL: "a list of tags"}
_MAX_SKIPPED: Final = 64


def read_corim_untrusted(
    data: bytes, name: str, keys: Sequence[PublicKey] | None, profiles: Collection[str] = ()
) -> ReferenceDocument:
    """Returns the reference values of a CoRIM, signed by one of `keys`; where that is None, by nobody.

    `name` is the file's, for people; `profiles` are read besides Arm's, their private entries passed over. The values
    are the signer's word: trusted if `keys` are, within the document's window, which the caller holds against the time.

    Raises `MalformedError`, `UnsupportedError` for what is not used here, `AuthenticationError` for a signature.
    """
    item, window, signer = _opened_untrusted(data, keys)
    content = map_untrusted(item, "corim")
    profile = _profile_untrusted(content.get(_PROFILE))
    _check_profile(profile, frozenset(profiles) | ARM_PROFILES)
    triples, skipped = _tags_untrusted(content, extended=profile in profiles)
    if not triples:
        finding = Finding("corim.tags", "reference triples", "; ".join(skipped[:4]) or "none")
        raise UnsupportedError("the CoRIM yields no reference value", finding=finding)
    valid = window & window_untrusted(content.get(_VALIDITY), "corim.rim-validity")
    return ReferenceDocument(
        name=name[:256],
        digest=digest(data),
        identifier=identifier(entry(content, _ID, "corim.id")),
        signer=signer,
        not_before=valid.not_before,
        not_after=valid.not_after,
        triples=tuple(triples),
        skipped=tuple(line[:256] for line in skipped[:_MAX_SKIPPED]),
    )


def _opened_untrusted(data: bytes, keys: Sequence[PublicKey] | None) -> tuple[Any, Window, bytes | None]:
    """The corim-map, the window of its signature, and who signed it."""
    item = _bare(decode_foreign_untrusted(data, max_bytes=MAX_CORIM, max_depth=32, tags=_TAGS))
    is_signed = isinstance(item, CBORTag) and item.tag == SIGN1_TAG
    if keys is None:
        _check_form(not is_signed, "unsigned", "signed")
        return _unsigned(item), Window(), None
    _check_form(is_signed, "signed", "unsigned")
    signed = parse_foreign_sign1_untrusted(_signed_bytes(data), max_bytes=MAX_CORIM)
    signer = _signer(signed, keys)
    window = _header_untrusted(signed.headers)
    payload = decode_foreign_untrusted(signed.payload, max_bytes=MAX_CORIM, max_depth=32, tags=_TAGS)
    return _unsigned(_bare(payload)), window, signer


def _bare(item: Any) -> Any:
    for _ in range(2):
        if isinstance(item, CBORTag) and item.tag in _WRAPPERS:
            item = item.value
    return item


def _signed_bytes(data: bytes) -> bytes:
    """Without the tags 500 and 502, whose heads take three bytes each in their shortest form."""
    while data[:3] in {b"\xd9\x01\xf4", b"\xd9\x01\xf6"}:
        data = data[3:]
    return data


def _check_form(holds: bool, expected: str, found: str) -> None:
    if not holds:
        line = "corim" if expected == "signed" else "corim_unsigned"
        finding = Finding("corim", expected, found, f"reference_values.{line}")
        raise AuthenticationError(f"a CoRIM that is {found}, where a policy says {expected}", finding=finding)


def _unsigned(item: Any) -> Any:
    if isinstance(item, CBORTag):
        if item.tag != _UNSIGNED:
            raise UnsupportedError("not a CoRIM", finding=Finding("corim", "tag 501", f"tag {item.tag}"))
        return item.value
    if not isinstance(item, dict):
        raise MalformedError("not a CoRIM", finding=Finding("corim", "tag 18 or 501", type(item).__name__))
    return item


def _signer(signed: ForeignSign1, keys: Sequence[PublicKey]) -> bytes:
    """SHA-256 of the SubjectPublicKeyInfo of the key that signed."""
    for key in keys:
        if signed.is_signed_by(key):
            return digest(spki(key))
    finding = Finding(
        "corim.signature", f"by one of {len(keys)} keys", "by none of them", "reference_values.corim_keys"
    )
    raise AuthenticationError("the CoRIM is not signed by a key of the policy", finding=finding)


def _header_untrusted(headers: Mapping[Any, Any]) -> Window:
    """The protected header: what is signed is a CoRIM, by whom and for how long (draft §4.2)."""
    if _HASH_ENVELOPE in headers:
        raise UnsupportedError("a CoRIM whose signature covers only its hash (hash envelope) is not used")
    if headers.get(_CONTENT_TYPE) != MEDIA_TYPE:
        finding = Finding("corim.content-type", MEDIA_TYPE, str(headers.get(_CONTENT_TYPE))[:64])
        raise MalformedError("what is signed is not said to be a CoRIM", finding=finding)
    if _CORIM_META not in headers and _CWT_CLAIMS not in headers:
        raise MalformedError("a signed CoRIM without corim-meta and CWT claims")
    window = Window()
    if _CORIM_META in headers:
        meta = headers[_CORIM_META]
        if not isinstance(meta, bytes):
            raise MalformedError("corim-meta is not a byte string")
        content = decode_foreign_untrusted(meta, max_bytes=4096, max_depth=8, tags=_TAGS)
        window = window_untrusted(map_untrusted(content, "corim-meta").get(1), "corim-meta.signature-validity")
    if _CWT_CLAIMS in headers:
        claims = map_untrusted(headers[_CWT_CLAIMS], "corim.cwt-claims")
        window = window & window_untrusted({0: claims.get(5), 1: claims.get(4)}, "corim.cwt-claims")
    return window


def _profile_untrusted(profile: Any) -> str | None:
    """The profile's URI, or its OID in hex."""
    value = profile.value if isinstance(profile, CBORTag) and profile.tag in {_URI, _OID} else profile
    if not isinstance(value, str | bytes | None):
        raise MalformedError("corim.profile is neither a URI nor an OID")
    return value.hex() if isinstance(value, bytes) else value


def _check_profile(profile: str | None, understood: Collection[str]) -> None:
    """A profile that is not understood ends the reading of the whole CoRIM (draft §4.1)."""
    if profile is not None and profile not in understood:
        line = "reference_values.corim_profiles"
        finding = Finding("corim.profile", "none, Arm's, or one that the policy names", profile[:128], line)
        raise UnsupportedError("a CoRIM of a profile that is not understood", finding=finding)


def _tags_untrusted(content: Mapping[Any, Any], *, extended: bool) -> tuple[list[ReferenceTriple], list[str]]:
    triples: list[ReferenceTriple] = []
    skipped = [f"corim: entry {key} is not used" for key in content if key not in range(6)]
    if _DEPENDENT in content:
        skipped.append("corim: dependent RIMs are not fetched")
    for tag in sequence_untrusted(entry(content, _CONCISE_TAGS, "corim.tags"), "corim.tags"):
        if isinstance(tag, CBORTag) and tag.tag in _SKIPPED_TAGS:
            skipped.append(f"corim: {_SKIPPED_TAGS[tag.tag]} is not used")
        elif isinstance(tag, CBORTag) and tag.tag == _COMID and isinstance(tag.value, bytes):
            comid = decode_foreign_untrusted(tag.value, max_bytes=MAX_CORIM, max_depth=32, tags=_TAGS)
            found, left = comid_untrusted(comid, extended=extended)
            triples += found
            skipped += left
        else:
            raise MalformedError("a tag of a CoRIM that is of no known kind", finding=Finding("corim.tags", "506"))
    return triples, skipped
