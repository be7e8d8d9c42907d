"""A verifier's folder with evidence in its store, for what is tried on it."""

from pathlib import Path

from sealedge.operations.settings import VerifierSettings
from storage.store import SqliteStore
from tests.support.enclaves import NOW, FakeEnclave, Fleet, challenged
from verifier.verifier import Verifier

SETTINGS = """\
fleet = "plant"
name = "verifier-1"
authority = "authority.pub.pem"
state = "state"
signing_key = "signing.pem"
credential = "credential.cwt"
policy = "policy.toml"
[broker]
url = "mqtt://127.0.0.1:9"
"""


class VerifierFolder:
    """`folder`/verifier.toml, and a running verifier of `fleet` over the store beside it."""

    def __init__(self, folder: Path, fleet: Fleet) -> None:
        self.folder, self.fleet = folder, fleet
        self.config = folder / "verifier.toml"
        self.config.write_text(SETTINGS)
        (folder / "authority.pub.pem").write_bytes(fleet.authority.public.pem())
        self.store = SqliteStore(folder / "state" / "state.db")
        self.verifier: Verifier = fleet.verifier(store=self.store)

    @property
    def settings(self) -> VerifierSettings:
        return VerifierSettings.load(self.config)

    def attest(self, enclave: FakeEnclave, now: float = NOW, **changes: bytes) -> None:
        """Let an enclave answer a challenge; `measurement` is what its TEE says that it measures."""
        challenge = challenged(self.verifier, enclave, now)
        claims = enclave.claims(challenge, now)
        tee = enclave.tee(challenge, claims, **changes)
        self.verifier.receive(enclave.answer(challenge, now, claims=claims, tee=tee), now)

    def policy(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path
