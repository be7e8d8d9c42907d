"""What a malicious but authentic peer says, for every message that a peer signs or seals (`schemas/messages.cddl`).

The plaintext is bent, then everything around it is made as it must be: report data that binds the bent claims, the
chip's signature over bent evidence, the enclave's under a bent receipt, the authority's under a bent credential.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from protocol.attestation import report_data
from protocol.cbor import encode
from protocol.cose import parse_sign1_untrusted, sign1
from protocol.cose_inclusion import sign_inclusions
from protocol.envelope import Address
from protocol.kem_keys import KemPrivateKey
from protocol.messages import decode_message_untrusted, encode_message
from protocol.receipts import signed_receipt_untrusted
from protocol.results import ResultOpener, ResultSealer
from protocol.trust import confirmation
from schemas.attestation import SIMULATED_MEDIA_TYPE, Challenge, EnclaveClaims, Evidence, SimulatedEvidence
from schemas.kinds import Kind, Role
from schemas.session import InferenceResult, Receipt
from schemas.status import Refusal
from tests.attacks.test_every_party_survives_malicious_peers import SAYINGS as FIRST
from tests.attacks.test_every_party_survives_malicious_peers import (
    Peers,
    Said,
    _seal,
    _sign,
    revocations,
)
from tests.support.raw_sensor import RawSensor
from tests.support.world import MEASUREMENT, MODEL

Saying = Callable[[Peers], Said]
VERIFIER: Final = "verifier-verifier"


class Shown:
    """An agent's evidence for a challenge of now, layer by layer."""

    def __init__(self, peers: Peers) -> None:
        world, verifier = peers.world, peers.party(VERIFIER)
        self.challenge: Challenge = verifier._challenger._new("agent-1", "again", world.broker.now)
        verifier._nonces._write("agent-1", (self.challenge,))
        topic = world.topics.evidence("agent-1")
        said = parse_sign1_untrusted(peers.last(topic).payload).payload
        self.honest = decode_message_untrusted(Evidence, said)
        kem = KemPrivateKey.generate(world.randomness).public
        self.key, self.chip, self.kem = peers.enclave.key, world.chip("agent-1"), kem
        claims = decode_message_untrusted(EnclaveClaims, self.honest.claims)
        about = {"nonce": self.challenge.nonce, "confirmation": confirmation(self.key.public, kem)}
        self.claims = encode_message(claims.model_copy(update=about))
        self.address = Address(topic, "verifier", self.challenge.nonce)

    def tee(self, claims: bytes) -> SimulatedEvidence:
        document = parse_sign1_untrusted(self.honest.wrapped[1]).payload
        bound = report_data(self.challenge, claims, self.key.public, self.kem)
        return decode_message_untrusted(SimulatedEvidence, document).model_copy(
            update={"report_data": bound, "measurement": MEASUREMENT}
        )

    def evidence(self, claims: bytes, tee: bytes) -> bytes:
        signed = sign1(self.chip, tee, typ=str(Kind.SIMULATED_EVIDENCE))
        # Not by the model: what is bent may be too short for it.
        return encode({1: claims, 2: [SIMULATED_MEDIA_TYPE, signed], 3: self.honest.enrolment})

    def said(self, plaintext: bytes, message: Callable[[bytes], bytes]) -> Said:
        def seal(bent: bytes) -> bytes:
            return _sign(Kind.EVIDENCE, message(bent), self.key, self.address, None)

        return Said(VERIFIER, self.address.topic, plaintext, seal, self.challenge.nonce)


def evidence(peers: Peers) -> Said:
    shown = Shown(peers)
    honest = shown.evidence(shown.claims, encode_message(shown.tee(shown.claims)))
    return shown.said(honest, lambda bent: bent)


def claims(peers: Peers) -> Said:
    shown = Shown(peers)
    return shown.said(shown.claims, lambda bent: shown.evidence(bent, encode_message(shown.tee(bent))))


def tee(peers: Peers) -> Said:
    shown = Shown(peers)
    honest = encode_message(shown.tee(shown.claims))
    return shown.said(honest, lambda bent: shown.evidence(shown.claims, bent))


def credential(peers: Peers) -> Said:
    """The authority vouches for a sensor; the opening that carries its word is in order."""
    raw, world = RawSensor(peers.world, "raw"), peers.world
    topic, terms = world.topics.session("agent-1"), raw.terms()
    address, holder = Address(topic, "agent-1", terms.session), raw.holder

    def seal(plaintext: bytes) -> bytes:
        vouched = sign1(world.authority.key, plaintext, typ=str(Kind.CREDENTIAL))
        opening, kem = encode_message(terms), raw.passport.kem_key
        return _seal(Kind.SESSION_OPEN, opening, holder.signing, kem, address, vouched)

    honest = parse_sign1_untrusted(holder.credential).payload
    return Said("agent-agent-1", topic, honest, seal, terms.session, raw.inbox)


def enrolment(peers: Peers) -> Said:
    """The authority enrols an agent; the evidence that carries its word is in order."""
    shown, key = Shown(peers), peers.world.authority.key
    about = encode_message(shown.tee(shown.claims))
    sound = decode_message_untrusted(Evidence, shown.evidence(shown.claims, about))

    def message(bent: bytes) -> bytes:
        vouched = sign1(key, bent, typ=str(Kind.CREDENTIAL))
        return encode_message(sound.model_copy(update={"enrolment": vouched}))

    return shown.said(parse_sign1_untrusted(shown.honest.enrolment).payload, message)


