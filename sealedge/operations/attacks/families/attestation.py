"""Machines that want to be taken for an agent of the fleet (P4, P5, P6).

Each tries as an agent that is enrolled and does not run, with evidence that its TEE really made.
"""

import os
from typing import Final

from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey
from schemas.evidence import SNP
from schemas.kinds import Role, Tier
from sealedge.client.events import TimedOut
from sealedge.operations.attacks.insiders.machines import Machine
from sealedge.operations.attacks.scenario import Attack, Attacker, Scenario, Verdict, judged, not_applicable
from sealedge.operations.attacks.stage import Stage, found_in
from sealedge.operations.attacks.targets.actors import Attacker as Client
from sealedge.operations.attacks.targets.names import PADDED, SPARE
from sealedge.operations.attacks.targets.usual_agent import MODEL, REQUEST

FAMILY: Final = "attestation"
GOT_IN: Final = "the verifier gave the attacker's keys a passport"


def _anybody_serves_before(stage: Stage) -> Verdict:
    """A client on a machine that nobody vouched for takes the agent's place."""
    reading = stage.reading()
    with Client(stage.broker.account("some-machine"), REQUEST, MODEL) as machine:
        stage.usual.ask(reading)
        model = machine.hear(lambda each: each.topic == MODEL, seconds=3.0)
        told = machine.hear(lambda each: found_in(each.payload, reading) > 0, seconds=3.0)
    return judged(model is not None and told is not None, "it was given the model, and the reading", "evidence")


def no_evidence_before(_stage: Stage) -> Verdict:
    """Nobody proves anything there."""
    return not_applicable("no evidence is asked for: see unenrolled-machine")


def _relayed(stage: Stage) -> Verdict:
    """Genuine evidence of an honest machine, for its own keys, in a message with the attacker's keys."""
    with Machine(stage.sealed, SPARE[0]) as honest:
        challenge = honest.challenge()
        genuine = honest.tee(challenge, honest.claims(challenge))
        honest.new_keys()
        by = honest.present(honest.evidence(challenge, tee=genuine))
    return judged(by is None, GOT_IN, by)


def _unenrolled(stage: Stage) -> Verdict:
    with Machine(stage.sealed, SPARE[1]) as machine:
        machine.chip = SigningKey.generate(os.urandom)
        by = machine.present(machine.evidence(machine.challenge()))
    return judged(by is None, GOT_IN, by)


def _borrowed_enrolment(stage: Stage) -> Verdict:
    """Another agent's machine, with its genuine evidence and its own enrolment, answers in this agent's name."""
    with Machine(stage.sealed, SPARE[2]) as machine, Machine(stage.sealed, SPARE[3]) as other:
        challenge = machine.challenge()
        machine.chip, machine.enrolment = other.chip, other.enrolment
        by = machine.present(machine.evidence(challenge))
    return judged(by is None, GOT_IN, by)


def _unknown_code(stage: Stage) -> Verdict:
    with Machine(stage.sealed, SPARE[4]) as machine:
        machine.measurement = os.urandom(32)
        by = machine.present(machine.evidence(machine.challenge()))
    return judged(by is None, GOT_IN, by)


def _debug_mode(stage: Stage) -> Verdict:
    with Machine(stage.sealed, SPARE[5]) as machine:
        challenge = machine.challenge()
        claims = machine.claims(challenge)
        by = machine.present(machine.evidence(challenge, claims, machine.debugged(challenge, claims)))
    return judged(by is None, GOT_IN, by)


def _chosen_nonce(stage: Stage) -> Verdict:
    with Machine(stage.sealed, SPARE[6]) as machine:
        challenge = machine.challenge().model_copy(update={"nonce": os.urandom(32)})
        by = machine.present(machine.evidence(challenge))
    return judged(by is None, GOT_IN, by)


def _answered_again(stage: Stage, agent: str, *, restart: bool) -> Verdict:
    """A nonce that was answered, and gave a passport, is answered once more for other keys."""
    fleet = stage.sealed
    with Machine(fleet, agent) as machine:
        challenge = machine.challenge()
        honest = machine.present(machine.evidence(challenge))
        if restart:
            fleet.restart("verifier")
        machine.new_keys()
        by = machine.present(machine.evidence(challenge))
    return judged(by is None, GOT_IN, by if honest is None else None)


def _replayed(stage: Stage) -> Verdict:
    return _answered_again(stage, SPARE[7], restart=False)


