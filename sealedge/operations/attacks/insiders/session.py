"""Who has good keys and bad intentions: a sensor, consumer or publisher of the fleet, with a client of its own.

An insider says each message as the honest party would, with any field bent.
"""

import os
from typing import Any

from protocol.attestation import Passport, open_past_attestation_result_untrusted
from protocol.channel import Channel
from protocol.cose import parse_encrypt0_untrusted
from protocol.envelope import Address, seal_message
from protocol.errors import RemoteError, TransportError
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey
from protocol.messages import decode_message_untrusted, encode_message
from protocol.party import Delivery, Publication
from schemas.kinds import Kind, Role, Tier
from schemas.session import InferenceRequest, InferenceResult, SessionOpen
from sealedge.operations.attacks.targets.actors import ANSWER_SECONDS, Attacker, is_noted
from sealedge.operations.attacks.targets.names import AGENT, MODEL
from sealedge.operations.attacks.targets.sealed import Sealed
from storage.files import read_bytes
from storage.key_files import read_kem_key, read_signing_key


class Insider:
    """For a `with` block: a client on the broker, and the keys of this party of the fleet."""

    def __init__(self, fleet: Sealed, role: Role, name: str) -> None:
        self.fleet, self.role, self.name, self.topics = fleet, role, name, fleet.topics
        folder = fleet.folder.party(role, name)
        self.signing: SigningKey = read_signing_key(folder / "signing.pem")
        self.credential = read_bytes(folder / "credential.cwt")
        self.kem: KemPrivateKey | None = read_kem_key(folder / "kem.key") if role is Role.CONSUMER else None
        self.inbox = self.topics.inbox(role, name)
        self.client = Attacker(fleet.broker.account(f"{fleet.name}-{name}"), self.inbox, self.topics.results(MODEL))

    def __enter__(self) -> "Insider":
        self.client.start()
        return self

    def __exit__(self, *_about_the_block: object) -> None:
        self.client.stop()

    @property
    def now(self) -> int:
        """Its clock."""
        return int(self.fleet.clock())

    @property
    def passport(self) -> Passport:
        """The agent's newest attestation result, as the broker has it. Raises `TransportError` where there is none."""
        shown = self.fleet.recorded(self.topics.result(AGENT))
        if not shown:
            raise TransportError("the broker has no attestation result")
        return open_past_attestation_result_untrusted(shown[-1].payload, self.fleet.trust(), self.fleet.clock())

    def session(self) -> "HostileSession":
        """A session that is not yet opened."""
        return HostileSession(self)


class HostileSession:
    """What an insider says in one session. `terms` may be bent before `open`, and so may each request."""

    def __init__(self, insider: Insider) -> None:
        self.insider, self.fleet = insider, insider.fleet
        self._passport = insider.passport
        secret, now = os.urandom(32), insider.now
        self.terms: dict[str, Any] = {
            "session": os.urandom(16),
            "secret": secret,
            "fleet": self.fleet.name,
            "agent": AGENT,
            "model": MODEL,
            "minimum_version": 1,
            "reply_to": insider.topics.inbox(Role.SENSOR, insider.name),
            "return_result": True,
            "tiers": (Tier.SIMULATED,),
            "attestation_result": self._passport.digest,
            "issued": now,
            "expires": now + 200,
        }
        self.channel = Channel.of_sensor(self.terms["session"], secret)

    def opening(self, signer: SigningKey | None = None, credential: bytes | None = None, **bent: Any) -> Publication:
        """The opening, sealed to the enclave; a one-shot with `request=`."""
        terms = SessionOpen(**{**self.terms, **bent})
        kind = Kind.SESSION_OPEN if terms.request is None else Kind.ONE_SHOT
        named = terms.session if terms.request is None else terms.request.request
        topic = self.insider.topics.session(AGENT)
        payload = seal_message(
            kind,
            terms,
            signer or self.insider.signing,
            self._passport.kem_key,
            Address(topic, AGENT, named),
            os.urandom,
            credential or self.insider.credential,
        )
        return Publication(topic, payload, response_topic=self.terms["reply_to"], correlation=named)

    def open(self, **bent: Any) -> str | None:
        """Open the session: None if the enclave took it, else the reason that it gave."""
        return self.say(self.opening(**bent))

    def say(self, publication: Publication) -> str | None:
        """Say something: None if the enclave took it, else the reason that it refused with.

        Raises `TransportError` where it does neither.
        """
        agent, client = self.fleet["agent"].mark(), self.insider.client.mark()
        self.insider.client.say(publication)
        self.fleet.broker.until(lambda: self._reaction(publication, agent, client) is not None, ANSWER_SECONDS)
        found = self._reaction(publication, agent, client)
        if found is None:
            raise TransportError("the enclave says nothing")
        return found or None

    def _reaction(self, publication: Publication, agent: int, client: int) -> str | None:
        """The reason once it was refused, "" once it was taken, None as long as nothing is known."""
        for event in self.fleet["agent"].since(agent):
            if is_noted(event, "session-opened"):
                return ""
            if is_noted(event, "refused") and event.detail["topic"] == publication.topic:
                return str(event.detail["reason"])
        replies = [each.delivery for each in self.insider.client.heard(client)]
        mine = [each for each in replies if each.correlation == publication.correlation]
        return "" if any(self.result(each) is not None for each in mine) else None

    def reading(self, data: bytes, **bent: Any) -> InferenceRequest:
        """A request that is good for a minute."""
        now = self.insider.now
        return InferenceRequest(
            **{"request": os.urandom(16), "input": data, "issued": now, "expires": now + 60, **bent}
        )

    def request(self, reading: InferenceRequest) -> Publication:
        """The request under the next sequence number."""
        topic, name = self.insider.topics.request(AGENT), reading.request
        payload = self.channel.seal(Kind.REQUEST, encode_message(reading), topic, AGENT, name)
        return Publication(topic, payload, response_topic=self.terms["reply_to"], correlation=name)

    def result(self, reply: Delivery) -> InferenceResult | None:
        """The result in a reply; None where there is none."""
        try:
            message = parse_encrypt0_untrusted(reply.payload)
            name = self.insider.name
            plain = self.channel.open_untrusted(message, Kind.REPLY, reply.topic, name, reply.correlation or b"")
            return decode_message_untrusted(InferenceResult, plain)
        except RemoteError:
            return None
