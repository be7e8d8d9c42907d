"""Parties whom nobody vouches for, and parties of the fleet in roles that are not theirs.

What they say is registered as `moved`, so that whoever believes it is noticed, or names keys of the attacker.
"""

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Final

from protocol.attestation import sign_attestation_result
from protocol.envelope import Address, seal_message, sign_document, sign_message
from protocol.kem_keys import KemPrivateKey, KemPublicKey
from protocol.keys import SigningKey
from protocol.messages import digest
from protocol.party import Delivery, Publication
from protocol.revocation import sign_revocations
from protocol.trust import confirmation
from schemas.attestation import AttestationResult, Challenge
from schemas.kinds import Kind, Role
from schemas.model import KeyGrant, KeyRequest, Manifest
from schemas.reason import Reason
from schemas.status import Refusal, RevocationList
from simulation.acts import Doing
from simulation.attacks.outsider import recorded
from simulation.fleet import FLEET, MODEL, Holder
from simulation.plan import Act
from simulation.wire import said

if TYPE_CHECKING:
    from simulation.world import World


def _liar(world: "World", role: Role, number: int) -> Holder:
    """Somebody with the right role and no authority's word, or with its word and another role."""
    if number % 2:
        return world.fleet.holder(role, str(role), impostor=True)
    return world.fleet.holder(Role.SENSOR, "sensor-mallory")


def _say(world: "World", publication: Publication, why: str) -> None:
    world.ledger.moves(publication, why)
    world.broker.publish(publication)


def forged_result(world: "World", act: Act) -> None:
    """An attestation result for the attacker's keys stands on an agent's topic."""
    random = Random(act.number)
    shown = [each for each in recorded(world) if each.topic.endswith("/result")]
    honest = said(AttestationResult, shown[-1].payload) if shown else None
    if honest is None:
        return
    signing, kem = SigningKey.generate(random.randbytes), KemPrivateKey.generate(random.randbytes)
    world.ledger.foreign_keys |= {signing.public.thumbprint, kem.thumbprint}
    about = {
        "confirmation": confirmation(signing.public, kem.public),
        "sequence": honest.sequence + 1_000_000,
        "expires": honest.expires + 10_000,
    }
    liar = _liar(world, Role.VERIFIER, act.number)
    document = sign_attestation_result(honest.model_copy(update=about), liar.signing, liar.credential)
    _say(world, Publication(shown[-1].topic, document, retain=True), "an attestation result by no verifier")


def forged_list(world: "World", act: Act) -> None:
    """A revocation list that names nothing, with a high number."""
    now = int(world.broker.now)
    forged = RevocationList(fleet=FLEET, sequence=10_000, issued=now, expires=now + 9_000_000, entries=())
    signer = world.fleet.impostor.key if act.number % 2 else world.fleet.holder(Role.VERIFIER, "verifier").signing
    topic = world.fleet.topics.revocations
    _say(world, Publication(topic, sign_revocations(forged, signer), retain=True), "a list by no authority")


def forged_manifest(world: "World", act: Act) -> None:
    """A later version by another publisher: of the fleet, of nobody's, or no publisher at all.

    It is shown to those alone who know the owner's: the first manifest is believed, as THREAT_MODEL.md says.
    """
    topic = world.fleet.topics.manifest(MODEL)
    shown = [each for each in recorded(world) if each.topic == topic]
    honest = said(Manifest, shown[-1].payload) if shown else None
    if honest is None:
        return
    holders = (_liar(world, Role.PUBLISHER, 0), _liar(world, Role.PUBLISHER, 1))
    holder = (*holders, world.fleet.holder(Role.PUBLISHER, "publisher-rogue"))[act.number % 3]
    about = {"version": honest.version + 10, "publisher": holder.name, "digest": digest(b"another module")}
    document = sign_document(Kind.MANIFEST, honest.model_copy(update=about), holder.signing, holder.credential)
    publication = Publication(topic, document)
    world.ledger.moves(publication, "a manifest by another publisher")
    for name, host in world.hosts.items():
        known = any(each.topic == topic and each.payload == shown[0].payload for each in host.received)
        if name.startswith(("sensor", "consumer")) and known:
            world.broker.deliver(host, Delivery(topic, document))


