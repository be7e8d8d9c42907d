"""What is said of machines: attestation results and challenges that are forged, old, or badly signed (P2, P3, P8)."""

import os
from typing import Final

from protocol.algorithms import Header
from protocol.attestation import sign_attestation_result
from protocol.cbor import CBORTag, encode
from protocol.cose import parse_sign1_untrusted
from protocol.cose_structure import sig_structure
from protocol.envelope import Address, open_document_untrusted, sign_message
from protocol.kem_keys import KemPrivateKey
from protocol.party import Publication
from protocol.trust import confirmation
from schemas.attestation import AttestationResult, Challenge
from schemas.kinds import Kind, Role
from sealedge.operations.attacks.families.attestation import no_evidence_before
from sealedge.operations.attacks.insiders.machines import Machine, verifying_key
from sealedge.operations.attacks.insiders.session import Insider
from sealedge.operations.attacks.scenario import Attack, Attacker, Scenario, Verdict, judged
from sealedge.operations.attacks.stage import Stage
from sealedge.operations.attacks.targets.names import AGENT, MALLORY, SPARE

FAMILY: Final = "passports"
ES256: Final = -7
"""The older identifier (RFC 9053 §2.1) of what is said here as ESP256 (RFC 9864)."""


def _old_algorithm(stage: Stage) -> Verdict:
    """The request is rightly signed, under an identifier that a challenge does not list."""
    with Machine(stage.sealed, SPARE[0]) as machine:
        honest = machine.request()
        parsed = parse_sign1_untrusted(honest.payload)
        protected = encode({Header.ALG: ES256, Header.KID: parsed.kid, Header.TYP: parsed.typ})
        aad = Address(honest.topic, "").aad(Kind.ATTESTATION_REQUEST, parsed.kid)
        signature = machine.signing.sign(sig_structure(protected, aad, parsed.payload))
        message = encode(CBORTag(18, [protected, {Header.CREDENTIAL: parsed.credential}, parsed.payload, signature]))
        mark = stage.sealed["verifier"].mark()
        machine.client.say(Publication(honest.topic, message))
        by = stage.sealed["verifier"].refused(mark, honest.topic)
        answered = machine.client.hear(lambda each: bool(each.payload), seconds=0.2)
    return judged(answered is not None, "the verifier took it", by)


def _forged_result(stage: Stage) -> Verdict:
    """A sensor of the fleet signs an attestation result for keys of its own, with the agent's name on it."""
    fleet = stage.sealed
    topic, sensor = fleet.topics.result(AGENT), fleet["sensor"]
    honest = fleet.recorded(topic)[-1]
    shown = open_document_untrusted(AttestationResult, honest.payload, Kind.ATTESTATION_RESULT, verifying_key(fleet))
    with Insider(fleet, Role.SENSOR, MALLORY) as mallory:
        keys = confirmation(mallory.signing.public, KemPrivateKey.generate(os.urandom).public)
        forged = shown.model_copy(update={"confirmation": keys, "sequence": shown.sequence + 1})
        mark = sensor.mark()
        document = sign_attestation_result(forged, mallory.signing, mallory.credential)
        mallory.client.say(Publication(topic, document, retain=True))
        by = sensor.refused(mark, topic)
    stage.broker.publish(honest)
    return judged(by is None, "the sensor took it without a word", by)


def _stale_result(stage: Stage) -> Verdict:
    """The broker shows the sensor an attestation result that was replaced, though its lease still runs."""
    fleet = stage.sealed
    topic, sensor = fleet.topics.result(AGENT), fleet["sensor"]
    older = [each for each in fleet.recorded(topic) if each.payload != fleet.recorded(topic)[-1].payload]
    mark = sensor.mark()
    stage.broker.deliver(fleet.client("sensor"), older[0])
    by = sensor.refused(mark, topic)
    return judged(by is None, "the sensor took it without a word", by)


def _forged_challenge(stage: Stage) -> Verdict:
    """A sensor of the fleet challenges the enclave, to be shown evidence for a nonce of its own."""
    fleet, now = stage.sealed, int(stage.sealed.clock())
    with Insider(fleet, Role.SENSOR, MALLORY) as mallory:
        challenge = Challenge(
            fleet=fleet.name,
            agent=AGENT,
            verifier=MALLORY,
            nonce=os.urandom(32),
            issued=now,
            expires=now + 60,
            purpose="renewal",
            algorithms=(-65801, -19, -9),
            formats=("any",),
        )
        address = Address(fleet.topics.challenge(AGENT), AGENT, challenge.nonce)
        payload = sign_message(Kind.CHALLENGE, challenge, mallory.signing, address, mallory.credential)
        mark, agent = stage.broker.mark(), fleet["agent"].mark()
        mallory.client.say(Publication(address.topic, payload, correlation=challenge.nonce))
        by = fleet["agent"].refused(agent, address.topic)
    answered = [
        each for each in fleet.recorded(fleet.topics.evidence(AGENT), mark) if each.correlation == challenge.nonce
    ]
    return judged(bool(answered), "the enclave showed evidence to a sensor", by)


def _scenario(name: str, properties: tuple[str, ...], by: Attacker, goal: str, now: Attack) -> Scenario:
    return Scenario(name, FAMILY, properties, by, goal, no_evidence_before, now)


SCENARIOS: Final = (
    _scenario(
        "downgrade-algorithm",
        ("P2",),
        Attacker.MACHINE,
        "have an algorithm accepted that nobody offers",
        _old_algorithm,
    ),
    _scenario(
        "forged-attestation-result", ("P2", "P3"), Attacker.SENSOR, "say as a sensor who is attested", _forged_result
    ),
    _scenario(
        "stale-attestation-result",
        ("P8",),
        Attacker.BROKER,
        "have an attestation result taken that was replaced",
        _stale_result,
    ),
    _scenario(
        "forged-challenge", ("P2",), Attacker.SENSOR, "have the enclave show evidence to a sensor", _forged_challenge
    ),
)
