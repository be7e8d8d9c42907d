"""What is in an endorsement folder, for people: of whom each file is, and until when."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from protocol.errors import RemoteError
from protocol.messages import digest
from sealedge.operations.endorsements import Kept, kept_in
from verifier.evidence.certificates import certificates_untrusted, common_name
from verifier.evidence.dcap_collateral import collateral_untrusted
from verifier.evidence.public_keys import public_key_untrusted, spki
from verifier.evidence.revocation_lists import crl_untrusted

Listed = Mapping[str, str | None]


def listing(folder: Path) -> Iterator[Listed]:
    """`name`, `subject`, `until` (ISO 8601, None without an end), `sha256`. Raises `ConfigurationError`.

    Nothing is verified: a file that cannot be read has the subject "unreadable".
    """
    for kept in kept_in(folder):
        try:
            subject, until = _described(kept)
        except (RemoteError, ValueError):
            subject, until = "unreadable", None
        ends = None if until is None else until.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        yield {"name": kept.name, "subject": subject, "until": ends, "sha256": kept.sha256}


def _described(kept: Kept) -> tuple[str, datetime | None]:
    name, content = kept.name, kept.content
    if "/crl/" in name or "-crl" in name:
        crl = crl_untrusted(content, name).x509
        return f"{len(crl)} revoked by {_common_name(crl.issuer)}", crl.next_update_utc
    if name.startswith("intel/tcb-info/"):
        return _document({"tcb_info": content})
    if name.startswith("intel/qe-identity/"):
        return _document({"qe_identity": content})
    if "/key/" in name or "/ak/" in name:
        key = public_key_untrusted(content, name)
        return f"a key, SHA-256 {digest(spki(key)).hex()[:16]}", None
    found = certificates_untrusted(content, name)
    return ", ".join(map(common_name, found)), min(each.not_valid_after_utc for each in found)


def _document(parts: Mapping[str, bytes]) -> tuple[str, datetime]:
    collateral = collateral_untrusted(parts)
    for signed in (collateral.tcb_info, collateral.qe_identity):
        if signed is not None:
            return f"{signed.document.id}, evaluation {signed.document.evaluation}", signed.document.next_update
    raise ValueError("no document")


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if found else "nobody"