def forged_challenge(world: "World", act: Act) -> None:
    """An enclave is challenged by no verifier."""
    random, now = Random(act.number), int(world.broker.now)
    agent = f"agent-{1 + act.number % world.shape.agents}"
    liar, topics = _liar(world, Role.VERIFIER, act.number), world.fleet.topics
    challenge = Challenge(
        fleet=FLEET,
        agent=agent,
        verifier=liar.name,
        nonce=random.randbytes(32),
        issued=now,
        expires=now + 60,
        purpose="birth",
        algorithms=(-65801, -19, -9),
        formats=("any",),
    )
    address = Address(topics.challenge(agent), agent, challenge.nonce)
    payload = sign_message(Kind.CHALLENGE, challenge, liar.signing, address, liar.credential)
    _say(world, Publication(address.topic, payload, correlation=challenge.nonce), "a challenge by no verifier")


def forged_grant(world: "World", act: Act) -> None:
    """A key request is answered by somebody else than the model's publisher."""
    random, now = Random(act.number), int(world.broker.now)
    asked = [each for each in recorded(world) if each.topic.endswith("/key")]
    request = said(KeyRequest, asked[-1].payload) if asked else None
    result = None if request is None else said(AttestationResult, request.attestation_result)
    if request is None or result is None or result.confirmation.kem_key is None:
        return
    rogue = world.fleet.holder(Role.PUBLISHER, "publisher-rogue")
    holder = rogue if act.number % 3 == 0 else _liar(world, Role.PUBLISHER, act.number)
    inbox = world.fleet.topics.inbox(Role.AGENT, request.agent)
    address = Address(inbox, request.agent, request.request)
    if act.number % 5 == 0:
        refusal = Refusal(reason=Reason.REVOKED, time=now)
        payload = sign_message(Kind.REFUSAL, refusal, holder.signing, address, holder.credential)
        if holder is rogue:
            world.broker.publish(Publication(inbox, payload, correlation=request.request))
            return
    else:
        fields = {
            name: getattr(request, name) for name in ("fleet", "agent", "model", "version", "manifest", "request")
        }
        grant = KeyGrant(**fields, content_key=random.randbytes(32), issued=now, expires=now + 9000)
        kem = KemPublicKey.from_cose_key_untrusted(result.confirmation.kem_key)
        draw = random.randbytes
        payload = seal_message(Kind.KEY_RELEASE, grant, holder.signing, kem, address, draw, holder.credential)
    _say(world, Publication(inbox, payload, correlation=request.request), "a key by another publisher")


def forged_refusal(world: "World", act: Act) -> None:
    """A sensor is told that its request was refused, by whom it did not ask."""
    asked = [each for each in recorded(world) if each.topic.endswith(("/request", "/session")) and each.correlation]
    if not asked:
        return
    to = Random(act.number).choice(asked[-10:])
    inbox, correlation = to.response_topic or "", to.correlation or b""
    liar = _liar(world, Role.VERIFIER, act.number)
    refusal = Refusal(reason=Reason.REVOKED, time=int(world.broker.now))
    address = Address(inbox, "", correlation)
    payload = sign_message(Kind.REFUSAL, refusal, liar.signing, address, liar.credential)
    _say(world, Publication(inbox, payload, correlation=correlation), "a refusal by no enclave")


_ASKED: Final = ("fleet", "agent", "model", "version", "manifest", "request")

ATTACKS: Final[Mapping[str, Doing]] = {
    "forged-result": forged_result,
    "forged-list": forged_list,
    "forged-manifest": forged_manifest,
    "forged-challenge": forged_challenge,
    "forged-grant": forged_grant,
    "forged-refusal": forged_refusal,
}
