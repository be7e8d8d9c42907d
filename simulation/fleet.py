"""A fleet as its authority made it: keys, credentials, disks, revocations. All of it survives every crash."""

import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from edge_agent.attester.simulated import SimulatedAttester
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey
from protocol.messages import digest
from protocol.party import Store
from protocol.revocation import sign_revocations
from protocol.trust import Trust
from publisher.package import ModelDescription, PackagedModel, package
from publisher.shelf import Shelf
from schemas.kinds import Role, Tier
from schemas.status import Revocation, RevocationKind, RevocationList
from schemas.topics import FleetTopics
from sealedge.operations.authority import Authority
from simulation.disks import Disk
from simulation.module import LIMITS, tensors
from simulation.plan import Shape
from simulation.taint import Taint

START: Final = 1_800_000_000.0
FLEET: Final = "plant"
MODEL: Final = "scan"
MEASUREMENT: Final = digest(b"the enclave's code")
ACCEPTED: Final = (Tier.SIMULATED,)
STRICT: Final = (Tier.SEV_SNP,)
"""What a strict party accepts. No TEE of this world has that tier."""

MODULE_BYTES: Final = 80

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder with a random name, for its owner alone, is made in it
"""Where caches lie if there is such a place: nothing of a run is worth a disk's time."""


@dataclass
class Holder:
    """A party's identity and disk; `random` goes on where it was after a restart."""

    role: Role
    name: str
    signing: SigningKey
    kem: KemPrivateKey
    credential: bytes
    randomness: Callable[[int], bytes] = field(repr=False)
    disk: Disk = field(default_factory=Disk)


class Fleet:
    """Everything that is there before any party runs, and what the authority does while they run."""

    def __init__(self, seed: int, shape: Shape) -> None:
        self.seed, self.shape, self.taint = seed, shape, Taint()
        self.topics = FleetTopics(FLEET)
        self._keys = Random(f"{seed} keys").randbytes
        self.authority = Authority(FLEET, SigningKey.generate(self._keys))
        self.impostor = Authority(FLEET, SigningKey.generate(self._keys))
        """Somebody else's authority that calls its fleet by the same name."""
        self._holders: dict[tuple[Role, str, bool], Holder] = {}
        self.retired: dict[str, list[Holder]] = {}
        """The keys that a party of this name had before, the newest last."""
        self._revoked: list[Revocation] = []
        self.lists: list[bytes] = []
        self.revoke(START)
        self.modules: dict[int, bytes] = {}
        self.packaged_by = b""
        """The key that signed the newest version."""
        in_memory = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="sealedge-simulation-", dir=in_memory))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    # Identities

    def holder(self, role: Role, name: str, *, impostor: bool = False) -> Holder:
        """A party's keys and credential, made at the first use. An `impostor`'s are vouched for by nobody here."""
        known = self._holders.get((role, name, impostor))
        if known is not None:
            return known
        random = Random(f"{self.seed} {role} {name} {impostor}")
        public = role is Role.VERIFIER
        randomness = random.randbytes if public else self.taint.draws(f"{role} {name}", random)
        signing, kem = SigningKey.generate(self._keys), KemPrivateKey.generate(self._keys)
        authority = self.impostor if impostor else self.authority
        about: dict[str, Any] = {"now": START, "randomness": self._keys}
        if role is Role.AGENT:
            credential = authority.enrol(name, (signing.public.thumbprint,), **about)
        else:
            credential = authority.vouch(role, name, signing.public, kem=kem.public, **about)
            self.taint.note(f"the KEM key of {role} {name}", kem.seed_bytes())
        found = Holder(role, name, signing, kem, credential, randomness)
        self._holders[role, name, impostor] = found
        return found

    def rekey(self, role: Role, name: str, now: float) -> bytes:
        """A party's new signing key and credential; its disk stays. Returns the list that names the key it had."""
        old = self.holder(role, name)
        signing = SigningKey.generate(self._keys)
        credential = self.authority.vouch(
            role, name, signing.public, now=now, randomness=self._keys, kem=old.kem.public
        )
        self.retired.setdefault(name, []).append(old)
        self._holders[role, name, False] = replace(old, signing=signing, credential=credential)
        return self.revoke(now, ("key", old.signing.public.thumbprint))

    def keys_of(self, role: Role, name: str) -> frozenset[bytes]:
        """The thumbprints of all signing keys that a party has ever had."""
        held = (self.holder(role, name), *self.retired.get(name, ()))
        return frozenset(each.signing.public.thumbprint for each in held)

    def trust(self, store: Store) -> Trust:
        """What a party believes at its start; the first list is one of the files that it was set up with."""
        trust = Trust(FLEET, self.authority.key.public, store)
        if trust.revocations.sequence < 1:
            trust.revocations.accept_untrusted(self.lists[0])
        return trust

    def attester(self, agent: str, *, measurement: bytes = MEASUREMENT) -> SimulatedAttester:
        """The TEE of an agent: its chip key is the enrolled one."""
        return SimulatedAttester(self.holder(Role.AGENT, agent).signing, measurement)

    # What the authority and the model's owner do

    def revoke(self, now: float, *more: tuple[RevocationKind, bytes]) -> bytes:
        """The next list. It ends when the shape says so, for all later ones are made long before."""
        self._revoked += [Revocation(kind=kind, identifier=each, time=int(now)) for kind, each in more]
        following = RevocationList(
            fleet=FLEET,
            sequence=len(self.lists) + 1,
            issued=int(now),
            expires=int(now) + self.shape.list_seconds,
            entries=tuple(self._revoked),
        )
        self.lists.append(sign_revocations(following, self.authority.key))
        return self.lists[-1]

    @property
    def revoked(self) -> frozenset[tuple[RevocationKind, bytes]]:
        """All that the newest list names."""
        return frozenset((each.kind, each.identifier) for each in self._revoked)

    def package(self, now: float, store: Store) -> PackagedModel:
        """The next version of the model, written to the publisher's disk."""
        owner = self.holder(Role.PUBLISHER, "publisher")
        module = b"\0asm" + self._keys(MODULE_BYTES)
        tiers = STRICT if self.shape.strict == "manifest" else ACCEPTED
        about: dict[str, Any] = tensors(stateful=self.shape.stateful)
        made = package(
            module,
            ModelDescription(name=MODEL, tiers=tiers, limits=LIMITS, **about),
            fleet=FLEET,
            publisher=owner.name,
            store=store,
            key=owner.signing,
            credential=owner.credential,
            now=now,
            randomness=owner.randomness,
        )
        self.modules[made.manifest.version] = module
        self.packaged_by = owner.signing.public.thumbprint
        self.taint.note("the module", module[4:])
        self._note_keys(store)
        return made

    def _note_keys(self, store: Store) -> None:
        newest = Shelf(store).newest(MODEL)
        if newest is not None:
            self.taint.note("a content key", newest.content_key)

    def version_of(self, module: bytes) -> int | None:
        """Which version has the module of this digest."""
        return next((version for version, each in self.modules.items() if digest(each) == module), None)
