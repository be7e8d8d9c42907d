"""The endorsements that the verifier keeps, in memory: certificates, revocation lists and keys by name.

    snp/chain/{product}-{vcek|vlek}    snp/vcek/{chip id}-{reported TCB}    snp/crl/{product}
    intel/tcb-info/{sgx|tdx}-{fmspc}   intel/qe-identity/{sgx|tdx}          intel/tcb-signing-chain
    intel/root-crl                     intel/pck-crl/{platform|processor}
    psa/key/{id}    cca/key/{id}       tpm/ak/{id}                          ear/key/{id}

None is trusted for being here: chains end in pinned roots, lists are signed. Only the keys of PSA, CCA and EAR are
what they are by lying here, since nothing else vouches for them.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

from protocol.errors import ConfigurationError

MAX_NAME: Final = 200
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)+")
_FOREIGN: Final = re.compile(r"[^a-z0-9._-]+")
_MAX_STEM: Final = 100


class HeldEndorsements:
    """Endorsements by name, as `verifier.evidence.interface.Endorsements`."""

    def __init__(self, held: Mapping[str, bytes]) -> None:
        """Raises `ConfigurationError` for a name that is none."""
        for name in held:
            check_name(name)
        self._held = dict(held)

    def find(self, name: str) -> bytes | None:
        """The endorsement of this name, or None."""
        return self._held.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._held))

    def __len__(self) -> int:
        return len(self._held)

    def over(self, others: "HeldEndorsements") -> "HeldEndorsements":
        """These, and those of `others` whose names are not taken."""
        return HeldEndorsements({**others._held, **self._held})


NO_ENDORSEMENTS: Final = HeldEndorsements({})


def check_name(name: str) -> None:
    """Raises `ConfigurationError` unless `name` is lower-case words, digits, dots and dashes between slashes."""
    if len(name) > MAX_NAME or _NAME.fullmatch(name) is None:
        raise ConfigurationError(f"{name[:MAX_NAME]!a} is not the name of an endorsement")


def name_of(identifier: str | bytes) -> str:
    """What a key id or an issuer is called in a name: bytes in hex, text in lower case with dashes for the rest.

    Two texts may come to one name: a name finds a key to try, and the key decides.
    """
    text = identifier.hex() if isinstance(identifier, bytes) else _FOREIGN.sub("-", identifier.lower()).strip("-._")
    if 0 < len(text) <= _MAX_STEM:
        return text
    given = identifier if isinstance(identifier, bytes) else identifier.encode("utf-8", "surrogatepass")
    return hashlib.sha256(given).hexdigest()
