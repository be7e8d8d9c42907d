"""The loop over TLS with client certificates, and without: two fleets on mosquitto as `sealedge init` configures it.

Each has a mosquitto of its own, with its ACL, persistence and limits. They differ in TLS alone: the one fleet's
accounts are certificates, the other's passwords, which are looked at when a party connects.
"""

import os
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.fleets import Worker, progress, say_nothing, serving
from bench.pipelines import MANY, WARM_UP, in_turn_of
from bench.table import Row, ratio
from broker.embedded import Embedded
from guests.breast_cancer.build import BuiltModel
from schemas.kinds import Role
from sealedge.operations.demo.stage import SENSOR, Stage
from sealedge.operations.fleet import Fleet
from sealedge.operations.init import FleetPlan

SHORT: Final = 25
"""Requests of a run: what the machine does besides meets both sides alike where they take turns often."""

NOTE: Final = "mosquitto as `sealedge init` configures it; the whole loop, each hop encrypted"


class Mosquitto(Embedded):
    """Where a fleet's own mosquitto listens; it runs from `serve` to the end of `closing`."""

    def __init__(self, *, tls: bool) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            super().__init__("mosquitto", port=free.getsockname()[1])
        self.tls = tls

    @property
    def url(self) -> str:
        """As parties connect."""
        return f"mqtt{'s' * self.tls}://127.0.0.1:{self.port}"

    def serve(self, folder: Path, closing: ExitStack) -> None:
        """Start it in a fleet's broker folder. Raises RuntimeError where it does not listen."""
        if os.geteuid() == 0:
            # The folder is its owner's alone, and a mosquitto that root starts would become another.
            configured = folder / "mosquitto.conf"
            configured.write_text(f"user root\n{configured.read_text('utf-8')}", "utf-8")
        command = [self._mosquitto or "mosquitto", "-c", "mosquitto.conf"]
        process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
        closing.callback(process.wait)
        closing.callback(process.terminate)
        until = time.monotonic() + 10
        while not self._listens():
            if time.monotonic() > until:
                raise RuntimeError("mosquitto does not listen")
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class ProductionStage(Stage):
    """A fleet with the accounts, and the broker, of `sealedge init` or `sealedge init --tls`."""

    def __init__(self, model: BuiltModel, broker: Mosquitto, closing: ExitStack) -> None:
        super().__init__(model, say_nothing, fleet="tls" if broker.tls else "plain", broker=broker)
        self._mosquitto, self._until = broker, closing

    def _plan(self) -> FleetPlan:
        return replace(super()._plan(), tls=self._mosquitto.tls)

    def _create_fleet(self, directory: Path) -> Fleet:
        fleet = super()._create_fleet(directory)
        self._mosquitto.serve(fleet.folder.broker, self._until)
        return fleet


def rows(model: BuiltModel, reading: bytes, runs: int, requests: int) -> list[Row]:
    """Latency with one request in flight, and requests a second with many."""
    with ExitStack() as closing:
        kept = Path(closing.enter_context(tempfile.TemporaryDirectory())) / "reading"
        kept.write_bytes(reading)
        loops = {kind: _loop(kind == "tls", model, kept, closing) for kind in ("tls", "plain")}
        for loop in loops.values():
            loop.measure(WARM_UP, MANY)
        found: list[Row] = []
        for name, which, flight, turns, many, unit in (
            ("tls/plain p50", 0, 1, max(runs, runs * requests // SHORT), SHORT, "ms"),
            (f"tls/plain throughput {MANY}", 1, MANY, runs, 5 * requests, "requests/s"),
        ):
            progress(f"{name}: {turns} runs of {many} requests, {flight} in flight")
            measured = in_turn_of(loops, turns, many, flight, which)
            found.append(ratio(name, measured["tls"], measured["plain"], unit, note=NOTE))
        return found


def _loop(tls: bool, model: BuiltModel, reading: Path, closing: ExitStack) -> Worker:
    stage = closing.enter_context(ProductionStage(model, Mosquitto(tls=tls), closing))
    stage.start_service()
    settings = stage.settings(Role.SENSOR, SENSOR)
    return Worker(closing.enter_context(serving("bench.loops", "sealed", settings, str(reading))))
