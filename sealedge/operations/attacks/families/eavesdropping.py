"""Reading along: on the broker, as another client of it, and in the sizes of what passes (P1)."""

from typing import Final

from protocol.party import Publication
from publisher.shelf import Shelf
from schemas.kinds import Role
from sealedge.operations.attacks.scenario import Attacker, Scenario, Verdict, judged, not_applicable
from sealedge.operations.attacks.stage import MASK, Stage, found_in
from sealedge.operations.attacks.targets.actors import Attacker as Client
from sealedge.operations.attacks.targets.modules import expected
from sealedge.operations.attacks.targets.names import MODEL, PADDED
from sealedge.operations.demo.eavesdropper import private_keys
from storage.store import SqliteStore

FAMILY: Final = "eavesdropping"
SHORT, LONG = 40, 200

ENCRYPTED: Final = "encryption"


def _searched(heard: bytes, secret: bytes, control: bytes, what: str) -> Verdict:
    """Whether a secret stands in what was heard; `control` must, or the search proves nothing."""
    found = found_in(heard, secret)
    said = f"{found} parts of the {what} found in {len(heard)} bytes"
    return judged(found > 0, said, ENCRYPTED if control in heard else None, said)


def _reading_before(stage: Stage) -> Verdict:
    mark, reading = stage.broker.mark(), stage.reading()
    stage.usual.ask(reading)
    return _searched(stage.broker.heard(mark), reading, b"usual/", "reading")


def _reading_now(stage: Stage) -> Verdict:
    fleet, mark, reading = stage.sealed, stage.broker.mark(), stage.reading()
    answered = fleet.ask(reading)
    control = b"" if answered is None else answered.request
    return _searched(stage.broker.heard(mark), reading, control or reading, "reading")


def _result_before(stage: Stage) -> Verdict:
    mark, reading = stage.broker.mark(), stage.reading()
    stage.usual.ask(reading)
    return _searched(stage.broker.heard(mark), expected(reading, MASK), b"usual/", "result")


def _result_now(stage: Stage) -> Verdict:
    fleet, mark, reading = stage.sealed, stage.broker.mark(), stage.reading()
    answered = fleet.ask(reading)
    control = b"" if answered is None else answered.request
    return _searched(stage.broker.heard(mark), expected(reading, MASK), control or reading, "result")


def _model_before(stage: Stage) -> Verdict:
    stage.usual.publish(stage.module)
    return _searched(stage.broker.heard(), stage.weights, b"usual/model", "model")


def _model_now(stage: Stage) -> Verdict:
    fleet = stage.sealed
    return _searched(fleet.heard(), stage.weights, fleet.topics.manifest(MODEL).encode(), "model")


def _keys_before(_stage: Stage) -> Verdict:
    return not_applicable("nothing is encrypted for anybody: there are no keys but those of TLS")


def _keys_now(stage: Stage) -> Verdict:
    fleet = stage.sealed
    fleet.ask(stage.reading())
    with SqliteStore(fleet.folder.party(Role.PUBLISHER, "publisher") / "state" / "state.db") as store:
        lent = [each.content_key for each in Shelf(store).models()]
    secrets = [*lent, *private_keys(fleet.folder.directory)]
    heard = fleet.heard()
    found = sum(found_in(heard, each) > 0 for each in secrets)
    said = f"{found} of {len(secrets)} keys found in {len(heard)} bytes"
    return judged(found > 0, said, ENCRYPTED if secrets else None, said)


def _client_before(stage: Stage) -> Verdict:
    reading = stage.reading()
    with Client(stage.broker.account("another-client"), "#") as client:
        stage.usual.ask(reading)
        told = client.hear(lambda each: found_in(each.payload, reading) > 0, seconds=2.0)
    return judged(told is not None, "another client was told the reading", "topic rules")


def _client_now(stage: Stage) -> Verdict:
    fleet, reading = stage.sealed, stage.reading()
    with Client(stage.broker.account("another-client"), "#") as client:
        answered = fleet.ask(reading)
        name = b"" if answered is None else answered.request
        passed = client.hear(lambda each: each.correlation == name, seconds=2.0)
        told = client.hear(lambda each: found_in(each.payload, reading) > 0, seconds=0.1)
    return judged(told is not None, "another client was told the reading", ENCRYPTED if passed else None)


def _sizes_before(stage: Stage) -> Verdict:
    found = []
    for length in (SHORT, LONG):
        mark = stage.broker.mark()
        stage.usual.ask(stage.reading(length))
        found.append(_sizes(stage.broker.since(mark)))
    return judged(
        found[0] != found[1], f"messages of {found[0]} and {found[1]} bytes tell the readings apart", "padding"
    )


def _sizes_now(stage: Stage) -> Verdict:
    fleet, found = stage.sealed, []
    fleet.start_sensor(PADDED, pad_to=1024)
    fleet.ask(stage.reading(), sensor=PADDED)
    for length in (SHORT, LONG):
        mark = stage.broker.mark()
        answered = fleet.ask(stage.reading(length), sensor=PADDED)
        if answered is not None:
            fleet.result(answered.request)
        found.append(_sizes([each for each in fleet.said(mark) if each.correlation]))
    fleet.stop(PADDED)
    said = f"messages of {found[0]} bytes, and of {found[1]}"
    return judged(found[0] != found[1], said, "padding" if all(found) else None, said)


def _sizes(said: list[Publication]) -> list[int]:
    return sorted(len(each.payload) for each in said)


SCENARIOS: Final = (
    Scenario(
        "eavesdrop-readings",
        FAMILY,
        ("P1",),
        Attacker.BROKER,
        "learn a reading on its way",
        _reading_before,
        _reading_now,
    ),
    Scenario(
        "eavesdrop-results", FAMILY, ("P1",), Attacker.BROKER, "learn a result on its way", _result_before, _result_now
    ),
    Scenario(
        "eavesdrop-model", FAMILY, ("P1",), Attacker.BROKER, "learn the model on its way", _model_before, _model_now
    ),
    Scenario("eavesdrop-keys", FAMILY, ("P1",), Attacker.BROKER, "learn a key on its way", _keys_before, _keys_now),
    Scenario(
        "subscribe-to-everything",
        FAMILY,
        ("P1",),
        Attacker.CLIENT,
        "read along as another client",
        _client_before,
        _client_now,
    ),
    Scenario(
        "measure-sizes",
        FAMILY,
        ("P1",),
        Attacker.BROKER,
        "tell readings apart by their length",
        _sizes_before,
        _sizes_now,
    ),
)
