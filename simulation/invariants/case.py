"""A run to be judged: its fleet and ledger, and what several invariants ask of them."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from protocol.keys import KemPublicKey, VerifyingKey
from protocol.party import Publication
from schemas.attestation import AttestationResult, Credential
from schemas.kinds import Kind, Role
from schemas.status import RevocationKind, RevocationList
from simulation.fleet import MEASUREMENT, Fleet
from simulation.ledger import Computation, Ledger, Step
from simulation.wire import envelope, said, typ_of

READING = 32


@dataclass(frozen=True, slots=True)
class Shown:
    """An attestation result that the fleet's verifier issued: the document, what it says, its signer, and both keys."""

    document: bytes
    result: AttestationResult
    signer: bytes
    signing: bytes
    kem: bytes
    at: float
    lists: int
    own: float


class Case:
    """Everything about one run."""

    def __init__(self, fleet: Fleet, ledger: Ledger) -> None:
        self.fleet, self.ledger, self.shape = fleet, ledger, fleet.shape

    # Who and what

    @cached_property
    def consumers(self) -> list[str]:
        """The recipients of every honest sensor's results."""
        return [f"consumer-{each + 1}" for each in range(self.shape.consumers)]

    def is_revoked(self, name: str, lists: int) -> bool:
        """Whether the list of this number names a party's credential or key."""
        holder = self.fleet.holder(Role(name.split("-", maxsplit=1)[0]), name)
        vouched = said(Credential, holder.credential)
        identifier = b"" if vouched is None else vouched.identifier
        revoked = self.revoked(lists)
        key = holder.signing.public.thumbprint
        chip = holder.role is Role.AGENT and ("chip", key) in revoked
        return chip or ("credential", identifier) in revoked or ("key", key) in revoked

    def revoked(self, lists: int) -> frozenset[tuple[RevocationKind, bytes]]:
        """What the list of this number names."""
        return self._lists[lists - 1][1] if 1 <= lists <= len(self._lists) else frozenset()

    def list_ends(self, lists: int) -> float:
        """When the list of this number ends; in the past where there is none."""
        return self._lists[lists - 1][0] if 1 <= lists <= len(self._lists) else float("-inf")

    @cached_property
    def _lists(self) -> list[tuple[float, frozenset[tuple[RevocationKind, bytes]]]]:
        found = (said(RevocationList, each) for each in self.fleet.lists)
        return [
            (each.expires, frozenset((entry.kind, entry.identifier) for entry in each.entries))
            for each in found
            if each is not None
        ]

    # What was said and done

    def steps(self, role: str) -> Iterator[Step]:
        """The steps of all parties of a role."""
        return (step for step in self.ledger.steps if step.role == role)

    def publications(self, role: str, *kinds: Kind) -> Iterator[tuple[Step, Publication]]:
        """What the honest parties of a role wanted published, with the step that it comes from."""
        wanted = set(map(str, kinds))
        for step in self.steps(role):
            for event in step.events:
                if isinstance(event, Publication) and event.payload and typ_of(event.payload) in wanted:
                    yield step, event

    @cached_property
    def shown(self) -> list[Shown]:
        """The attestation results that the verifier issued, each once, in order."""
        found: dict[bytes, Shown] = {}
        for step, event in self.publications("verifier", Kind.ATTESTATION_RESULT):
            result = said(AttestationResult, event.payload)
            if event.payload not in found and result is not None and result.confirmation.kem_key is not None:
                signing = VerifyingKey.from_cose_key_untrusted(result.confirmation.signing_key).thumbprint
                kem = KemPublicKey.from_cose_key_untrusted(result.confirmation.kem_key).thumbprint
                outside = envelope(event.payload)
                signer = b"" if outside is None else outside.kid
                args = (event.payload, result, signer, signing, kem, step.at, step.lists, step.own)
                found[event.payload] = Shown(*args)
        return list(found.values())

    @cached_property
    def by_kem(self) -> dict[bytes, Shown]:
        """The attestation result that names a KEM key."""
        return {each.kem: each for each in self.shown}

    @cached_property
    def by_signing(self) -> dict[bytes, list[Shown]]:
        """All that name an enclave's signing key."""
        found: defaultdict[bytes, list[Shown]] = defaultdict(list)
        for each in self.shown:
            found[each.signing].append(each)
        return found

    @cached_property
    def computed(self) -> dict[bytes, list[Computation]]:
        """Computations by reading."""
        found: defaultdict[bytes, list[Computation]] = defaultdict(list)
        for each in self.ledger.computations:
            found[each.data[:READING]].append(each)
        return found

    @cached_property
    def sensor_of(self) -> dict[bytes, str]:
        """Whose reading this is: an honest sensor's, or an insider's."""
        return {each.data: each.sensor for each in self.ledger.readings.values()} | self.ledger.insiders

    def why_not(self, shown: Shown, own: float, lists: int) -> str | None:
        """Why nobody who holds this list may rely on an attestation result at this time of their own clock."""
        result = shown.result
        if own >= result.expires:
            return "its lease had ended"
        if own < result.issued - 60:
            return "its lease had not begun"
        if self.is_subject_revoked(shown, lists):
            return "its chip, code or key was revoked"
        if ("key", shown.signer) in self.revoked(lists):
            return "its verifier's key was retired"
        return "its verifier was revoked" if self.is_revoked("verifier", lists) else None

    def is_subject_revoked(self, shown: Shown, lists: int) -> bool:
        """Whether the list of this number names the chip, the code or the key that an attestation result is about."""
        chip = shown.result.chip
        named: set[tuple[RevocationKind, bytes]] = {("measurement", MEASUREMENT), ("key", shown.signing)}
        named |= set() if chip is None else {("chip", chip)}
        return bool(named & self.revoked(lists))

    def is_module_revoked(self, module: bytes, lists: int) -> bool:
        """Whether the list of this number names the module of this digest, or whoever published it."""
        return ("model", module) in self.revoked(lists) or self.is_revoked("publisher", lists)
