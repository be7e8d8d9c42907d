"""A machine of the attacker's that speaks as an agent's enclave: honest in all, but for what a scenario bends.

It has genuine evidence of its tier (here: the simulated one) for whichever chip key it is given.
"""

import os
from dataclasses import dataclass, field
from typing import Any, Final

from edge_agent.attester.simulated import SimulatedAttester
from protocol.attestation import report_data
from protocol.envelope import Address, open_message_untrusted, sign_document, sign_message
from protocol.errors import TransportError
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey, VerifyingKey
from protocol.messages import encode_message
from protocol.party import Noted, Publication
from protocol.trust import confirmation
from schemas.attestation import (
    ENCLAVE_PROFILE,
    SIMULATED_MEDIA_TYPE,
    SIMULATED_PROFILE,
    AttestationRequest,
    Challenge,
    EnclaveClaims,
    Evidence,
    SimulatedEvidence,
)
from schemas.kinds import Kind, Role
from sealedge.operations.attacks.targets.actors import Attacker
from sealedge.operations.attacks.targets.sealed import Sealed
from sealedge.operations.references import reference_values
from storage.files import read_bytes
from storage.key_files import read_signing_key

PACE_SECONDS: Final = 1.5


@dataclass
class Machine:
    """For a `with` block. `chip` is what its TEE signs with: that of its enrolment, unless another is given."""

    fleet: Sealed
    agent: str
    chip: SigningKey = field(init=False, repr=False)
    enrolment: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        folder = self.fleet.folder.party(Role.AGENT, self.agent)
        self.chip = read_signing_key(folder / "chip.pem")
        self.enrolment = read_bytes(folder / "enrolment.cwt")
        self.measurement, self.configuration = reference_values(self.fleet.fleet)
        self.topics, self.boot = self.fleet.topics, os.urandom(16)
        self.new_keys()
        topic = self.topics.challenge(self.agent)
        self.client = Attacker(self.fleet.broker.account(f"{self.fleet.name}-{self.agent}"), topic)

    def __enter__(self) -> "Machine":
        self.client.start()
        return self

    def __exit__(self, *_about_the_block: object) -> None:
        self.client.stop()

    def new_keys(self) -> None:
        """Keys that nobody has seen yet."""
        self.signing, self.kem = SigningKey.generate(os.urandom), KemPrivateKey.generate(os.urandom)

    # What it says

    def request(self) -> Publication:
        """Please challenge me."""
        request = AttestationRequest(
            fleet=self.fleet.name,
            agent=self.agent,
            confirmation=confirmation(self.signing.public, self.kem.public),
            boot=self.boot,
            issued=int(self.fleet.clock()),
            purpose="birth",
        )
        topic = self.topics.attest(self.agent)
        payload = sign_message(Kind.ATTESTATION_REQUEST, request, self.signing, Address(topic, ""), self.enrolment)
        return Publication(topic, payload)

    def challenge(self) -> Challenge:
        """Ask, and read the verifier's challenge. Raises `TransportError` where none comes."""
        mark = self.client.mark()
        # The verifier challenges an agent once a second, whoever asks.
        self.fleet.clock.ahead += PACE_SECONDS
        self.client.say(self.request())
        found = self.client.hear(lambda each: bool(each.payload), mark)
        if found is None:
            raise TransportError("the verifier did not challenge the machine")
        address = Address(found.topic, self.agent, found.correlation or b"")
        return open_message_untrusted(Challenge, found.payload, Kind.CHALLENGE, verifying_key(self.fleet), address)

    def claims(self, challenge: Challenge, **bent: Any) -> EnclaveClaims:
        """What its enclave says of itself."""
        said: dict[str, Any] = {
            "agent": self.agent,
            "fleet": self.fleet.name,
            "issued": int(self.fleet.clock()),
            "confirmation": confirmation(self.signing.public, self.kem.public),
            "nonce": challenge.nonce,
            "profile": ENCLAVE_PROFILE,
            "configuration": self.configuration,
            "models": (),
            "boot": self.boot,
        }
        return EnclaveClaims(**{**said, **bent})

    def tee(self, challenge: Challenge, claims: EnclaveClaims) -> bytes:
        """What its TEE signs over these claims."""
        return SimulatedAttester(self.chip, self.measurement).collect(self.bound(challenge, claims))

    def bound(self, challenge: Challenge, claims: EnclaveClaims) -> bytes:
        """The report data of its own keys."""
        return report_data(challenge, encode_message(claims), self.signing.public, self.kem.public)

    def debugged(self, challenge: Challenge, claims: EnclaveClaims) -> bytes:
        """The same of a TEE that lets a debugger in."""
        said = SimulatedEvidence(
            chip=self.chip.public.thumbprint,
            report_data=self.bound(challenge, claims),
            measurement=self.measurement,
            debug=True,
            profile=SIMULATED_PROFILE,
            chip_key=self.chip.public.to_cose_key(),
        )
        return sign_document(Kind.SIMULATED_EVIDENCE, said, self.chip)

    def evidence(
        self,
        challenge: Challenge,
        claims: EnclaveClaims | None = None,
        tee: bytes | None = None,
        media_type: str = SIMULATED_MEDIA_TYPE,
    ) -> Publication:
        """The answer to a challenge."""
        claims = claims or self.claims(challenge)
        wrapped = (media_type, tee or self.tee(challenge, claims))
        message = Evidence(claims=encode_message(claims), wrapped=wrapped, enrolment=self.enrolment)
        topic = self.topics.evidence(self.agent)
        address = Address(topic, challenge.verifier, challenge.nonce)
        payload = sign_message(Kind.EVIDENCE, message, self.signing, address)
        return Publication(topic, payload, correlation=challenge.nonce)

    # What comes of it

    def present(self, publication: Publication) -> str | None:
        """Say something to the verifier: None if it gave a passport for it, else the reason that it refused with.

        Raises `TransportError` where it does neither.
        """
        verifier = self.fleet["verifier"]
        mark = verifier.mark()
        self.client.say(publication)
        found = verifier.wait(self._is_about_us, mark)
        if not isinstance(found, Noted):
            raise TransportError("the verifier says nothing")
        return None if found.what == "attestation-result-issued" else str(found.detail["reason"])

    def _is_about_us(self, event: object) -> bool:
        if not isinstance(event, Noted):
            return False
        if event.what == "attestation-result-issued":
            return event.detail["agent"] == self.agent
        return event.what == "refused" and f"/{self.agent}/" in str(event.detail["topic"])


def verifying_key(fleet: Sealed) -> VerifyingKey:
    """The verifier's public key: everybody has its credential."""
    return read_signing_key(fleet.folder.party(Role.VERIFIER, "verifier") / "signing.pem").public
