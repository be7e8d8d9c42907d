"""Collateral: what Intel signs about platforms, quoting enclaves and revoked certificates, in the forms it travels in.

One JSON object as dcap-qvl has it, or one part each; what is missing is looked for among the verifier's endorsements.
A document and its signature stand in one JSON object, `{"tcbInfo":{...},"signature":"hex"}`, and the signature is over
the very bytes of the inner object, so those are cut out and never written anew.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Generic, TypeVar

from cryptography import x509
from pydantic import ValidationError

from protocol.errors import Finding, MalformedError
from schemas.reason import Reason
from verifier.evidence.certificates import certificates_untrusted
from verifier.evidence.dcap_tcb import Document, EnclaveIdentity, TcbInfo
from verifier.evidence.interface import Endorsements, Parts
from verifier.evidence.revocation_lists import RevocationList, crl_untrusted

MAX_COLLATERAL: Final = 262_144
"""Bytes of collateral in one part; Intel's of today takes some 25,000."""

TCB_INFO, QE_IDENTITY = "tcb_info", "qe_identity"
TCB_SIGNING_CHAIN, QE_SIGNING_CHAIN = "tcb_signing_chain", "qe_identity_issuer_chain"
PCK_CRL, ROOT_CRL = "pck_crl", "root_crl"

_INNER: Final = {TCB_INFO: "tcbInfo", QE_IDENTITY: "enclaveIdentity"}
_TAIL: Final = re.compile(r'\s*,\s*"signature"\s*:\s*"([0-9a-f]{128}|[0-9A-F]{128})"\s*\}\s*')
_CHAINS: Final = {"tcb_info_issuer_chain": TCB_SIGNING_CHAIN, "qe_identity_issuer_chain": QE_SIGNING_CHAIN}
_CRLS: Final = {"root_ca_crl": ROOT_CRL, "pck_crl": PCK_CRL}

D = TypeVar("D", bound=Document)


@dataclass(frozen=True, slots=True)
class Signed(Generic[D]):
    """A document, the bytes that were signed, and the signature over them: r then s. Nothing is verified."""

    document: D
    content: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Collateral:
    """What is known of a platform's collateral; None where it was not given. Well formed, nothing more."""

    tcb_info: Signed[TcbInfo] | None = None
    tcb_chain: tuple[x509.Certificate, ...] | None = None
    qe_identity: Signed[EnclaveIdentity] | None = None
    qe_chain: tuple[x509.Certificate, ...] | None = None
    pck_crl: RevocationList | None = None
    root_crl: RevocationList | None = None


def given_untrusted(parts: Parts) -> Mapping[str, bytes]:
    """The pieces that travel with a quote, by name: of part `collateral`, and of parts of their own, which win.

    Raises `MalformedError`, also for a piece that is not what its name says.
    """
    whole = parts.get("collateral")
    pieces = {} if whole is None else dict(_pieces_untrusted(whole))
    names = (TCB_INFO, QE_IDENTITY, TCB_SIGNING_CHAIN, PCK_CRL, ROOT_CRL)
    own = {name: parts[name] for name in names if name in parts}
    if TCB_SIGNING_CHAIN in own:
        pieces.pop(QE_SIGNING_CHAIN, None)
    pieces.update(own)
    collateral_untrusted(pieces)
    return pieces


def completed(
    pieces: Mapping[str, bytes], endorsements: Endorsements, tee: str, fmspc: str, ca: str, now: float
) -> dict[str, bytes]:
    """`pieces`, and those of the verifier's endorsements that are not among them, or are newer.

    `tee` is sgx or tdx, `fmspc` in lower-case hex, `ca` platform or processor. What travels must not hide what Intel
    has said since; what it says after `now`, where a quote of the past is looked at, does not count. Nothing is
    verified. Raises `MalformedError` for an endorsement that is not what its name says.
    """
    names = {
        TCB_INFO: f"intel/tcb-info/{tee}-{fmspc}",
        QE_IDENTITY: f"intel/qe-identity/{tee}",
        TCB_SIGNING_CHAIN: "intel/tcb-signing-chain",
        PCK_CRL: f"intel/pck-crl/{ca}",
        ROOT_CRL: "intel/root-crl",
    }
    found = dict(pieces)
    for piece, name in names.items():
        held = endorsements.find(name)
        if held is not None and (piece not in pieces or _is_newer(piece, held, pieces[piece], now)):
            found[piece] = held
    return found


def _is_newer(piece: str, held: bytes, given: bytes, now: float) -> bool:
    if piece == TCB_SIGNING_CHAIN:
        return False
    (evaluation, issued), of_given = _edition(piece, held), _edition(piece, given)
    return of_given < (evaluation, issued) and issued <= now


