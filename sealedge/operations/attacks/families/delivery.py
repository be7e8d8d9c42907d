"""Another model than the owner's: bent on its way, forged, set back, or exchanged on disk (P2, P5, P8, P11)."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from protocol.cose import parse_sign1_untrusted
from protocol.envelope import sign_document
from protocol.messages import decode_message_untrusted
from protocol.party import Noted, Publication
from schemas.kinds import Kind, Role
from schemas.model import Manifest
from sealedge.operations.attacks.families.results import flipped
from sealedge.operations.attacks.insiders.session import Insider
from sealedge.operations.attacks.scenario import Attacker, Scenario, Verdict, judged, not_applicable
from sealedge.operations.attacks.stage import FORGED_MASK, MASK, Stage
from sealedge.operations.attacks.targets.actors import is_noted
from sealedge.operations.attacks.targets.modules import compiled, expected, model
from sealedge.operations.attacks.targets.names import MODEL, ROGUE

FAMILY: Final = "model delivery"
RUNS: Final = "the agent runs the attacker's module"


def _forged_module(stage: Stage) -> bytes:
    return model(stage.weights, FORGED_MASK)


def _answers_forged(stage: Stage, ask: Callable[[bytes], bytes | None]) -> bool:
    reading = stage.reading()
    return ask(reading) == expected(reading, FORGED_MASK)


# Before


def said_by_broker_before(stage: Stage) -> Verdict:
    """Somebody who is not the publisher says a model."""
    usual = stage.usual
    usual.installed([usual.offer(_forged_module(stage), usual.version + 1)], stage.broker.voice)
    won = _answers_forged(stage, usual.output)
    usual.publish(stage.module)
    return judged(won, RUNS, "check")


def _rollback_before(stage: Stage) -> Verdict:
    """Version 1 is replaced by version 2; then its retained message stands there again."""
    usual = stage.usual
    old = usual.offer(_forged_module(stage), usual.version + 1)
    usual.installed([old], usual.publisher)
    usual.publish(stage.module, usual.version + 2)
    usual.installed([old], stage.broker.voice)
    won = _answers_forged(stage, usual.output)
    usual.publish(stage.module)
    return judged(won, "the agent runs the version that was replaced", "check")


def _cache_before(stage: Stage) -> Verdict:
    usual = stage.usual
    usual.stop_agent()
    cache = usual.folder / "model.cwasm"
    honest = cache.read_bytes()
    cache.write_bytes(compiled(_forged_module(stage)))
    usual.start_agent()
    won = _answers_forged(stage, usual.output)
    usual.stop_agent()
    cache.write_bytes(honest)
    usual.start_agent()
    return judged(won, RUNS, "check")


def _no_chunk_before(_stage: Stage) -> Verdict:
    return not_applicable("only the compiled module is kept: see swap-compiled-module")


# Now


def _tampered_chunk(stage: Stage) -> Verdict:
    fleet = stage.sealed
    agent, done = fleet["agent"], list[Publication]()

    def bend(_client: str, publication: Publication) -> list[Publication] | None:
        if "/chunk/" not in publication.topic or done:
            return None
        done.append(publication)
        return [replace(publication, payload=flipped(publication.payload))]

    mark = agent.mark()
    with stage.broker.bending(bend):
        fleet.publish(stage.new_module())
        dropped = agent.wait(lambda event: is_noted(event, "dropped"), mark)
    loaded = any(is_noted(event, "model-loaded") for event in agent.since(mark))
    stage.broker.publish(*done)
    fleet.wait_for_model(mark)
    by = str(dropped.detail["why"]) if isinstance(dropped, Noted) else None
    return judged(loaded, "a bent chunk was loaded", by)


def _forged_manifest(stage: Stage) -> Verdict:
    """Another publisher of the fleet, with a good credential, announces a later version of the owner's model."""
    fleet, topic = stage.sealed, stage.sealed.topics.manifest(MODEL)
    honest = fleet.recorded(topic)[-1]
    shown = decode_message_untrusted(Manifest, parse_sign1_untrusted(honest.payload).payload)
    with Insider(fleet, Role.PUBLISHER, ROGUE) as rogue:
        lie = {"version": shown.version + 10, "publisher": ROGUE, "digest": os.urandom(32)}
        document = sign_document(Kind.MANIFEST, shown.model_copy(update=lie), rogue.signing, rogue.credential)
        mark = fleet["agent"].mark()
        rogue.client.say(Publication(topic, document, retain=True))
        by = fleet["agent"].refused(mark, topic)
    stage.broker.publish(honest)
    return judged(by is None, "the enclave took another publisher's manifest without a word", by)


