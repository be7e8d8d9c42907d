"""Every topic there is. Nothing else in the project writes a "/" into a topic (SPECIFICATION.md, "Topics").

All topics of a fleet stand below `sealedge/v1/FLEET`, so that one ACL line keeps fleets apart. Levels are
lowercase names (`schemas.base.Name`); R marks topics whose messages are retained.
"""

from dataclasses import dataclass

ROOT = "sealedge/v1"

STATUS, ATTEST, CHALLENGE, EVIDENCE, RESULT = "status", "attest", "challenge", "evidence", "result"
INBOX, SESSION, REQUEST = "inbox", "session", "request"
MANIFEST, CHUNK, KEY, RESULTS, REVOCATIONS = "manifest", "chunk", "key", "results", "revocations"


@dataclass(frozen=True, slots=True)
class FleetTopics:
    """The topics of one fleet. `party` and `model` are names; `+` gives a filter for all of them."""

    fleet: str

    @property
    def everything(self) -> str:
        """A filter for all that this fleet says: for operators and eavesdroppers, never for parties."""
        return f"{ROOT}/{self.fleet}/#"

    def status(self, role: str, party: str) -> str:
        """R: JSON for eyes, with a signed proof; the will sets it to `lost`."""
        return f"{ROOT}/{self.fleet}/{role}/{party}/{STATUS}"

    def attest(self, agent: str) -> str:
        """Agent to verifier: please challenge me."""
        return f"{ROOT}/{self.fleet}/agent/{agent}/{ATTEST}"

    def challenge(self, agent: str) -> str:
        """Verifier to agent."""
        return f"{ROOT}/{self.fleet}/agent/{agent}/{CHALLENGE}"

    def evidence(self, agent: str) -> str:
        """Agent to verifier."""
        return f"{ROOT}/{self.fleet}/agent/{agent}/{EVIDENCE}"

    def result(self, agent: str) -> str:
        """R: the attestation result of an agent, its passport."""
        return f"{ROOT}/{self.fleet}/agent/{agent}/{RESULT}"

    def session(self, agent: str) -> str:
        """Sensor to enclave: session openings and one-shot requests."""
        return f"{ROOT}/{self.fleet}/agent/{agent}/{SESSION}"

    def request(self, agent: str) -> str:
        """Sensor to enclave: requests inside a session."""
        return f"{ROOT}/{self.fleet}/agent/{agent}/{REQUEST}"

    def inbox(self, role: str, party: str) -> str:
        """Replies to a party: the response topic that it names."""
        return f"{ROOT}/{self.fleet}/{role}/{party}/{INBOX}"

    def manifest(self, model: str) -> str:
        """R: the signed manifest of a model's newest version."""
        return f"{ROOT}/{self.fleet}/model/{model}/{MANIFEST}"

    def chunk(self, model: str, digest: bytes) -> str:
        """R: one encrypted chunk, named by the SHA-256 of its bytes."""
        return f"{ROOT}/{self.fleet}/model/{model}/{CHUNK}/{digest.hex()}"

    def key(self, model: str) -> str:
        """Enclave to publisher: key requests."""
        return f"{ROOT}/{self.fleet}/model/{model}/{KEY}"

    def results(self, model: str) -> str:
        """Enclave to all consumers of a model, where a session names this topic."""
        return f"{ROOT}/{self.fleet}/model/{model}/{RESULTS}"

    @property
    def revocations(self) -> str:
        """R: the authority's signed, counted revocation list."""
        return f"{ROOT}/{self.fleet}/{REVOCATIONS}"

    def owner(self, topic: str) -> str | None:
        """The party or model name that a topic of this fleet belongs to, or None."""
        levels = topic.split("/")
        if levels[:3] != [*ROOT.split("/"), self.fleet] or len(levels) < 6:
            return None
        return levels[4]
