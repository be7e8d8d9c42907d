"""Going on though it is over: revoked, expired, withheld, or by a clock that lies (P3, P8, P9).

What ruins a fleet has one of its own, or is played last.
"""

import time
from collections.abc import Iterable
from typing import Final

from protocol.party import Noted, Publication
from protocol.revocation import sign_revocations
from schemas.kinds import Role
from schemas.status import RevocationKind, RevocationList
from sealedge.client.events import Answered, TimedOut
from sealedge.operations.attacks.insiders.session import Insider
from sealedge.operations.attacks.scenario import Attacker, Scenario, Verdict, judged, not_applicable
from sealedge.operations.attacks.stage import MASK, Stage
from sealedge.operations.attacks.targets.actors import is_noted
from sealedge.operations.attacks.targets.modules import expected
from sealedge.operations.attacks.targets.names import AGENT, MALLORY, PADDED
from sealedge.operations.attacks.targets.sealed import Sealed
from sealedge.operations.attacks.targets.usual_agent import MODEL
from sealedge.operations.revoke import identifiers, revoke
from storage.files import read_bytes

FAMILY: Final = "revocation and leases"
LEASE_SECONDS: Final = 301.0
ASK_SECONDS: Final = 2.0
WENT_ON: Final = "it went on serving"


def _revoked(fleet: Sealed, kind: RevocationKind, what: str) -> Publication:
    """The authority revokes something; the list, as it is to be published."""
    named = identifiers(kind, what, fleet.fleet.authority.key.public, fleet.name)
    revoke(fleet.fleet, kind, named, time.time())
    return Publication(fleet.topics.revocations, read_bytes(fleet.folder.revocations), retain=True)


def _withdrawn_before(stage: Stage) -> Verdict:
    """The owner takes the model off the broker; the agent goes on with it."""
    usual, reading = stage.usual, stage.reading()
    usual.publisher.say(Publication(MODEL, b"", retain=True))
    usual.settle()
    won = usual.output(reading) == expected(reading, MASK)
    usual.publish(stage.module)
    return judged(won, "the agent goes on with a model that its owner took back", "check")


def _no_lease_before(_stage: Stage) -> Verdict:
    return not_applicable(
        "nobody is trusted for a time, and nothing can be revoked but an account at the broker itself"
    )


def _revoked_model(stage: Stage) -> Verdict:
    """The module that runs is revoked; the next version is another module."""
    fleet, reading = stage.sealed, stage.reading()
    agent = fleet["agent"]
    mark = agent.mark()
    stage.broker.publish(_revoked(fleet, "model", str(fleet.packaged)))
    erased = agent.wait(lambda event: is_noted(event, "model-erased"), mark)
    won = fleet.output(reading, ASK_SECONDS) == expected(reading, MASK)
    fleet.update(stage.new_module())
    by = str(erased.detail["why"]) if isinstance(erased, Noted) else None
    return judged(won, WENT_ON, by, "the enclave erased the model")


def _revoked_agent(stage: Stage) -> Verdict:
    """The agent's chip is revoked. It goes on asking, with an enclave that is as genuine as before.

    It ruins the fleet of all others, and is therefore played last.
    """
    fleet = stage.sealed
    fleet.output(stage.reading())
    verifier, mark = fleet["verifier"], fleet["verifier"].mark()
    stage.broker.publish(_revoked(fleet, "chip", str(fleet.agent_folder / "enrolment.cwt")))
    by = verifier.refused(mark, f"/{AGENT}/")
    won = isinstance(fleet.ask(stage.reading(), ASK_SECONDS), Answered)
    return judged(won, WENT_ON, by)


def _withheld(stage: Stage) -> Verdict:
    """The broker keeps the list, and the result that was cleared, from agent and sensor: until the lease is over."""
    with stage.fleet() as fleet:
        fleet.output(stage.reading())
        victims = {fleet.client(each) for each in ("agent", "sensor", "consumer")}
        kept = {fleet.topics.revocations, fleet.topics.result(AGENT)}

        def withhold(client: str, publication: Publication) -> Iterable[Publication] | None:
            return [] if client in victims and publication.topic in kept else None

        with stage.broker.bending(withhold):
            mark = fleet["verifier"].mark()
            stage.broker.publish(_revoked(fleet, "chip", str(fleet.agent_folder / "enrolment.cwt")))
            fleet["verifier"].wait(lambda event: is_noted(event, "lease-ended"), mark)
            fleet.clock.ahead += LEASE_SECONDS
            ended = fleet.ask(stage.reading(), ASK_SECONDS)
    by = str(ended.because) if isinstance(ended, TimedOut) else None
    return judged(isinstance(ended, Answered), WENT_ON, by, "silence ended the lease", detected=True)


