"""A sensor driven by hand, one message at a time: tests may bend every field of what it says."""

from collections.abc import Sequence
from typing import Any

from protocol.attestation import Passport, open_past_attestation_result_untrusted
from protocol.channel import Channel
from protocol.cose import parse_encrypt0_untrusted
from protocol.envelope import Address, open_message_untrusted, seal_message
from protocol.messages import decode_message_untrusted, encode_message
from protocol.party import Delivery, Event, Publication
from schemas.kinds import Kind, Role, Tier
from schemas.session import InferenceRequest, InferenceResult, SessionAccept, SessionOpen
from schemas.status import Refusal
from tests.support.world import MODEL, Holder, World


class RawSensor:
    """Speaks to the enclave of one agent directly: `say` hands a delivery in and returns what came out."""

    def __init__(self, world: World, name: str = "sensor-1", agent: str = "agent-1") -> None:
        self.world, self.name, self.agent = world, name, agent
        self.holder: Holder = world.holder(Role.SENSOR, name)
        self.topics = world.topics
        self.inbox = self.topics.inbox(Role.SENSOR, name)
        self.session = world.randomness(16)
        self.secret = world.randomness(32)
        self.channel = Channel.of_sensor(self.session, self.secret)

    @property
    def now(self) -> float:
        return self.world.broker.now

    @property
    def passport(self) -> Passport:
        """The newest attestation result that the broker saw."""
        newest = [each for each in self.world.said_on(self.topics.result(self.agent)) if each.payload][-1]
        trust = self.world.trust(self.holder.store)
        return open_past_attestation_result_untrusted(newest.payload, trust, self.now)

    def terms(self, **changes: Any) -> SessionOpen:
        fields: dict[str, Any] = {
            "session": self.session,
            "secret": self.secret,
            "fleet": self.world.fleet,
            "agent": self.agent,
            "model": MODEL,
            "minimum_version": 1,
            "reply_to": self.inbox,
            "return_result": True,
            "tiers": (Tier.SIMULATED,),
            "attestation_result": self.passport.digest,
            "issued": int(self.now),
            "expires": int(self.now) + 200,
        }
        return SessionOpen(**{**fields, **changes})

    def opening(self, kind: Kind = Kind.SESSION_OPEN, **changes: Any) -> Delivery:
        """A sealed session opening, or a one-shot with `request=`."""
        terms = self.terms(**changes)
        named = terms.session if terms.request is None else terms.request.request
        topic = self.topics.session(self.agent)
        payload = seal_message(
            kind,
            terms,
            self.holder.signing,
            self.passport.kem_key,
            Address(topic, self.agent, named),
            self.world.randomness,
            self.holder.credential,
        )
        return Delivery(topic, payload, response_topic=self.inbox, correlation=named)

    def open(self, **changes: Any) -> SessionAccept:
        """Open the session. Raises AssertionError if it is refused."""
        [reply] = self.say(self.opening(**changes))
        plaintext = self.opened(reply, Kind.SESSION_ACCEPT)
        return decode_message_untrusted(SessionAccept, plaintext)

    def reading(self, data: bytes = b"abcdefgh", **changes: Any) -> InferenceRequest:
        fields: dict[str, Any] = {
            "request": self.world.randomness(16),
            "input": data,
            "issued": int(self.now),
            "expires": int(self.now) + 60,
        }
        return InferenceRequest(**{**fields, **changes})

    def request(self, reading: InferenceRequest, correlation: bytes | None = None) -> Delivery:
        """A sealed request under the next sequence number."""
        topic = self.topics.request(self.agent)
        named = reading.request if correlation is None else correlation
        payload = self.channel.seal(Kind.REQUEST, encode_message(reading), topic, self.agent, named)
        return Delivery(topic, payload, response_topic=self.inbox, correlation=named)

    def say(self, delivery: Delivery) -> list[Publication]:
        """Hand a delivery to the agent; the publications that came back on the sensor's and consumers' topics."""
        agent = self.world.parties[f"sealedge-{self.world.fleet}-agent-{self.agent}"]
        events: Sequence[Event] = agent.receive(delivery, self.now)
        self.world.broker.noted += [(agent.client_id, each) for each in events if not isinstance(each, Publication)]
        return [each for each in events if isinstance(each, Publication)]

    def opened(self, reply: Publication, kind: Kind) -> bytes:
        message = parse_encrypt0_untrusted(reply.payload)
        assert message.typ == kind, f"{message.typ}, not {kind}"
        return self.channel.open_untrusted(message, kind, reply.topic, self.name, reply.correlation or b"")

    def result(self, delivery: Delivery) -> InferenceResult:
        """Say a request and open its reply."""
        reply = next(each for each in self.say(delivery) if each.topic == self.inbox)
        return decode_message_untrusted(InferenceResult, self.opened(reply, Kind.REPLY))

    def refusal(self, delivery: Delivery) -> str:
        """Say something and return the reason it is refused with: inside the session, or signed in the clear."""
        replies = [each for each in self.say(delivery) if each.topic == self.inbox]
        assert len(replies) == 1, f"{len(replies)} replies instead of one refusal"
        payload = replies[0].payload
        if payload[0] == 0xD0:
            return decode_message_untrusted(Refusal, self.opened(replies[0], Kind.REFUSAL)).reason
        address = Address(self.inbox, "", replies[0].correlation or b"")
        return open_message_untrusted(Refusal, payload, Kind.REFUSAL, self.passport.signing_key, address).reason
