"""Conceptual message wrappers (RFC 9999): evidence in several parts as one CBOR collection."""

from collections.abc import Mapping

from protocol.cbor import CborValue, decode_untrusted, encode
from protocol.errors import Finding, MalformedError, ProtocolMisuseError
from schemas.attestation import MAX_WRAPPED_EVIDENCE
from schemas.evidence import EvidenceFormat, collection_type

_TYPE = "__cmwc_t"


def wrap(form: EvidenceFormat, parts: Mapping[str, bytes]) -> bytes:
    """These parts as the bytes of a CMW record of media type `form.media_type`.

    Raises `ProtocolMisuseError` for a part that the kind does not have, that does not travel or is empty, or for none.
    """
    if not parts:
        raise ProtocolMisuseError("evidence without a part")
    items: dict[str, CborValue] = {_TYPE: collection_type(form.name)}
    for name, content in parts.items():
        part = form.part(name)
        if part is None or not part.travels:
            raise ProtocolMisuseError(f"{form.name} evidence carries no part {name}")
        if not content:
            raise ProtocolMisuseError(f"an empty part {name} of {form.name} evidence")
        if part.media_type == form.media_type:
            return content
        items[name] = [part.media_type, content]
    return encode(items)


def unwrap_untrusted(form: EvidenceFormat, evidence: bytes) -> dict[str, bytes]:
    """The parts, by name, of the bytes of a record: known names, the media type of each, at least one, none empty.

    Nothing is trusted. Raises `MalformedError`.
    """
    if form.parts[0].media_type == form.media_type:
        return {form.parts[0].name: _filled(evidence, form.parts[0].name)}
    items = decode_untrusted(evidence, max_bytes=MAX_WRAPPED_EVIDENCE, max_depth=4, tags=frozenset())
    if not isinstance(items, dict):
        raise MalformedError("evidence is not a CMW collection", finding=Finding("evidence", "a map", "another item"))
    found = items.pop(_TYPE, None)
    if found != collection_type(form.name):
        finding = Finding(f"evidence.{_TYPE}", collection_type(form.name), repr(found)[:64])
        raise MalformedError("a CMW collection of another type", finding=finding)
    if not items:
        raise MalformedError("evidence without a part", finding=Finding("evidence", "at least one part", "none"))
    return {str(name): _content_untrusted(form, name, record) for name, record in items.items()}


def _content_untrusted(form: EvidenceFormat, name: object, record: object) -> bytes:
    part = form.part(name) if isinstance(name, str) else None
    if part is None:
        finding = Finding("evidence", " or ".join(each.name for each in form.parts), repr(name)[:32])
        raise MalformedError("a part that this kind of evidence does not have", finding=finding)
    if not part.travels:
        # Or an attester could say which key is to be believed: its own.
        finding = Finding(f"evidence.{part.name}", "from the verifier's own folder", "with the evidence")
        raise MalformedError("a key that nobody vouches for", finding=finding)
    if not (isinstance(record, list) and len(record) == 2 and isinstance(record[1], bytes)):
        finding = Finding(f"evidence.{part.name}", "[media type, bytes]", "another item")
        raise MalformedError("not a CMW record", finding=finding)
    if record[0] != part.media_type:
        finding = Finding(f"evidence.{part.name}", part.media_type, repr(record[0])[:64])
        raise MalformedError("a part of another media type", finding=finding)
    return _filled(record[1], name)


def _filled(content: bytes, name: object) -> bytes:
    if not content:
        finding = Finding(f"evidence.{name}", "at least one byte", "none")
        raise MalformedError("an empty part", finding=finding)
    return content
