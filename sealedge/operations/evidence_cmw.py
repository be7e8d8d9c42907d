"""Conceptual message wrappers (RFC 9999) that somebody kept in a file: which kind of evidence, and its parts.

[media type, bytes]            a record, as in our evidence messages
{"__cmwc_t": type, ...}        a collection by itself
["media type", "base64url"]    a record in JSON
"""

from typing import Final

from protocol.cmw import unwrap_untrusted
from protocol.errors import Finding, MalformedError, UnsupportedError
from schemas.evidence import CCA, EAR, FORMATS, PSA, EvidenceFormat, collection_type
from verifier.evidence.foreign_cbor import decode_foreign_untrusted

MAX_RECORD: Final = 4 << 20
_TYPE: Final = "__cmwc_t"

_SINGLE: Final = {
    "application/psa-attestation-token": PSA,
    'application/eat+cwt; eat_profile="tag:psacertified.org,2023:psa#tfm"': PSA,
    'application/eat+cwt; eat_profile="tag:arm.com,2023:cca_platform#1.0.0"': CCA,
    'application/eat+jwt; eat_profile="tag:github.com,2023:veraison/ear"': EAR,
    'application/eat+jwt; eat_profile="tag:ietf.org,2026:rats/ear#03"': EAR,
    'application/eat+cwt; eat_profile="tag:ietf.org,2026:rats/ear#03"': EAR,
}
"""Media types that others register for one token: it is the kind's first part."""


def open_cmw_untrusted(data: bytes) -> tuple[EvidenceFormat, dict[str, bytes]]:
    """The kind and the parts. Raises `MalformedError`, and `UnsupportedError` for another kind. Nothing is trusted."""
    value = decode_foreign_untrusted(data, max_bytes=MAX_RECORD, max_depth=4)
    if isinstance(value, dict):
        return _collection_untrusted(value.get(_TYPE), data)
    # A third item says what the content is good for (RFC 9999 §3.1), which the kind says already.
    if isinstance(value, list) and len(value) in {2, 3} and isinstance(value[1], bytes):
        return _record_untrusted(value[0], value[1])
    raise MalformedError("not a CMW", finding=Finding("cmw", "a record or a collection", "another item"))


def _record_untrusted(media_type: object, content: bytes) -> tuple[EvidenceFormat, dict[str, bytes]]:
    single = _SINGLE.get(media_type) if isinstance(media_type, str) else None
    if single is not None:
        return single, {single.parts[0].name: content}
    form = next((each for each in FORMATS.values() if each.media_type == media_type), None)
    if form is None:
        raise _unknown(media_type)
    return form, unwrap_untrusted(form, content)


def _collection_untrusted(found: object, data: bytes) -> tuple[EvidenceFormat, dict[str, bytes]]:
    form = next((each for each in FORMATS.values() if collection_type(each.name) == found), None)
    if form is None:
        raise _unknown(found)
    return form, unwrap_untrusted(form, data)


def _unknown(found: object) -> UnsupportedError:
    finding = Finding("cmw.type", "a kind of evidence", ascii(found)[:96])
    return UnsupportedError("no appraiser for this kind of evidence", finding=finding)
