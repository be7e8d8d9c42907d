"""The stage: a fleet of its own in a temporary folder, a broker on loopback, and the parties as processes.

Nothing of it outlives the `with` block.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from broker.embedded import Embedded
from guests.breast_cancer.build import BuiltModel
from schemas.kinds import Role, Tier
from sealedge.operations.demo.processes import Said, Troupe
from sealedge.operations.fleet import Fleet
from sealedge.operations.init import FleetPlan, create_fleet
from sealedge.operations.texts import tier_in_words

FLEET, MODEL = "clinic", "breast-cancer"
AGENT, SENSOR, CONSUMER = "bedside-1", "ward-7", "oncology"
LIMITS = {"memory_bytes": 2**24, "milliseconds": 1000, "output_bytes": 4096}


class Stage:
    """`with Stage(...) as stage:` has a fleet and a broker; `start_service` starts verifier, publisher and agent.

    `broker` is one that runs already, and goes on running; `program` is the module that runs the parties' commands.
    `tee` is what the agent attests with: the simulated TEE, or a TPM (`sealedge.operations.demo.tpm`).
    """

    def __init__(
        self,
        model: BuiltModel,
        tell: Callable[[Said], None],
        *,
        fleet: str = FLEET,
        broker: Embedded | None = None,
        program: str = "sealedge",
        tee: Tier = Tier.SIMULATED,
    ) -> None:
        self.model, self._tell, self._tee = model, tell, tee
        self.tee_in_words = tier_in_words(tee)
        self._fleet_name, self._given, self._program = fleet, broker, program
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as closing:
            folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="sealedge-demo-"))
            self.broker = self._given or closing.enter_context(Embedded())
            self.fleet = self._create_fleet(Path(folder) / "fleet")
            if self._tee is Tier.TPM:
                self._enrol_tpm(closing, Path(folder) / "tpm")
            self._tell({"party": "authority", "event": "fleet-created", "agent": AGENT, "fleet": self.fleet.name})
            self.troupe = closing.enter_context(Troupe(self.directory, self._tell, self._program))
            self._closing = closing.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @property
    def directory(self) -> Path:
        """The fleet's folder."""
        return self.fleet.folder.directory

    def settings(self, role: Role, name: str) -> str:
        """The settings file of a party."""
        return str(self.fleet.folder.settings(role, name))

    def start(self, name: str, *command: str, feed: bool = False) -> None:
        """Start a party's process with JSON events."""
        self.troupe.start(name, *command, "--log", "json", feed=feed)

    def start_service(self) -> None:
        """Verifier, publisher with the model, and the agent; returns when the agent is attested with the model."""
        self.start("verifier", "verifier", "--config", self.settings(Role.VERIFIER, "verifier"))
        self.start("agent", "agent", "--config", self.settings(Role.AGENT, AGENT))
        description = self._write_description()
        publisher = self.settings(Role.PUBLISHER, "publisher")
        packaging = ("publisher", "publish", str(self.model.path), "--describe", str(description))
        self.troupe.start("packaging", *packaging, "--config", publisher)
        if self.troupe.wait_for_end("packaging") == 0:
            self.start("publisher", "publisher", "serve", "--config", publisher)
        self.troupe.wait_for(
            lambda said: said["party"] == "agent" and said["event"] == "attested" and said["models"] > 0,
            "the agent to be attested with the model",
        )

    def _plan(self) -> FleetPlan:
        return FleetPlan(
            fleet=self._fleet_name,
            agents=(AGENT,),
            sensors=(SENSOR,),
            consumers=(CONSUMER,),
            model=MODEL,
            broker=self.broker.url,
            tee=self._tee,
        )

    def _create_fleet(self, directory: Path) -> Fleet:
        return create_fleet(directory, self._plan(), now=time.time(), randomness=os.urandom)

    def _enrol_tpm(self, closing: ExitStack, folder: Path) -> None:
        # Imported here: nobody else needs X.509 and the TPM's structures.
        from sealedge.operations.demo.tpm import enrolled_tpm  # noqa: PLC0415

        tpm = closing.enter_context(enrolled_tpm(self.fleet, AGENT, folder))
        self.tee_in_words = f"{tpm.about}: {self.tee_in_words}"
        self._tell({"party": "agent", "event": "tpm-enrolled", "chip": tpm.chip.hex()[:16], "tpm": tpm.about})

    def _write_description(self) -> Path:
        """What the publisher says of the model, as its owner would write it."""
        description: dict[str, Any] = {
            "name": MODEL,
            "inputs": [each.model_dump(exclude_none=True) for each in self.model.inputs],
            "outputs": [each.model_dump(exclude_none=True) for each in self.model.outputs],
            "tiers": [self._tee],
            "limits": LIMITS,
        }
        path = self.directory / "publisher" / "model.json"
        path.write_text(json.dumps(description), "utf-8")
        return path
