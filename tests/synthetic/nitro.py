"""Nitro attestation documents under a made-up AWS: the shape of the real ones, down to the indefinite-length map."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from cbor2 import dumps
from cryptography.hazmat.primitives.asymmetric import ec

from tests.synthetic.cose import ec_key, sign1
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.pki import DAY, START, Holder, issue
from verifier.evidence.nitro import NitroAppraiser
from verifier.evidence.roots import AWS

NOW = float(START)
NONCE = bytes(range(64))
INSTANCE = "i-0123456789abcdef0"
MODULE = f"{INSTANCE}-enc0123456789abcdef"
ABSENT = object()
"""As the value of an entry: leave it out."""


@cache
def root() -> Holder:
    return issue("aws.nitro-enclaves", ec_key(1, "P-384"), may_sign=True, begins=START - 999 * DAY)


@cache
def issuers() -> tuple[Holder, ...]:
    """Root first, as in `cabundle`: root, region, zone, instance."""
    chain = [root()]
    for depth, name in enumerate(("region", "zone", "instance"), start=2):
        chain.append(issue(name, ec_key(depth, "P-384"), chain[-1], may_sign=True, path_length=4 - depth))
    return tuple(chain)


@cache
def leaf_key() -> ec.EllipticCurvePrivateKey:
    return ec_key(9, "P-384")


def leaf(issuer: Holder | None = None, **faults: Any) -> Holder:
    """A module's certificate: three hours, `digitalSignature`, no CA."""
    shape = {"ca": False, "may_sign": False, "begins": START - 60, "ends": START + 3 * 3600} | faults
    return issue(MODULE, shape.pop("key", leaf_key()), issuer or issuers()[-1], **shape)


@cache
def module() -> Holder:
    return leaf()


def pcrs(fill: int = 0xA0) -> dict[int, bytes]:
    """Sixteen, of which the enclave's own and its instance's are set; none of the former under debug (`fill=0`)."""
    measured = {index: bytes([fill + index if fill else 0]) * 48 for index in (0, 1, 2)}
    return {index: measured.get(index, bytes([index]) * 48 if index == 4 else bytes(48)) for index in range(16)}


def entries(certificate: Holder, cabundle: tuple[Holder, ...]) -> dict[str, Any]:
    return {
        "module_id": MODULE,
        "digest": "SHA384",
        "timestamp": START * 1000 + 346,
        "pcrs": pcrs(),
        "certificate": certificate.der,
        "cabundle": [each.der for each in cabundle],
        "public_key": None,
        "user_data": None,
        "nonce": NONCE,
    }


def indefinite(items: Mapping[Any, Any]) -> bytes:
    """A map as the NSM writes it."""
    return b"\xbf" + b"".join(dumps(key) + dumps(value) for key, value in items.items()) + b"\xff"


def nitro(
    *,
    certificate: Holder | None = None,
    cabundle: tuple[Holder, ...] | None = None,
    signer: ec.EllipticCurvePrivateKey | None = None,
    pinned: Holder | None = None,
    changed: Mapping[str, Any] | None = None,
    cose: Mapping[str, Any] | None = None,
    definite: bool = False,
) -> Exhibit:
    """A valid document, but for what is given. `changed` replaces entries, `cose` goes to the signature."""
    certificate = certificate or module()
    content = entries(certificate, issuers() if cabundle is None else cabundle) | dict(changed or {})
    content = {name: value for name, value in content.items() if value is not ABSENT}
    payload = dumps(content) if definite else indefinite(content)
    key = signer or certificate.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    document = sign1(key, payload, **{"tag": None} | dict(cose or {}))
    appraiser = NitroAppraiser({AWS: frozenset({(pinned or root()).fingerprint})})
    return Exhibit(appraiser, {"doc": document}, NOW, NONCE)