def _expired(stage: Stage) -> Verdict:
    """The verifier is cut off; the agent's host would like to go on."""
    return _lease_over(stage, 0.0)


def _held_clock(stage: Stage) -> Verdict:
    """The same, and the host tells its enclave that no time has passed."""
    return _lease_over(stage, -LEASE_SECONDS)


def _lease_over(stage: Stage, host_ahead: float) -> Verdict:
    fleet = stage.sealed
    fleet.output(stage.reading())
    fleet.stop("verifier")
    fleet.host_clock.ahead += host_ahead
    fleet.clock.ahead += LEASE_SECONDS
    ended = fleet.ask(stage.reading(), ASK_SECONDS)
    fleet.host_clock.ahead -= host_ahead
    fleet.stop("agent")
    fleet.start("verifier")
    fleet.start_agent_anew()
    by = str(ended.because) if isinstance(ended, TimedOut) else None
    return judged(isinstance(ended, Answered), WENT_ON, by)


def _revoked_sensor(stage: Stage) -> Verdict:
    """A sensor whose credential is revoked goes on in its session, and opens another."""
    fleet = stage.sealed
    credential = str(fleet.folder.party(Role.SENSOR, PADDED) / "credential.cwt")
    with Insider(fleet, Role.SENSOR, PADDED) as gone:
        session = gone.session()
        opened = session.open()
        agent, mark = fleet["agent"], fleet["agent"].mark()
        stage.broker.publish(_revoked(fleet, "credential", credential))
        agent.wait(lambda event: is_noted(event, "sessions-erased"), mark)
        went_on = session.say(session.request(session.reading(stage.reading())))
        again = gone.session().open()
    by = None if None in (went_on, again) or opened is not None else f"{went_on} and {again}"
    return judged(None in (went_on, again), WENT_ON, by)


def _stale_list(stage: Stage) -> Verdict:
    """The broker brings back the list in which the sensor is not yet revoked."""
    fleet = stage.sealed
    topic, agent = fleet.topics.revocations, fleet["agent"]
    older = fleet.recorded(topic)[0]
    newest = Publication(topic, read_bytes(fleet.folder.revocations), retain=True)
    mark = agent.mark()
    stage.broker.publish(older)
    by = agent.refused(mark, topic)
    stage.broker.publish(newest)
    return judged(by is None, "the enclave took the older list without a word", by)


def _forged_list(stage: Stage) -> Verdict:
    """A sensor signs a list that names nothing, with a high number."""
    fleet, now = stage.sealed, int(stage.sealed.clock())
    topic, agent = fleet.topics.revocations, fleet["agent"]
    forged = RevocationList(fleet=fleet.name, sequence=10_000, issued=now, expires=now + 9_000_000, entries=())
    with Insider(fleet, Role.SENSOR, MALLORY) as mallory:
        mark = agent.mark()
        mallory.client.say(Publication(topic, sign_revocations(forged, mallory.signing), retain=True))
        by = agent.refused(mark, topic)
    stage.broker.publish(Publication(topic, read_bytes(fleet.folder.revocations), retain=True))
    return judged(by is None, "the enclave took a list that the authority did not sign", by)


SCENARIOS: Final = (
    Scenario(
        "forged-list",
        FAMILY,
        ("P2", "P9"),
        Attacker.SENSOR,
        "say who is revoked",
        _no_lease_before,
        _forged_list,
    ),
    Scenario(
        "revoked-sensor", FAMILY, ("P9",), Attacker.SENSOR, "go on though revoked", _no_lease_before, _revoked_sensor
    ),
    Scenario("stale-list", FAMILY, ("P8",), Attacker.BROKER, "bring back an older list", _no_lease_before, _stale_list),
    Scenario("expired-lease", FAMILY, ("P3",), Attacker.OWNER, "go on after the lease", _no_lease_before, _expired),
    Scenario(
        "held-clock",
        FAMILY,
        ("P3",),
        Attacker.OWNER,
        "go on by a clock that stands still",
        _no_lease_before,
        _held_clock,
    ),
    Scenario(
        "revoked-model",
        FAMILY,
        ("P9",),
        Attacker.OWNER,
        "go on with a model that was taken back",
        _withdrawn_before,
        _revoked_model,
    ),
    Scenario(
        "withheld-revocation",
        FAMILY,
        ("P8", "P9"),
        Attacker.BROKER,
        "keep a revoked agent in business",
        _no_lease_before,
        _withheld,
    ),
    Scenario(
        "revoked-agent",
        FAMILY,
        ("P9",),
        Attacker.OWNER,
        "go on though the chip is revoked",
        _no_lease_before,
        _revoked_agent,
    ),
)