def _edition(piece: str, data: bytes) -> tuple[int, float]:
    """What a later one has more of: the number of Intel's evaluation, and the time of issue."""
    if piece in (PCK_CRL, ROOT_CRL):
        return 0, crl_untrusted(data, piece).issued
    document: Document = (_tcb_info_untrusted(data) if piece == TCB_INFO else _qe_identity_untrusted(data)).document
    return document.evaluation, document.issued.timestamp()


def collateral_untrusted(pieces: Mapping[str, bytes]) -> Collateral:
    """The pieces, read. Raises `MalformedError`."""
    chain = pieces.get(TCB_SIGNING_CHAIN)
    qe_chain = pieces.get(QE_SIGNING_CHAIN, chain)
    tcb_info, qe_identity = pieces.get(TCB_INFO), pieces.get(QE_IDENTITY)
    pck_crl, root_crl = pieces.get(PCK_CRL), pieces.get(ROOT_CRL)
    return Collateral(
        tcb_info=None if tcb_info is None else _tcb_info_untrusted(tcb_info),
        tcb_chain=None if chain is None else certificates_untrusted(chain, TCB_SIGNING_CHAIN),
        qe_identity=None if qe_identity is None else _qe_identity_untrusted(qe_identity),
        qe_chain=None if qe_chain is None else certificates_untrusted(qe_chain, QE_SIGNING_CHAIN),
        pck_crl=None if pck_crl is None else crl_untrusted(pck_crl, PCK_CRL),
        root_crl=None if root_crl is None else crl_untrusted(root_crl, ROOT_CRL),
    )


@lru_cache(maxsize=64)
def _tcb_info_untrusted(data: bytes) -> Signed[TcbInfo]:
    content, signature = _cut_untrusted(data, TCB_INFO)
    return Signed(_read_untrusted(TcbInfo, content, TCB_INFO), content, signature)


@lru_cache(maxsize=64)
def _qe_identity_untrusted(data: bytes) -> Signed[EnclaveIdentity]:
    content, signature = _cut_untrusted(data, QE_IDENTITY)
    return Signed(_read_untrusted(EnclaveIdentity, content, QE_IDENTITY), content, signature)


def _cut_untrusted(data: bytes, name: str) -> tuple[bytes, bytes]:
    """The bytes of the inner object, and the signature beside it."""
    _check_size(data, name)
    try:
        text = data.decode("utf-8")
        head = re.match(rf'\s*\{{\s*"{_INNER[name]}"\s*:\s*', text)
        start = len(text) if head is None else head.end()
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        raise _unreadable(name) from None
    tail = _TAIL.fullmatch(text, end)
    if tail is None:
        raise _unreadable(name)
    return text[start:end].encode("utf-8"), bytes.fromhex(tail[1])


def _read_untrusted(model: type[D], content: bytes, name: str) -> D:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, (name, *first["loc"])))
        raise MalformedError(
            f"{name} is malformed", finding=Finding(place[:200], "as Intel specifies", "not")
        ) from None


@lru_cache(maxsize=64)
def _pieces_untrusted(data: bytes) -> Mapping[str, bytes]:
    """The object of dcap-qvl: documents as text, signatures and revocation lists in hex, chains in PEM."""
    _check_size(data, "collateral")
    try:
        value = json.loads(data)
        items = {name: item for name, item in value.items() if isinstance(item, str)}
        pieces = {piece: items[name].encode("utf-8") for name, piece in _CHAINS.items() if name in items}
        pieces.update({piece: bytes.fromhex(items[name]) for name, piece in _CRLS.items() if name in items})
        pieces.update({name: _rejoined(items, name) for name in _INNER if name in items})
    except (ValueError, RecursionError, AttributeError, KeyError):
        raise _unreadable("collateral") from None
    return pieces


def _rejoined(items: Mapping[str, str], name: str) -> bytes:
    """Document and signature in one object, as Intel's service gives them."""
    return f'{{"{_INNER[name]}":{items[name]},"signature":"{items[f"{name}_signature"]}"}}'.encode()


def _check_size(data: bytes, name: str) -> None:
    if len(data) > MAX_COLLATERAL:
        finding = Finding(name, f"at most {MAX_COLLATERAL} bytes", str(len(data)))
        raise MalformedError(f"{name} is too large", reason=Reason.OVERSIZED, finding=finding)


def _unreadable(name: str) -> MalformedError:
    expected = "dcap-qvl's object" if name == "collateral" else f'{{"{_INNER[name]}":{{...}},"signature":"hex"}}'
    return MalformedError(f"{name} is not readable", finding=Finding(name, expected, "something else"))