def _bent_manifest(stage: Stage) -> Verdict:
    """The broker writes into the owner's manifest."""
    fleet, topic = stage.sealed, stage.sealed.topics.manifest(MODEL)
    honest, mark = fleet.recorded(topic)[-1], fleet["agent"].mark()
    stage.broker.deliver(fleet.client("agent"), replace(honest, payload=flipped(honest.payload, -200)))
    by = fleet["agent"].refused(mark, topic)
    return judged(by is None, "the enclave took a bent manifest without a word", by)


def _rollback(stage: Stage) -> Verdict:
    fleet, topic = stage.sealed, stage.sealed.topics.manifest(MODEL)
    old = fleet.recorded(topic)[-1]
    fleet.update(stage.new_module())
    new, mark = fleet.recorded(topic)[-1], fleet["agent"].mark()
    stage.broker.publish(old)
    by = fleet["agent"].refused(mark, topic)
    stage.broker.publish(new)
    return judged(by is None, "the enclave took the replaced manifest without a word", by)


def _swapped_on_disk(stage: Stage, files: str, noted: str, content: Callable[[Path], bytes]) -> Verdict:
    """The agent is stopped, its files are exchanged, and it starts again: what it answers then, and what it noted."""
    fleet = stage.sealed
    fleet.stop("agent")
    kept = list((fleet.agent_folder / "state").glob(files))
    for path in kept:
        path.write_bytes(content(path))
    agent = fleet.start_agent_anew()
    reading = stage.reading()
    output = fleet.output(reading)
    found = agent.wait(lambda event: is_noted(event, noted), 0, 0.1)
    honest = output == expected(reading, MASK) and bool(kept)
    by = None if not isinstance(found, Noted) or not honest else str(found.detail.get("reason", noted))
    return judged(output == expected(reading, FORGED_MASK), RUNS, by)


def _swapped_compiled(stage: Stage) -> Verdict:
    forged = compiled(_forged_module(stage))
    return _swapped_on_disk(stage, "models/*.code", "sealed-model-refused", lambda _path: forged)


def _swapped_chunks(stage: Stage) -> Verdict:
    """Without the sealed model, the enclave is handed the chunks that the host keeps: here bent ones."""
    for path in (stage.sealed.agent_folder / "state" / "models").iterdir():
        path.unlink()
    return _swapped_on_disk(stage, "chunks/*", "chunks-lost", lambda path: flipped(path.read_bytes()))


SCENARIOS: Final = (
    Scenario(
        "tamper-chunk",
        FAMILY,
        ("P2",),
        Attacker.BROKER,
        "have another module loaded",
        said_by_broker_before,
        _tampered_chunk,
    ),
    Scenario(
        "bend-manifest",
        FAMILY,
        ("P2",),
        Attacker.BROKER,
        "have another module announced",
        said_by_broker_before,
        _bent_manifest,
    ),
    Scenario(
        "forged-manifest",
        FAMILY,
        ("P2", "P8"),
        Attacker.PUBLISHER,
        "replace another publisher's model",
        said_by_broker_before,
        _forged_manifest,
    ),
    Scenario(
        "rollback",
        FAMILY,
        ("P8",),
        Attacker.BROKER,
        "bring back a version that was replaced",
        _rollback_before,
        _rollback,
    ),
    Scenario(
        "swap-compiled-module",
        FAMILY,
        ("P2", "P11"),
        Attacker.OWNER,
        "have its machine code run",
        _cache_before,
        _swapped_compiled,
    ),
    Scenario(
        "swap-kept-chunks",
        FAMILY,
        ("P2",),
        Attacker.OWNER,
        "have its module loaded from disk",
        _no_chunk_before,
        _swapped_chunks,
    ),
)
