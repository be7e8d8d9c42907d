"""Machines that want a passport they may not have, and enclaves whose keys have leaked.

swap evidence    an agent's evidence is taken on its way, and the attacker's own keys put in its place
leaked           the keys of an enclave of the fleet are known, and so is everything that was ever said to it
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final

from edge_agent.attester.simulated import SimulatedAttester
from protocol.attestation import report_data
from protocol.envelope import Address, sign_document, sign_message
from protocol.errors import RemoteError
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey, VerifyingKey
from protocol.messages import decode_message_untrusted, digest, encode_message
from protocol.party import Publication
from protocol.trust import confirmation
from schemas.attestation import (
    SIMULATED_PROFILE,
    AttestationRequest,
    AttestationResult,
    Challenge,
    EnclaveClaims,
    Evidence,
    SimulatedEvidence,
)
from schemas.kinds import Kind, Role
from schemas.model import KeyRequest, Manifest
from simulation.acts import Doing
from simulation.attacks.outsider import recorded
from simulation.fleet import FLEET, MEASUREMENT, MODEL
from simulation.plan import Act
from simulation.wire import said, typ_of

if TYPE_CHECKING:
    from simulation.world import World

HOW: Final = ("relayed", "unenrolled", "unknown-code", "debugged", "chosen-nonce")


def swap_evidence(world: "World", act: Act) -> None:
    """The next evidence is taken on its way; what arrives names the attacker's keys."""
    random = Random(act.number)
    how = HOW[act.number % len(HOW)]
    done: list[bool] = []

    def swap(publication: Publication) -> Iterable[Publication]:
        if done or typ_of(publication.payload) != Kind.EVIDENCE:
            return [publication]
        forged = _forged(world, publication, how, random)
        if forged is None:
            return [publication]
        done.append(True)
        return [forged]

    world.interceptors.append(swap)


def _forged(world: "World", publication: Publication, how: str, random: Random) -> Publication | None:
    honest = said(Evidence, publication.payload)
    claims = None if honest is None else _claims(honest.claims)
    challenge = None if claims is None else _challenge(world, claims.nonce)
    if honest is None or claims is None or challenge is None:
        return None
    signing, kem = SigningKey.generate(random.randbytes), KemPrivateKey.generate(random.randbytes)
    world.ledger.foreign_keys |= {signing.public.thumbprint, kem.thumbprint}
    if how == "chosen-nonce":
        challenge = challenge.model_copy(update={"nonce": random.randbytes(32)})
    about = {"confirmation": confirmation(signing.public, kem.public), "nonce": challenge.nonce}
    own = encode_message(claims.model_copy(update=about))
    bound = report_data(challenge, own, signing.public, kem.public)
    wrapped = honest.wrapped
    if how != "relayed":
        wrapped = (wrapped[0], _tee_evidence(world, claims.agent, how, bound, random))
    message = Evidence(claims=own, wrapped=wrapped, enrolment=honest.enrolment)
    address = Address(publication.topic, challenge.verifier, challenge.nonce)
    return replace(publication, payload=sign_message(Kind.EVIDENCE, message, signing, address))


def _tee_evidence(world: "World", agent: str, how: str, bound: bytes, random: Random) -> bytes:
    """What the owner of the machine can make: the simulated tier's chip key is a file."""
    if how == "unenrolled":
        return SimulatedAttester(SigningKey.generate(random.randbytes), MEASUREMENT).collect(bound)
    if how == "unknown-code":
        return world.fleet.attester(agent, measurement=digest(b"other code")).collect(bound)
    chip = world.fleet.holder(Role.AGENT, agent).signing
    if how == "chosen-nonce":
        return SimulatedAttester(chip, MEASUREMENT).collect(bound)
    evidence = SimulatedEvidence(
        chip=chip.public.thumbprint,
        report_data=bound,
        measurement=MEASUREMENT,
        debug=True,
        profile=SIMULATED_PROFILE,
        chip_key=chip.public.to_cose_key(),
    )
    return sign_document(Kind.SIMULATED_EVIDENCE, evidence, chip)


def _claims(data: bytes) -> EnclaveClaims | None:
    try:
        return decode_message_untrusted(EnclaveClaims, data)
    except RemoteError:
        return None


def _challenge(world: "World", nonce: bytes) -> Challenge | None:
    """The challenge with this nonce, as the wire showed it."""
    challenges = (said(Challenge, each.payload) for each in recorded(world) if each.topic.endswith("/challenge"))
    return next((each for each in challenges if each is not None and each.nonce == nonce), None)


def leaked_key_request(world: "World", act: Act) -> None:
    """Whoever has an enclave's signing key asks for the model's key with an attestation result of any age."""
    random = Random(act.number)
    shown = [each for each in recorded(world) if each.topic.endswith("/result")]
    manifests = [each.payload for each in recorded(world) if each.topic.endswith("/manifest")]
    if not shown or not manifests:
        return
    document = random.choice(shown[-3:] if random.random() < 0.5 else shown).payload
    result, manifest = said(AttestationResult, document), said(Manifest, manifests[-1])
    boot = next((each for each in world.ledger.boots if result is not None and _is_of(result, each.key)), None)
    if result is None or manifest is None or boot is None:
        return
    request = KeyRequest(
        fleet=FLEET,
        agent=result.agent,
        model=MODEL,
        version=manifest.version,
        manifest=digest(manifests[-1]),
        request=random.randbytes(16),
        attestation_result=document,
        issued=int(world.broker.now),
    )
    topics = world.fleet.topics
    address = Address(topics.key(MODEL), manifest.publisher, request.request)
    payload = sign_message(Kind.KEY_REQUEST, request, boot.enclave.key, address)
    inbox = topics.inbox(Role.AGENT, result.agent)
    world.broker.publish(Publication(topics.key(MODEL), payload, response_topic=inbox, correlation=request.request))


def _is_of(result: AttestationResult, key: bytes) -> bool:
    return VerifyingKey.from_cose_key_untrusted(result.confirmation.signing_key).thumbprint == key


def borrowed_enrolment(world: "World", act: Act) -> None:
    """Anybody may ask for challenges in an agent's name: the enrolment is no secret. None gets a passport by that."""
    random = Random(act.number)
    name = f"agent-{1 + act.number % world.shape.agents}"
    signing = SigningKey.generate(random.randbytes)
    request = AttestationRequest(
        fleet=FLEET,
        agent=name,
        confirmation=confirmation(signing.public),
        boot=random.randbytes(16),
        issued=int(world.broker.now),
        purpose=random.choice(("birth", "renewal", "again")),
    )
    topic = world.fleet.topics.attest(name)
    enrolment = world.fleet.holder(Role.AGENT, name).credential
    payload = sign_message(Kind.ATTESTATION_REQUEST, request, signing, Address(topic, ""), enrolment)
    world.broker.publish(Publication(topic, payload))


ATTACKS: Final[Mapping[str, Doing]] = {
    "swap-evidence": swap_evidence,
    "leaked-key-request": leaked_key_request,
    "borrowed-enrolment": borrowed_enrolment,
}
