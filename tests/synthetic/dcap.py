"""Made-up quotes of Intel's SGX and TDX, with collateral: `Options` says what may deviate.

sgx(), tdx(), tdx(version=5)                      valid, up to date, with full collateral
sgx(pinned=False), tdx(revoked=frozenset({"pck"}))    one fault each
"""

import hashlib
import struct
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.synthetic.dcap_intel import Intel, key, signature
from tests.synthetic.dcap_shapes import BODIES, NONCE, Options, filled, le
from tests.synthetic.exhibit import Exhibit
from verifier.endorsements import NO_ENDORSEMENTS
from verifier.evidence.dcap import SgxAppraiser, TdxAppraiser
from verifier.evidence.dcap_body import BodyType
from verifier.evidence.dcap_quote import INTEL_QE, Tee
from verifier.evidence.dcap_rating import INTEL_MR_SIGNER
from verifier.evidence.interface import Endorsements
from verifier.evidence.roots import INTEL


def sgx(endorsements: Endorsements = NO_ENDORSEMENTS, **deviations: Any) -> Exhibit:
    """An SGX quote of version 3, or the given one."""
    version = deviations.get("version", 3)
    return exhibit(replace(Options(version=version), **deviations), endorsements)


def tdx(endorsements: Endorsements = NO_ENDORSEMENTS, **deviations: Any) -> Exhibit:
    """A TDX quote of version 4, or of version 5 and then of TD 1.5 unless the body type says otherwise."""
    version = deviations.get("version", 4)
    kind = deviations.get("body_type", BodyType.TDX_1_5 if version == 5 else BodyType.TDX_1_0)
    options = Options(tee=Tee.TDX, version=version, body_type=kind)
    return exhibit(replace(options, **deviations), endorsements)


def exhibit(options: Options, endorsements: Endorsements = NO_ENDORSEMENTS) -> Exhibit:
    intel = Intel(options)
    roots = {INTEL: frozenset({intel.root.fingerprint if options.pinned else bytes(32)})}
    appraiser = (SgxAppraiser if options.tee == Tee.SGX else TdxAppraiser)(endorsements, roots)
    parts = {"quote": quote(options, intel), **intel.collateral()}
    return Exhibit(appraiser, parts, options.now, NONCE)


def quote(options: Options, intel: Intel) -> bytes:
    """The quote of one enclave or trust domain, by an enclave of a platform of `intel`."""
    signed = _header(options) + _body(options)
    known = key("attestation").public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    point = known if options.point is None else options.point
    bound = hashlib.sha256((point if options.key_bound else bytes(64)) + options.authentication).digest()
    report = _report(options, bound + bytes(32))
    enclave = report + signature(options.qe_signed_by, report)
    enclave += struct.pack("<H", len(options.authentication)) + options.authentication
    certification = _certification(options, intel)
    enclave += struct.pack("<HI", options.certification_type, len(certification)) + certification
    if options.version > 3:
        enclave = struct.pack("<HI", 6, len(enclave)) + enclave
    data = signature(options.signed_by, signed) + point + enclave
    return signed + struct.pack("<I", len(data)) + data + options.filler


def _header(options: Options) -> bytes:
    fields: dict[str, Any] = {"version": options.version, "key_type": 2, "tee": options.tee, "vendor": INTEL_QE}
    fields.update(options.header)
    head = struct.pack("<HHIHH", fields["version"], fields["key_type"], fields["tee"], 0, 0)
    vendor: bytes = fields["vendor"]
    return head + vendor + bytes(range(20))


def _body(options: Options) -> bytes:
    content = filled(options.body_type, {**BODIES[options.tee], **options.body})
    if options.version < 5:
        return content
    declared = options.header.get("body_size", len(content))
    return struct.pack("<HI", options.header.get("body_type", options.body_type), declared) + content


def _report(options: Options, report_data: bytes) -> bytes:
    known = {
        "cpu_svn": options.components,
        "attributes": bytes.fromhex("1500000000000000e700000000000000"),
        "mr_enclave": hashlib.sha256(b"qe").digest(),
        "mr_signer": INTEL_MR_SIGNER[options.tee],
        "isv_prod_id": le(1 if options.tee == Tee.SGX else 2),
        "isv_svn": le(8),
        "report_data": report_data,
    }
    return filled(BodyType.SGX, {**known, **options.qe})


def _certification(options: Options, intel: Intel) -> bytes:
    if options.certification is not None:
        return options.certification
    tail = options.components + le(options.pce_svn) + bytes(2)
    given = {1: options.ppid + tail, 2: bytes(256) + tail, 3: bytes(384) + tail, 4: intel.pck.pem}
    return given.get(options.certification_type, intel.chain() + b"\0")