def receipt(peers: Peers) -> Said:
    """An enclave that was taken over signs another receipt; the result that carries it is in order."""
    world, holder = peers.world, peers.world.holder(Role.CONSUMER, "consumer-1")
    said, correlation = peers.last(world.topics.results(MODEL)), world.randomness(16)
    opened = ResultOpener("clinic", holder.kem).open_untrusted(said.payload, said.topic, said.correlation or b"")
    result = decode_message_untrusted(InferenceResult, opened).model_copy(update={"request": correlation})
    known, _ = signed_receipt_untrusted(result.receipt)

    def seal(plaintext: bytes) -> bytes:
        [inclusion] = sign_inclusions(peers.enclave.key, [plaintext], typ=str(Kind.RECEIPT))
        sealer = ResultSealer("clinic", world.randomness(16), [holder.kem.public], world.randomness(32))
        bent = result.model_copy(update={"receipt": encode([plaintext, inclusion])})
        return sealer.seal(encode_message(bent), said.topic, correlation)

    named = decode_message_untrusted(Receipt, known).model_copy(update={"request": correlation})
    honest = encode_message(named)
    return Said("consumer-consumer-1", said.topic, honest, seal, correlation)


def refusal(peers: Peers) -> Said:
    """In the clear, signed by the enclave: what a sensor is told whose session is not known."""
    [waiting] = peers.sensor.pending
    topic = peers.world.topics.inbox(Role.SENSOR, "sensor-1")
    honest = Refusal(reason="session-unknown", time=int(peers.world.broker.now))

    def seal(plaintext: bytes) -> bytes:
        return _sign(Kind.REFUSAL, plaintext, peers.enclave.key, Address(topic, "", waiting), None)

    return Said("sensor-sensor-1", topic, encode_message(honest), seal, waiting)


def refusal_by_verifier(peers: Peers) -> Said:
    world, nonce = peers.world, peers.world.randomness(32)
    topic = world.topics.inbox(Role.AGENT, "agent-1")
    honest = Refusal(reason="busy", time=int(world.broker.now), retry_after=30)

    def seal(plaintext: bytes) -> bytes:
        return peers.signed(Kind.REFUSAL, plaintext, Role.VERIFIER, "verifier", Address(topic, "agent-1", nonce))

    return Said("agent-agent-1", topic, encode_message(honest), seal, nonce)


MORE: Final[Mapping[str, Saying]] = {
    "an enclave shows evidence": evidence,
    "an enclave claims": claims,
    "a TEE attests": tee,
    "the authority vouches for a sensor": credential,
    "the authority enrols an agent": enrolment,
    "an enclave signs a receipt": receipt,
    "an enclave refuses in the clear": refusal,
    "a verifier refuses": refusal_by_verifier,
    "the authority revokes, at the publisher": lambda peers: revocations(peers, "publisher-publisher"),
    "the authority revokes, at the sensor": lambda peers: revocations(peers, "sensor-sensor-1"),
    "the authority revokes, at the consumer": lambda peers: revocations(peers, "consumer-consumer-1"),
}

ALL: Final[Mapping[str, Saying]] = {**FIRST, **MORE}
"""By name."""

RULES: Final[Mapping[str, Sequence[str]]] = {
    "credential-document": ("the authority vouches for a sensor", "the authority enrols an agent"),
    "attestation-result-document": ("a verifier affirms, to the agent", "a verifier affirms, to the sensor"),
    "manifest-document": tuple(f"a publisher's manifest, to the {each}" for each in ("agent", "sensor", "consumer")),
    "receipt-inclusion": ("an enclave signs a receipt",),
    "revocations-document": tuple(
        f"the authority revokes, at the {each}" for each in ("agent", "verifier", "publisher", "sensor", "consumer")
    ),
    "status-document": ("an enclave dies",),
    "simulated-evidence-document": ("a TEE attests",),
    "attestation-request-message": ("an enclave asks for attestation",),
    "challenge-message": ("a verifier challenges",),
    "evidence-message": ("an enclave shows evidence",),
    "key-request-message": ("an enclave asks for a key",),
    "refusal-message": ("an enclave refuses in the clear",),
    "refusal-of-a-party": ("a publisher refuses a key", "a verifier refuses"),
    "refusal-in-a-session": ("an enclave refuses",),
    "key-release-message": ("a publisher releases a key",),
    "session-open-message": ("a sensor opens a session",),
    "one-shot-message": ("a sensor sends a one-shot",),
    "session-accept-message": ("an enclave accepts",),
    "request-message": ("a sensor asks in a session",),
    "reply-message": ("an enclave replies",),
    "result-message": ("an enclave delivers",),
}
"""By the grammar's rule for a kind of message: who is said to say it. What is not here is a `sealed:` target."""

WITHIN: Final[Mapping[str, Sequence[str]]] = {"enclave-claims": ("an enclave claims",)}
"""The same of what stands inside another message, bound by other means than a signature of its own."""
