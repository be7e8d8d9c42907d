"""What public keys of both kinds have in common as COSE_Keys (RFC 9052 §7): a form without leeway, a thumbprint."""

import hashlib
from collections.abc import Collection, Mapping, Sequence

from protocol import cbor
from protocol.algorithms import KeyParameter
from protocol.errors import MalformedError, UnsupportedError

CoseKey = Mapping[int, int | bytes]


def algorithm_of_untrusted(cose_key: cbor.CborValue, accepted: Collection[int]) -> int:
    """The `alg` of a decoded COSE_Key. Raises `MalformedError`, `UnsupportedError` unless it is an accepted one."""
    if not isinstance(cose_key, dict):
        raise MalformedError("a COSE_Key is a map")
    algorithm = cose_key.get(KeyParameter.ALG)
    if not isinstance(algorithm, int) or algorithm not in accepted:
        raise UnsupportedError("a COSE_Key for an algorithm that is not accepted")
    return algorithm


def public_bytes_untrusted(cose_key: cbor.CborValue, labels: Sequence[int]) -> bytes:
    """The public key: the parameters under these labels, joined. Raises `MalformedError`."""
    found = [cose_key.get(label) for label in labels] if isinstance(cose_key, dict) else []
    parts = [part for part in found if isinstance(part, bytes)]
    if len(parts) != len(labels):
        raise MalformedError("a COSE_Key holds its public key as byte strings")
    return b"".join(parts)


def check_parameters_untrusted(cose_key: cbor.CborValue, expected: CoseKey) -> None:
    """Raises `MalformedError` unless the COSE_Key is the expected one to the bit.

    Extra or missing parameters, a border moved between x and y, True for 1, 49.0 for 49: the encodings tell them apart.
    """
    if cbor.encode(cose_key) != cbor.encode(expected):
        raise MalformedError("COSE_Key parameters do not fit its algorithm")


def thumbprint(required: CoseKey) -> bytes:
    """SHA-256 of the deterministic COSE_Key with its required parameters alone (RFC 9679 §3)."""
    return hashlib.sha256(cbor.encode(required)).digest()
