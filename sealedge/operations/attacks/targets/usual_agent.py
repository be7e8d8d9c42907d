"""The usual agent's process: takes the model from a retained message, readings as JSON, and answers with JSON.

    python -m sealedge.operations.attacks.targets.usual_agent URL CA CERTIFICATE KEY FOLDER

It is written as such agents are: one instance of the module, kept; wasmtime with its defaults and WASI; the compiled
module kept on disk for the next start. Nothing of it is careless on purpose.
"""

import base64
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import wasmtime

from broker.link import Link
from broker.process import run
from broker.settings import ConnectionSettings
from protocol.party import Delivery, Event, Publication, Subscription
from sealedge.operations.attacks.insiders.memory_spy import drop_rights

MODEL, REQUEST, REPLY = "usual/model", "usual/agent/bedside-1/request", "usual/sensor/ward-7/reply"
RESULTS, STATUS = "usual/results", "usual/agent/bedside-1/status"
CAPACITY: Final = 4096


class Module:
    """An instance of a module, kept between requests."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module) -> None:
        linker, self._store = wasmtime.Linker(engine), wasmtime.Store(engine)
        linker.define_wasi()
        wasi = wasmtime.WasiConfig()
        wasi.inherit_stdout()
        self._store.set_wasi(wasi)
        exports: Any = linker.instantiate(self._store, module).exports(self._store)
        self._memory, self._entry = exports["memory"], exports["perform_inference"]
        self._at = self._memory.grow(self._store, 4) * 65_536

    def run(self, reading: bytes) -> bytes:
        """One inference. Raises wasmtime's errors for a trap."""
        self._memory.write(self._store, reading, self._at)
        out = self._at + 65_536
        written = self._entry(self._store, self._at, len(reading), out, CAPACITY)
        return bytes(self._memory.read(self._store, out, out + written))


class UsualAgent:
    """A party as everybody writes it: whoever may say something on its topics is believed."""

    client_id, deadline = "usual-agent", None

    def __init__(self, folder: Path) -> None:
        self._folder, self._engine = folder, wasmtime.Engine()
        self._module: Module | None = None
        self._version, self._digest = 0, ""

    def will(self, now: float) -> Publication | None:  # noqa: ARG002 - the interface of a party
        """None."""
        return None

    def connected(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Take up the module of the last run, compiled as it lies there; ask for newer ones."""
        about, compiled = self._folder / "model.json", self._folder / "model.cwasm"
        if self._module is None and compiled.exists():
            kept = json.loads(about.read_text())
            self._version, self._digest = kept["version"], kept["sha256"]
            self._module = Module(self._engine, wasmtime.Module.deserialize_file(self._engine, str(compiled)))
        return [Subscription(REQUEST), Subscription(MODEL), self._status()]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """A model, or a reading."""
        try:
            said = json.loads(delivery.payload)
            if delivery.topic == MODEL:
                return self._install(said)
            return self._infer(said, delivery.response_topic or REPLY, delivery.correlation)
        except (ValueError, KeyError, TypeError, AttributeError):
            return [Publication(STATUS, json.dumps({"version": self._version, "error": "malformed"}).encode())]

    def expire(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Never due."""
        return []

    def leaving(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Without a word."""
        return []

    def _install(self, said: Any) -> list[Event]:
        data = base64.b64decode(said["module"])
        digest = hashlib.sha256(data).hexdigest()
        if digest != self._digest:
            try:
                module = wasmtime.Module(self._engine, data)
                self._module = Module(self._engine, module)
            except wasmtime.WasmtimeError as error:
                return [
                    Publication(STATUS, json.dumps({"version": said["version"], "error": str(error)[:80]}).encode())
                ]
            self._digest = digest
            self._write("model.wasm", data)
            self._write("model.cwasm", bytes(module.serialize()))
        self._version = said["version"]
        self._write("model.json", json.dumps({"version": self._version, "sha256": digest}).encode())
        return [self._status()]

    def _infer(self, said: Any, reply: str, correlation: bytes | None) -> list[Event]:
        answer = {"id": said["id"], "version": self._version}
        try:
            output = self._module.run(bytes.fromhex(said["reading"])) if self._module else b""
            answer["result"] = output.hex()
        except (wasmtime.Trap, wasmtime.WasmtimeError, IndexError) as error:
            answer["error"] = str(error).splitlines()[0][:80]
        payload = json.dumps(answer).encode()
        return [Publication(reply, payload, correlation=correlation), Publication(RESULTS, payload)]

    def _status(self) -> Publication:
        return Publication(STATUS, json.dumps({"version": self._version, "sha256": self._digest}).encode(), retain=True)

    def _write(self, name: str, data: bytes) -> None:
        (self._folder / name).write_bytes(data)


def main(url: str, ca: str, certificate: str, key: str, folder: str) -> int:
    """Serve until SIGTERM."""
    drop_rights()
    files = (Path(ca), Path(certificate), Path(key))
    settings = ConnectionSettings(url=url, ca_file=files[0], certificate_file=files[1], key_file=files[2])
    return run(Link(UsualAgent(Path(folder)), settings))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
