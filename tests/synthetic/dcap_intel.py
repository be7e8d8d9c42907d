"""Made-up Intel: the certificates of one platform, and what is published about it, by keys that are nobody's."""

import hashlib
import json
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from tests.synthetic.dcap_shapes import (
    COMPONENTS,
    MANY_YEARS,
    NOW_AND_A_MONTH,
    SGX_EXTENSION,
    TEE_TCB_SVN,
    Level,
    Options,
    rated,
    sgx_extension,
    svns,
    times,
)
from tests.synthetic.pki import START, Holder, at, issue
from verifier.evidence.dcap_quote import Tee
from verifier.evidence.dcap_rating import INTEL_MR_SIGNER


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    secret = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") % (1 << 255)
    return ec.derive_private_key(secret, ec.SECP256R1())


def signature(name: str, content: bytes) -> bytes:
    """r then s."""
    r, s = decode_dss_signature(key(name).sign(content, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@cache
def _issued(role: str, name: str, issuer: Holder | None, window: tuple[float, float], extension: bytes) -> Holder:
    """The same certificate each time: signatures are random."""
    oid = x509.ObjectIdentifier(SGX_EXTENSION)
    return issue(
        name,
        key(role),
        issuer,
        ca=role in ("root", "ca"),
        path_length={"root": 1, "ca": 0}.get(role),
        begins=window[0],
        ends=window[1],
        serial=int.from_bytes(hashlib.sha256(role.encode()).digest()[:8], "big"),
        extensions=(x509.UnrecognizedExtension(oid, extension),) if extension else (),
        may_sign=role in ("root", "ca"),
    )


class Intel:
    """Root, certificates of one platform, and what is published about it."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.root = self._holder("root", "Intel SGX Root CA", None)
        self.ca = self._holder("ca", f"Intel SGX PCK {options.ca} CA", self.root)
        extension = sgx_extension(options.ppid, options.components, options.pce_svn)
        self.pck = self._holder("pck", "Intel SGX PCK Certificate", self.ca, extension)
        self.signer = self._holder("signer", "Intel SGX TCB Signing", self.root)

    def _holder(self, role: str, name: str, issuer: Holder | None, extension: bytes = b"") -> Holder:
        options = self.options
        if role in options.issued_by and issuer is not None:
            issuer = Holder(issuer.certificate, key(options.issued_by[role]))
        window = options.windows.get(role, (START - MANY_YEARS, START + MANY_YEARS))
        return _issued(role, options.names.get(role, name), issuer, window, extension)

    def chain(self) -> bytes:
        return self.pck.pem + self.ca.pem + self.root.pem

    def tcb_info(self) -> str:
        options, is_tdx = self.options, self.options.tee == Tee.TDX
        known: dict[str, Any] = {
            "id": options.tee.name,
            "version": 3,
            **times(options.windows.get("tcb_info", NOW_AND_A_MONTH)),
        }
        known |= {"fmspc": options.fmspc.hex().upper(), "pceId": "0000", "tcbType": 0, "tcbEvaluationDataNumber": 17}
        if is_tdx:
            signer = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
            modules = [
                rated({"isvsvn": TEE_TCB_SVN[0] - lower}, status, advisories)
                for status, lower, advisories in options.module_levels
            ]
            known |= {"tdxModule": signer, "tdxModuleIdentities": [{"id": "TDX_01", **signer, "tcbLevels": modules}]}
        known["tcbLevels"] = [self._level(level) for level in options.levels]
        return json.dumps({**known, **options.tcb_info}, separators=(",", ":"))

    def _level(self, level: Level) -> dict[str, Any]:
        status, lower, advisories = level
        tcb: dict[str, Any] = {"sgxtcbcomponents": svns(COMPONENTS, lower), "pcesvn": 13 - lower}
        if self.options.tee == Tee.TDX:
            tcb["tdxtcbcomponents"] = svns(TEE_TCB_SVN[:1] + b"\0" + TEE_TCB_SVN[2:], lower)
        return rated(tcb, status, advisories)

    def qe_identity(self) -> str:
        options, is_sgx = self.options, self.options.tee == Tee.SGX
        known: dict[str, Any] = {
            "id": "QE" if is_sgx else "TD_QE",
            "version": 2,
            **times(options.windows.get("qe_identity", NOW_AND_A_MONTH)),
        }
        known |= {"tcbEvaluationDataNumber": 17, "miscselect": "00000000", "miscselectMask": "FFFFFFFF"}
        known |= {"attributes": "11" + "00" * 15, "attributesMask": "FB" + "FF" * 7 + "00" * 8}
        known |= {"mrsigner": INTEL_MR_SIGNER[options.tee].hex().upper(), "isvprodid": 1 if is_sgx else 2}
        known["tcbLevels"] = [
            rated({"isvsvn": 8 - lower}, status, advisories) for status, lower, advisories in options.qe_levels
        ]
        return json.dumps({**known, **options.qe_identity}, separators=(",", ":"))

    def collateral(self) -> dict[str, bytes]:
        """Part `collateral`, or its pieces as parts of their own, or nothing."""
        texts = {"tcb_info": self.tcb_info(), "qe_identity": self.qe_identity()}
        signatures = {name: self._signature(name, text).hex() for name, text in texts.items()}
        signing = (self.signer.pem + self.root.pem).decode()
        lists = {"root_ca_crl": self._crl("root", self.root), "pck_crl": self._crl("ca", self.ca)}
        if self.options.form == "collateral":
            whole: dict[str, str] = {"pck_crl_issuer_chain": (self.ca.pem + self.root.pem).decode()}
            whole |= {name: content.hex() for name, content in lists.items()}
            for name, text in texts.items():
                whole |= {f"{name}_issuer_chain": signing, name: text, f"{name}_signature": signatures[name]}
            return {"collateral": json.dumps(whole, indent=1).encode()}
        if self.options.form == "none":
            return {}
        inner = {"tcb_info": "tcbInfo", "qe_identity": "enclaveIdentity"}
        parts = {
            name: f'{{"{inner[name]}":{text},"signature":"{signatures[name]}"}}'.encode()
            for name, text in texts.items()
        }
        parts |= {"tcb_signing_chain": signing.encode()}
        return parts | {"root_crl": lists["root_ca_crl"], "pck_crl": lists["pck_crl"], "pck_chain": self.chain()}

    def _signature(self, name: str, text: str) -> bytes:
        return signature("forger" if name in self.options.forged else "signer", text.encode())

    def _crl(self, role: str, issuer: Holder) -> bytes:
        options = self.options
        begins, ends = options.windows.get(f"{role}-crl", NOW_AND_A_MONTH)
        builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, at(begins), at(ends))
        builder = builder.add_extension(x509.CRLNumber(1), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = builder.add_extension(authority, critical=False)
        below = {"ca": self.ca, "signer": self.signer} if role == "root" else {"pck": self.pck}
        for name, holder in below.items():
            if name in options.revoked:
                entry = x509.RevokedCertificateBuilder(holder.certificate.serial_number, at(begins))
                builder = builder.add_revoked_certificate(entry.build())
        signer = key("forger") if f"{role}-crl" in options.forged else key(role)
        return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)
