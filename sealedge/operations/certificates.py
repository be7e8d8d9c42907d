"""TLS for a fleet's own broker: a small CA of X.509 certificates (RFC 5280), one for the broker, one for each client.

They protect the connection to the broker, no more: who is believed in the fleet is decided by credentials.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.errors import ConfigurationError
from protocol.trust import CLOCK_SKEW
from sealedge.operations.authority import CREDENTIAL_DAYS

CA_DAYS: Final = 3650
MAX_COMMON_NAME: Final = 64
"""ub-common-name (RFC 5280 appendix A.1)."""


@dataclass(frozen=True, slots=True, repr=False)
class Issued:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True, repr=False)
class BrokerCA:
    """Issues the broker's and its clients' certificates. `now` in seconds since the epoch."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, fleet: str, now: float) -> "BrokerCA":
        """A new one, good for ten years."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(f"sealedge broker CA {fleet}"[:MAX_COMMON_NAME])
        builder = (
            _builder(subject, subject, key.public_key(), now, CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(certifies=True), critical=True)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> "BrokerCA":
        """The one that `pem` gave. Raises `ConfigurationError`."""
        try:
            private = serialization.load_pem_private_key(key, password=None)
            loaded = x509.load_pem_x509_certificate(certificate)
        except (ValueError, TypeError):
            raise ConfigurationError("the broker's CA is not a PEM certificate and its key") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != loaded.public_key():
            raise ConfigurationError("the broker's CA key is not that of its certificate")
        return cls(loaded, private)

    def pem(self) -> Issued:
        """For the files. The key stays with the authority's."""
        return Issued(self.certificate.public_bytes(serialization.Encoding.PEM), _private_pem(self.key))

    def issue_server(self, host: str, now: float) -> Issued:
        """For the broker: its own host name or address, and those of its own machine."""
        names = dict.fromkeys(_general_name(each) for each in (host, "localhost", "127.0.0.1", "::1"))
        return self._issue(_name(host[:MAX_COMMON_NAME]), ExtendedKeyUsageOID.SERVER_AUTH, list(names), now)

    def issue_client(self, account: str, fleet: str, now: float) -> Issued:
        """For a party: the broker takes the common name for the user name. Raises `ConfigurationError`.

        The fleet stands in the subject, too: a broker that serves several takes the whole of it.
        """
        if len(account) > MAX_COMMON_NAME:
            raise ConfigurationError(f"{account}: longer than the {MAX_COMMON_NAME} characters of a certificate's name")
        return self._issue(_name(account, fleet), ExtendedKeyUsageOID.CLIENT_AUTH, [], now)

    def _issue(
        self, subject: x509.Name, usage: x509.ObjectIdentifier, names: list[x509.GeneralName], now: float
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(subject, self.certificate.subject, key.public_key(), now, CREDENTIAL_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(certifies=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        return Issued(certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: float, days: int
) -> x509.CertificateBuilder:
    start = datetime.fromtimestamp(now, UTC) - timedelta(seconds=CLOCK_SKEW)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, certifies: bool) -> x509.KeyUsage:
    """RFC 5280 §4.2.1.3: a CA's key signs certificates, any other the handshake; neither does the other's work."""
    return x509.KeyUsage(
        digital_signature=not certifies,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifies,
        crl_sign=certifies,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str, fleet: str | None = None) -> x509.Name:
    organisation = [] if fleet is None else [x509.NameAttribute(NameOID.ORGANIZATION_NAME, fleet)]
    return x509.Name([*organisation, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
