"""The fleet of `tests.support.world`, over a real broker and in real time: for tests of the SDK."""

import os
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np

from broker.embedded import Embedded
from broker.settings import ConnectionSettings
from broker.threaded import ThreadedLink
from protocol.errors import EnclaveError
from schemas.kinds import Role
from schemas.model import TensorSpec
from schemas.reason import Reason
from storage.files import write_private
from storage.key_files import write_kem_key, write_signing_key
from tests.support.world import MODEL, World

INPUTS = (TensorSpec(name="reading", dtype="float32", shape=(2, 2)),)
OUTPUTS = (TensorSpec(name="risk", dtype="float32", shape=(1,), labels=("low", "high")),)


def mean(data: bytes) -> bytes:
    """The fleet's module. A reading that holds a NaN is refused, as a trap would be."""
    found = float(np.frombuffer(data, dtype="<f4").mean())
    if found != found:
        raise EnclaveError("not a number", reason=Reason.INPUT_INVALID)
    return struct.pack("<f", found)


class LiveFleet(World):
    """Verifier, publisher and agent in threads of this process; `sensor` and `consumer` write folders for the SDK."""

    def __init__(self, broker: Embedded, folder: Path, name: str) -> None:
        self.embedded, self.root = broker, folder
        self.links: list[ThreadedLink] = []
        super().__init__(fleet=name, compute=mean)
        self.randomness = os.urandom

    def start_all(self) -> "LiveFleet":
        self.broker.now = time.time()
        self.package(inputs=INPUTS, outputs=OUTPUTS)
        self.start_verifier()
        self.start_publisher()
        self.start_agent()
        return self

    def stop(self) -> None:
        for link in reversed(self.links):
            link.stop()

    def write(self, role: Role, name: str, **settings: Any) -> Path:
        """A party's folder, as `sealedge enrol` would leave it. Returns its path."""
        holder, folder = self.holder(role, name), self.root / f"{role}-{name}"
        write_signing_key(folder / "signing.pem", holder.signing)
        write_kem_key(folder / "kem.key", holder.kem)
        write_private(folder / "authority.pub.pem", self.authority.key.public.pem())
        write_private(folder / "credential.cwt", holder.credential)
        write_private(folder / "revocations.cose", self.revocations)
        values = {
            "fleet": self.fleet,
            "name": name,
            "tiers": ["simulated"],
            "revocations": "revocations.cose",
            "durability": "normal",
            **({"model": MODEL} if role is Role.SENSOR else {"models": [MODEL]}),
            **settings,
        }
        lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
        text = "\n".join([*lines, "[broker]", f'url = "{self.embedded.url}"', ""])
        write_private(folder / f"{role}.toml", text.encode())
        return folder

    def _start(self, party: Any) -> Any:
        link = ThreadedLink(party, ConnectionSettings(url=self.embedded.url), strict=True)
        link.start()
        self.links.append(link)
        self.parties[party.client_id] = party
        return party


def _toml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else f'"{value}"'