def _nonce_lost(stage: Stage) -> Verdict:
    return _answered_again(stage, SPARE[8], restart=True)


def _swapped_key(stage: Stage, agent: str, *, kem: bool) -> Verdict:
    """The host puts its own key into the claims, after the TEE has signed."""
    with Machine(stage.sealed, agent) as machine:
        challenge = machine.challenge()
        genuine = machine.tee(challenge, machine.claims(challenge))
        if kem:
            machine.kem = KemPrivateKey.generate(os.urandom)
        else:
            machine.signing = SigningKey.generate(os.urandom)
        by = machine.present(machine.evidence(challenge, tee=genuine))
    return judged(by is None, GOT_IN, by)


def _swapped_kem_key(stage: Stage) -> Verdict:
    return _swapped_key(stage, SPARE[9], kem=True)


def _swapped_signing_key(stage: Stage) -> Verdict:
    return _swapped_key(stage, SPARE[10], kem=False)


def _simulated_as_hardware(stage: Stage) -> Verdict:
    with Machine(stage.sealed, SPARE[11]) as machine:
        by = machine.present(machine.evidence(machine.challenge(), media_type=SNP.media_type))
    return judged(by is None, GOT_IN, by)


def _not_named(stage: Stage) -> Verdict:
    """The verifier's policy names hardware alone; the evidence is genuine, of the simulated tier."""
    fleet = stage.sealed
    policy = fleet.folder.party(Role.VERIFIER, "verifier") / "policy.toml"
    told = policy.read_text("utf-8")
    try:
        policy.write_text(told.replace('accept = ["simulated"]', f'accept = ["{Tier.TDX}"]'), "utf-8")
        fleet.restart("verifier")
        with Machine(fleet, SPARE[11]) as machine:
            by = machine.present(machine.evidence(machine.challenge()))
    finally:
        policy.write_text(told, "utf-8")
        fleet.restart("verifier")
    return judged(by is None, GOT_IN, by)


def _sensor_wants_hardware(stage: Stage) -> Verdict:
    """The fleet's verifier puts up with simulation; this sensor does not."""
    fleet = stage.sealed
    fleet.start_sensor(PADDED, tiers=(Tier.SEV_SNP,))
    ended = fleet.ask(stage.reading(), 2.0, PADDED)
    fleet.stop(PADDED)
    by = str(ended.because) if isinstance(ended, TimedOut) else None
    return judged(ended is not None and by is None, "the sensor sent its reading to a simulated enclave", by)


def _scenario(name: str, properties: tuple[str, ...], goal: str, now: Attack, before: Attack | None = None) -> Scenario:
    return Scenario(name, FAMILY, properties, Attacker.MACHINE, goal, before or no_evidence_before, now)


SCENARIOS: Final = (
    _scenario("relayed-evidence", ("P5",), "pass with an honest machine's evidence", _relayed, _anybody_serves_before),
    _scenario(
        "unenrolled-machine", ("P5",), "pass as an agent on any genuine machine", _unenrolled, _anybody_serves_before
    ),
    _scenario("unknown-code", ("P5",), "pass with other code in the enclave", _unknown_code, _anybody_serves_before),
    _scenario(
        "debug-mode", ("P5",), "pass with an enclave that a debugger may enter", _debug_mode, _anybody_serves_before
    ),
    _scenario("borrowed-enrolment", ("P5",), "pass as one agent with another's enrolment", _borrowed_enrolment),
    _scenario("swapped-signing-key", ("P5",), "have receipts signed by a key outside the TEE", _swapped_signing_key),
    _scenario("swapped-kem-key", ("P5",), "have secrets sealed to a key outside the TEE", _swapped_kem_key),
    _scenario("chosen-nonce", ("P4",), "answer a nonce of its own choice", _chosen_nonce),
    _scenario("replayed-evidence", ("P4",), "answer a nonce twice", _replayed),
    _scenario("nonce-memory-lost", ("P4",), "answer a nonce twice, after the verifier was restarted", _nonce_lost),
    _scenario("simulated-as-hardware", ("P6",), "pass simulated evidence off as hardware's", _simulated_as_hardware),
    _scenario("simulation-not-named", ("P6",), "pass as simulated where the policy names hardware", _not_named),
    _scenario(
        "downgrade-to-simulation", ("P6",), "have a sensor that wants hardware accept less", _sensor_wants_hardware
    ),
)
