"""The model's key: asked for by somebody else, or another one put in its place (P2, P3, P5)."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from protocol.attestation import open_past_attestation_result_untrusted
from protocol.cose import parse_sign1_untrusted
from protocol.envelope import Address, seal_message, sign_message
from protocol.messages import decode_message_untrusted, digest
from protocol.party import Publication
from schemas.kinds import Kind, Role
from schemas.model import KeyGrant, KeyRequest
from sealedge.operations.attacks.families.results import once
from sealedge.operations.attacks.insiders.session import Insider
from sealedge.operations.attacks.scenario import Attacker, Scenario, Verdict, judged, not_applicable
from sealedge.operations.attacks.stage import Stage
from sealedge.operations.attacks.targets.actors import is_noted
from sealedge.operations.attacks.targets.names import AGENT, MALLORY, MODEL, ROGUE
from sealedge.operations.attacks.targets.sealed import Sealed

FAMILY: Final = "key release"
RETRY_SECONDS: Final = 60.0
"""By how much the clock is moved on, so that an enclave asks again what it was not answered."""


def _no_key_before(_stage: Stage) -> Verdict:
    return not_applicable("the model is not encrypted: there is no key to exchange")


def _asked(stage: Stage) -> Verdict:
    """A sensor asks the publisher for the model's key, showing the agent's attestation result, which anybody has."""
    fleet = stage.sealed
    manifest = fleet.recorded(fleet.topics.manifest(MODEL))[-1].payload
    with Insider(fleet, Role.SENSOR, MALLORY) as mallory:
        request = KeyRequest(
            fleet=fleet.name,
            agent=AGENT,
            model=MODEL,
            version=fleet.version,
            manifest=digest(manifest),
            request=os.urandom(16),
            attestation_result=mallory.passport.document,
            issued=mallory.now,
        )
        address = Address(fleet.topics.key(MODEL), "publisher", request.request)
        payload = sign_message(Kind.KEY_REQUEST, request, mallory.signing, address)
        mark, publisher = mallory.client.mark(), fleet["publisher"]
        asked = publisher.mark()
        mallory.client.say(
            Publication(address.topic, payload, response_topic=mallory.inbox, correlation=request.request)
        )
        by = publisher.refused(asked, address.topic)
        released = mallory.client.hear(lambda each: each.correlation == request.request, mark, 0.2)
    return judged(released is not None or by is None, "the publisher answered with a key", by)


def _key_exchanged(stage: Stage, exchanged: Callable[[Publication], Publication]) -> Verdict:
    """The next key release to the agent is exchanged on its way; at last the true one arrives."""
    fleet = stage.sealed
    inbox, agent = fleet.topics.inbox(Role.AGENT, AGENT), fleet["agent"]
    mark = agent.mark()
    with stage.broker.bending(once(inbox, exchanged)):
        fleet.publish(stage.new_module())
        by = agent.refused(mark, inbox)
    loaded = any(is_noted(event, "key-released") for event in agent.since(mark))
    fleet.clock.ahead += RETRY_SECONDS
    fleet.wait_for_model(mark)
    return judged(loaded and by is None, "the enclave took a key that was not for its request", by)


def _substituted_key(stage: Stage) -> Verdict:
    """A key release that this very enclave was sent, for the version before."""
    fleet = stage.sealed
    said = fleet.recorded(fleet.topics.inbox(Role.AGENT, AGENT))
    old = [each for each in said if parse_sign1_untrusted(each.payload).typ == Kind.KEY_RELEASE][-1]
    return _key_exchanged(stage, lambda each: replace(each, payload=old.payload))


def _foreign_key(stage: Stage) -> Verdict:
    """A key of another publisher of the fleet, sealed to this enclave, for this very request."""
    fleet = stage.sealed
    with Insider(fleet, Role.PUBLISHER, ROGUE) as rogue:
        return _key_exchanged(stage, lambda each: _grant_of(fleet, rogue, each))


def _grant_of(fleet: Sealed, rogue: Insider, honest: Publication) -> Publication:
    asked = fleet.recorded(fleet.topics.key(MODEL))[-1]
    request = decode_message_untrusted(KeyRequest, parse_sign1_untrusted(asked.payload).payload)
    kem = open_past_attestation_result_untrusted(request.attestation_result, fleet.trust(), fleet.clock()).kem_key
    fields = {name: getattr(request, name) for name in ("fleet", "agent", "model", "version", "manifest", "request")}
    grant = KeyGrant(**fields, content_key=os.urandom(32), issued=rogue.now, expires=rogue.now + 300)
    address = Address(honest.topic, AGENT, request.request)
    payload = seal_message(Kind.KEY_RELEASE, grant, rogue.signing, kem, address, os.urandom, rogue.credential)
    return replace(honest, payload=payload)


SCENARIOS: Final = (
    Scenario(
        "ask-for-the-key", FAMILY, ("P3", "P5"), Attacker.SENSOR, "be lent the model's key", _no_key_before, _asked
    ),
    Scenario(
        "substitute-wrapped-key",
        FAMILY,
        ("P5",),
        Attacker.BROKER,
        "have a key of another version used",
        _no_key_before,
        _substituted_key,
    ),
    Scenario(
        "forged-grant",
        FAMILY,
        ("P2", "P5"),
        Attacker.PUBLISHER,
        "have a key of its own used",
        _no_key_before,
        _foreign_key,
    ),
)
