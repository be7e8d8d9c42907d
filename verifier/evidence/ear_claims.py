"""The claims of an EAR (draft-ietf-rats-ear-04, and Veraison's of before -03), under one set of names.

JSON of -03 and later   ear_status   ear_appraisal_policy_ids: [...]
JSON of before          ear.status   ear.appraisal-policy-id: "..."
CBOR                    1000         1003: [...] or "..."
here                    status       policy_ids
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from typing import Final, cast

from protocol.cbor import CborValue, encode
from protocol.errors import Finding, MalformedError
from verifier.evidence.ear_token import Claims, unpadded_untrusted
from verifier.evidence.interface import Claim

MAX_DEPTH: Final = 16
TIERS: Final = {0: "none", 2: "affirming", 32: "warning", 96: "contraindicated"}
"""AR4SI trustworthiness tiers (draft-ietf-rats-ar4si §3.2)."""

_BY_WORD: Final = {word: value for value, word in TIERS.items()}
_EXTENSIONS: Final = {"annotated_evidence": "-70000", "policy_claims": "-70001", "key_attestation": "-70002"}
_EAT: Final = {
    "1": "iss",
    "2": "sub",
    "3": "aud",
    "4": "exp",
    "5": "nbf",
    "6": "iat",
    "10": "eat_nonce",
    "256": "ueid",
    "263": "dbgstat",
    "265": "profile",
    "eat_profile": "profile",
    "266": "submods",
}
_TOKEN: Final[dict[str, str]] = {
    **_EAT,
    **dict.fromkeys(("1000", "ear.status", "ear_status"), "status"),
    **dict.fromkeys(("1001", "ear.trustworthiness-vector", "ear_trustworthiness_vector"), "vector"),
    **dict.fromkeys(("1002", "ear.raw-evidence", "ear_raw_evidence"), "raw_evidence"),
    **dict.fromkeys(
        ("1003", "ear.appraisal-policy-id", "ear_appraisal_policy_id", "ear_appraisal_policy_ids"), "policy_ids"
    ),
    **dict.fromkeys(("1004", "ear.verifier-id", "ear_verifier_id"), "verifier_id"),
    **dict.fromkeys(("65000", "ear.teep-claims", "ear_teep_claims"), "teep_claims"),
    **{label: name for name, label in _EXTENSIONS.items()},
    **{f"ear_veraison_{name}": name for name in _EXTENSIONS},
    **{f"ear.veraison.{name.replace('_', '-')}": name for name in _EXTENSIONS},
}
_VECTOR_NAMES: Final = (
    "instance_identity",
    "configuration",
    "executables",
    "file_system",
    "hardware",
    "runtime_opaque",
    "storage_opaque",
    "sourced_data",
)
_VECTOR: Final = {
    **{str(label): name for label, name in enumerate(_VECTOR_NAMES)},
    **{name.replace("_", "-"): name for name in _VECTOR_NAMES},
}
_VERIFIER_ID: Final = {"0": "developer", "1": "build"}

Plain = Mapping[str, Claim]


def plain_untrusted(claims: Claims) -> Plain:
    """The token's claims with the names above, and nothing but `Claim`s in it.

    Raises `MalformedError` for nesting beyond `MAX_DEPTH`, integers beyond 64 bits, and a claim under two names.
    """
    token = _renamed(_map(claims, MAX_DEPTH), _TOKEN)
    if isinstance(token.get("verifier_id"), Mapping):
        token["verifier_id"] = _renamed(cast(Plain, token["verifier_id"]), _VERIFIER_ID)
    submods = token.get("submods")
    if isinstance(submods, Mapping):
        token["submods"] = {name: _submodule(each) for name, each in submods.items()}
    return token


def tier_of(status: Claim) -> int | None:
    """The number of a status, given as number or word; None where it is no tier."""
    if isinstance(status, str):
        return _BY_WORD.get(status)
    return status if isinstance(status, int) and not isinstance(status, bool) and status in TIERS else None


def tier_of_claim(value: int) -> int:
    """The tier that one claim of a trustworthiness vector falls in (draft-ietf-rats-ar4si §2.3.1)."""
    if -1 <= value <= 1:
        return 0
    if -32 <= value <= 31:
        return 2
    return 32 if -96 <= value <= 95 else 96


def nonce_of(token: Plain) -> bytes:
    """`eat_nonce` of the token, else the one that its submodules agree on; empty where there is none, or several."""
    if "eat_nonce" in token:
        return _binary(token["eat_nonce"])
    found = {_binary(each["eat_nonce"]) for each in submodules(token) if "eat_nonce" in each}
    return found.pop() if len(found) == 1 else b""


def chip_of(token: Plain) -> bytes | None:
    """SHA-256 of the `ueid` that token and submodules agree on (RFC 9711 §4.2.1)."""
    places = [token, *submodules(token)]
    places += [each["teep_claims"] for each in places if isinstance(each.get("teep_claims"), Mapping)]  # type: ignore[misc] # mypy does not narrow an item
    found = {_binary(each["ueid"]) for each in places if "ueid" in each} - {b""}
    return hashlib.sha256(found.pop()).digest() if len(found) == 1 else None


def measurement_of(token: Plain) -> bytes:
    """SHA-256 over the deterministic encoding of what was appraised: the same each time for the same state.

    That is each submodule's annotated evidence, or its appraisal where it shows none, without what repeats the nonce.
    """
    submods, nonce = cast(Mapping[str, Plain], token["submods"]), nonce_of(token)
    appraised = {name: each.get("annotated_evidence", each) for name, each in submods.items()}
    return hashlib.sha256(encode(cast(CborValue, _without(appraised, nonce)))).digest()


def submodules(token: Plain) -> Iterator[Plain]:
    """Those that are maps."""
    submods = token.get("submods")
    if isinstance(submods, Mapping):
        yield from (each for each in submods.values() if isinstance(each, Mapping))


def _submodule(value: Claim) -> Claim:
    if not isinstance(value, Mapping):
        return value
    found = _renamed(value, _TOKEN)
    if isinstance(found.get("vector"), Mapping):
        found["vector"] = _renamed(cast(Plain, found["vector"]), _VECTOR)
    if isinstance(found.get("policy_ids"), str):
        found["policy_ids"] = (found["policy_ids"],)
    return found


def _renamed(claims: Plain, names: Mapping[str, str]) -> dict[str, Claim]:
    found = {names.get(name, name): value for name, value in claims.items()}
    if len(found) != len(claims):
        raise MalformedError("a claim under two names", finding=Finding("ear", "each claim once", "one twice"))
    return found


def _map(claims: Claims, depth: int) -> dict[str, Claim]:
    found = {str(_scalar(name)): _claim(value, depth - 1) for name, value in claims.items()}
    if len(found) != len(claims):
        raise MalformedError("a claim under two names", finding=Finding("ear", "each claim once", "one twice"))
    return found


def _claim(value: object, depth: int) -> Claim:
    if depth < 0:
        raise MalformedError("the claims are nested too deeply", finding=Finding("ear", f"{MAX_DEPTH} levels", "more"))
    if isinstance(value, Mapping):
        return _map(value, depth)
    if isinstance(value, list | tuple):
        return tuple(_claim(each, depth - 1) for each in value)
    return _scalar(value)


def _scalar(value: object) -> bytes | str | int | bool | None:
    """Numbers that are not whole become text: a policy compares claims exactly."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise MalformedError("a number beyond 64 bits", finding=Finding("ear", "64 bits", str(value.bit_length())))
    if isinstance(value, str) and not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
        raise MalformedError("text that has no UTF-8 form", finding=Finding("ear", "UTF-8", "a lone surrogate"))
    if value is None or isinstance(value, bytes | str | int):
        return value
    raise MalformedError("a claim of a kind that no EAR has", finding=Finding("ear", "JSON or CBOR", "another"))


def _binary(value: Claim) -> bytes:
    """Bytes as CBOR has them; in JSON base64url where it is that (RFC 9711 §4.1), else the text itself."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        return b""
    text = value.encode()
    try:
        return unpadded_untrusted(text.rstrip(b"="), "binary")
    except MalformedError:
        return text


def _without(value: Claim, nonce: bytes) -> object:
    if isinstance(value, Mapping):
        return {name: _without(each, nonce) for name, each in value.items() if not _is_nonce(each, nonce)}
    return [_without(each, nonce) for each in value] if isinstance(value, tuple) else value


def _is_nonce(value: Claim, nonce: bytes) -> bool:
    """Whether a claim repeats the nonce: as it is, in base64 or hex, padded with zeros or not."""
    if not nonce or not isinstance(value, bytes | str):
        return False
    readings = [value] if isinstance(value, bytes) else _readings(value)
    return any(each.rstrip(b"\0") == nonce.rstrip(b"\0") for each in readings)


def _readings(text: str) -> list[bytes]:
    readings = [text.encode(), _binary(text.replace("+", "-").replace("/", "_"))]
    with contextlib.suppress(ValueError):
        readings.append(bytes.fromhex(text))
    return readings
