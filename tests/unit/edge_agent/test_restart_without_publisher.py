"""Real processes: the publisher is killed, the agent restarted, and a reading answered by what was kept sealed."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.kinds import Role
from schemas.model import TensorSpec
from sealedge.operations.demo.processes import Said
from sealedge.operations.demo.stage import AGENT, MODEL, SENSOR, Stage
from tests.support.wat_modules import ECHO, performing

pytestmark = pytest.mark.slow

READING = [1, 2, 3, 4, 5, 6, 7, 8]


@dataclass(frozen=True)
class Echo:
    """A model that answers with its input, in place of the demo's."""

    path: Path
    inputs: tuple[TensorSpec, ...] = (TensorSpec(name="in", dtype="uint8", shape=(8,)),)
    outputs: tuple[TensorSpec, ...] = (TensorSpec(name="out", dtype="uint8", shape=(8,)),)


def kill(stage: Stage, name: str) -> None:
    """SIGKILL, shown as an orderly end: the troupe ends a demo of which a party died."""
    process = stage.troupe._processes[name]
    process.kill()
    process.wait()
    process.returncode = 0


def start_agent(stage: Stage) -> None:
    stage.start("agent", "agent", "--config", stage.settings(Role.AGENT, AGENT))


def start_sensor(stage: Stage) -> None:
    stage.start("sensor", "sensor", "send", "-", "--config", stage.settings(Role.SENSOR, SENSOR), feed=True)


def ask(stage: Stage) -> Said:
    stage.troupe.write("sensor", str(READING))
    return stage.troupe.wait_for(lambda said: (said["party"], said["event"]) == ("sensor", "output"), "a result")


def end_sensor(stage: Stage) -> None:
    stage.troupe.close("sensor")
    stage.troupe.wait_for_end("sensor")


def attested_with_model(stage: Stage) -> None:
    def with_model(said: Said) -> bool:
        return said["party"] == "agent" and said["event"] == "attested" and said["models"] > 0

    stage.troupe.wait_for(with_model, "the agent to be attested with the model", 20)


def said_by_agent(stage: Stage) -> list[str]:
    return [str(said["event"]) for said in stage.troupe.heard if said["party"] == "agent"]


def test_an_agent_restarts_and_serves_while_its_publisher_is_dead(tmp_path: Path) -> None:
    (tmp_path / "echo.wasm").write_bytes(performing(ECHO))
    with Stage(Echo(tmp_path / "echo.wasm"), lambda _: None) as stage:  # type: ignore[arg-type]  # all that it reads
        stage.start_service()
        start_sensor(stage)
        first = ask(stage)
        assert first["status"] == "answered"
        kept = stage.fleet.folder.settings(Role.AGENT, AGENT).parent.rglob("*.code")
        (code,) = kept
        assert code.name == f"{MODEL}.code"
        for name in ("publisher", "agent"):
            kill(stage, name)
        stage.troupe.heard.clear()
        start_agent(stage)
        attested_with_model(stage)
        second = ask(stage)
        assert (second["status"], second["output"]) == ("answered", first["output"])
        end_sensor(stage)
        assert "model-restored" in said_by_agent(stage)
        assert not {"key-released", "chunks-needed", "model-loaded", "sealed-model-refused"} & set(said_by_agent(stage))


def test_an_edited_file_leaves_it_without_a_model_until_the_publisher_is_back(tmp_path: Path) -> None:
    (tmp_path / "echo.wasm").write_bytes(performing(ECHO))
    with Stage(Echo(tmp_path / "echo.wasm"), lambda _: None) as stage:  # type: ignore[arg-type]  # all that it reads
        stage.start_service()
        for name in ("publisher", "agent"):
            kill(stage, name)
        (code,) = stage.fleet.folder.settings(Role.AGENT, AGENT).parent.rglob("*.code")
        content = code.read_bytes()
        code.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        stage.troupe.heard.clear()
        start_agent(stage)
        refused = stage.troupe.wait_for(lambda said: said["event"] == "sealed-model-refused", "the refusal")
        assert refused["reason"] == "decryption-failed"
        assert not code.exists()
        publisher = stage.settings(Role.PUBLISHER, "publisher")
        stage.start("publisher", "publisher", "serve", "--config", publisher)
        start_sensor(stage)
        assert ask(stage)["status"] == "answered"
        end_sensor(stage)
        assert "model-loaded" in said_by_agent(stage)
