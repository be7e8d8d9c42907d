"""Made-up certificate authorities, in the shapes of the TEE vendors' (no hardware)."""

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

START = 1_750_000_000
"""2025-06-15: what is made here is valid around this time."""

DAY = 86_400
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def at(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


@dataclass(frozen=True)
class Holder:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def fingerprint(self) -> bytes:
        return self.certificate.fingerprint(hashes.SHA256())


def issue(
    name: str,
    key: PrivateKey,
    issuer: Holder | None = None,
    *,
    ca: bool = True,
    path_length: int | None = None,
    begins: float = START - DAY,
    ends: float = START + DAY,
    serial: int | None = None,
    extensions: tuple[x509.ExtensionType, ...] = (),
    algorithm: hashes.HashAlgorithm | None = None,
    pss: bool = False,
    may_sign: bool | None = None,
) -> Holder:
    """A certificate for `key`, self-signed where there is no issuer."""
    builder = x509.CertificateBuilder(
        issuer_name=named(name) if issuer is None else issuer.certificate.subject,
        subject_name=named(name),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number() if serial is None else serial,
        not_valid_before=at(begins),
        not_valid_after=at(ends),
    ).add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
    if may_sign is not None:
        builder = builder.add_extension(_usage(may_sign), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    signer = key if issuer is None else issuer.key
    digest = algorithm or (hashes.SHA256() if _is_p256(signer) else hashes.SHA384())
    if pss:
        padded = padding.PSS(padding.MGF1(digest), digest.digest_size)  # type: ignore[arg-type]
        return Holder(builder.sign(signer, digest, rsa_padding=padded), key)  # type: ignore[arg-type]
    return Holder(builder.sign(signer, digest), key)  # type: ignore[arg-type]


def _is_p256(key: PrivateKey) -> bool:
    return isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1"


def _usage(may_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=may_sign,
        crl_sign=may_sign,
        encipher_only=False,
        decipher_only=False,
    )


def crl(
    issuer: Holder,
    *revoked: int,
    begins: float = START - DAY,
    ends: float = START + DAY,
    pss: bool = False,
    critical: x509.ExtensionType | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """A revocation list of these serial numbers, in DER; of none, an empty list."""
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, at(begins), at(ends))
    if critical is not None:
        builder = builder.add_extension(critical, critical=True)
    for serial in revoked:
        builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, at(begins)).build())
    digest = digest or (hashes.SHA256() if _is_p256(issuer.key) else hashes.SHA384())
    if pss:
        padded = padding.PSS(padding.MGF1(digest), digest.digest_size)
        signed = builder.sign(issuer.key, digest, rsa_padding=padded)  # type: ignore[arg-type]
    else:
        signed = builder.sign(issuer.key, digest)  # type: ignore[arg-type]
    return signed.public_bytes(Encoding.DER)
