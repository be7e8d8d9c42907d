"""The certificate table that a cloud hands to an SEV-SNP guest beside each report (GHCB specification §4.1.8.1).

    entry   16 bytes  GUID, in the order in which it is written (RFC 9562 §4)
             4 bytes  offset of the certificate from the start of the table, little-endian
             4 bytes  its length, little-endian
    ...     a last entry of zeroes, then the certificates

Where the host gives none the table is empty, and the verifier finds the certificates in its own folder.
"""

import struct
from collections.abc import Mapping
from ssl import DER_cert_to_PEM_cert
from typing import Final
from uuid import UUID

from edge_agent.attester.interface import AttesterError
from protocol.errors import Finding

ENTRY: Final = struct.Struct("<16sII")
MAX_ENTRIES: Final = 16

NAMES: Final[Mapping[UUID, str]] = {
    UUID("63da758d-e664-4564-adc5-f4b93be8accd"): "VCEK",
    UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1"): "VLEK",
    UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782"): "ASK",
    UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae"): "ARK",
    UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea"): "CRL",
}

_PEM: Final = b"-----BEGIN "


def parse_certificate_table(table: bytes) -> dict[str, bytes]:
    """Certificates by the name of their GUID; others are left out. Raises `AttesterError`; checks no certificate."""
    if not table.rstrip(b"\0"):
        return {}
    found: dict[str, bytes] = {}
    for index in range(MAX_ENTRIES + 1):
        entry = table[index * ENTRY.size : (index + 1) * ENTRY.size]
        if len(entry) < ENTRY.size:
            raise _broken("a last entry of zeroes", "none")
        guid, offset, length = ENTRY.unpack(entry)
        if not any(entry):
            return found
        if offset < ENTRY.size or offset + length > len(table):
            raise _broken(f"certificates within {len(table)} bytes", f"{length} bytes at {offset}")
        name = NAMES.get(UUID(bytes=guid))
        if name in found:
            raise _broken(f"one {name}", "two")
        if name is not None and length:
            found[name] = table[offset : offset + length]
    raise _broken(f"at most {MAX_ENTRIES} entries", "more")


def endorsing_parts(certificates: Mapping[str, bytes]) -> dict[str, bytes]:
    """The parts of kind `snp` that these certificates make: `vcek`, `vlek`, `chain` (ASK or ASVK, then ARK), `crl`."""
    alone = (("VCEK", "vcek"), ("VLEK", "vlek"), ("CRL", "crl"))
    parts = {part: certificates[name] for name, part in alone if certificates.get(name)}
    above = [certificates[name] for name in ("ASK", "ARK") if certificates.get(name)]
    if len(above) == 2:
        parts["chain"] = b"".join(_pem(each) for each in above)
    return parts


def _pem(certificate: bytes) -> bytes:
    if certificate.lstrip().startswith(_PEM):
        return certificate.rstrip(b"\0 \r\n") + b"\n"
    return DER_cert_to_PEM_cert(certificate).encode()


def _broken(expected: str, found: str) -> AttesterError:
    return AttesterError("the certificate table is broken", finding=Finding("auxblob", expected, found))
