"""Writes the ledger: every step of a host, every publication, every computation, as they happen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from protocol.keys import KemPublicKey, VerifyingKey
from protocol.messages import decode_message_untrusted, digest
from protocol.party import Delivery, Event, Publication
from schemas.attestation import EnclaveClaims, Evidence
from simulation.cast import Boot
from simulation.hosts import Host
from simulation.ledger import Computation, Step
from simulation.module import compute
from simulation.wire import said

if TYPE_CHECKING:
    from simulation.world import World


class Witness:
    """Sees everything in one world."""

    def __init__(self, world: "World") -> None:
        self._world, self._ledger = world, world.ledger

    def stepped(self, host: Host, now: float, deliveries: Sequence[Delivery], events: Sequence[Event]) -> None:
        """A host's party was called."""
        at, run = self._world.broker.now, self._world.runs[host.name]
        lists = self._list_of(host)
        step = Step(at, now, host.role, host.name, run, lists, tuple(deliveries), tuple(events))
        self._ledger.steps.append(step)
        self._ledger.deliveries += len(deliveries)
        self._ledger.injected["burst"] += len(deliveries) > 1

    def _list_of(self, host: Host) -> int:
        """The number of the revocation list that a party holds; an agent's is its enclave's."""
        if host.role != "agent":
            return int(host.party.trust.revocations.sequence)
        boot = next((each for each in reversed(self._ledger.boots) if each.agent == host.name), None)
        return -1 if boot is None else boot.enclave.trust.revocations.sequence

    def computed(self, boot: Boot, module: bytes, data: bytes) -> bytes:
        """Run a module in an enclave. Raises `EnclaveError` as the module does."""
        output: bytes | None = None
        try:
            output = compute(module, data)
            taint = self._world.fleet.taint
            taint.note("a result", output[:32])
            if output[32:]:
                taint.note("a model's state", output[32:])
            return output
        finally:
            host = self._world.hosts.get(boot.agent)
            at = self._world.broker.now
            own = at + (0.0 if host is None else host.offset)
            lists = boot.enclave.trust.revocations.sequence
            self._ledger.computations.append(Computation(at, own, boot, lists, digest(module), data, output))

    def heard(self, sender: str | None, publication: Publication) -> None:
        """The broker took a publication; `sender` is a client identifier."""
        name = None if sender is None else self._world.clients.get(sender)
        self._ledger.said.append((self._world.broker.now, name, publication))
        if name is not None and publication.topic == self._world.fleet.topics.evidence(name):
            self._remember_keys(publication.payload)

    def _remember_keys(self, payload: bytes) -> None:
        """An agent of the fleet shows evidence: its enclave has these keys."""
        evidence = said(Evidence, payload)
        if evidence is None:
            return
        shown = decode_message_untrusted(EnclaveClaims, evidence.claims).confirmation
        boot = self._ledger.honest_boot(VerifyingKey.from_cose_key_untrusted(shown.signing_key).thumbprint)
        if boot is not None and shown.kem_key is not None:
            boot.kems.add(KemPublicKey.from_cose_key_untrusted(shown.kem_key).thumbprint)
