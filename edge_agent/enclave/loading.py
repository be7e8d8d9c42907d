"""What is known of a model on its way into an enclave, and of one that runs."""

from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.trust import Identity
from schemas.model import ChunkIndex, Manifest, ModuleLimits

Computation = Callable[[bytes], bytes]
"""A loaded module: input bytes to output bytes. Raises `EnclaveError`."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A module that may run, and the machine code that it runs as."""

    compute: Computation = field(repr=False)
    machine_code: bytes = field(repr=False)


Loader = Callable[[bytes, ModuleLimits, bytes | None], Loaded]
"""Checks a module, compiles it under its limits, or takes the machine code that is given: one's own, made earlier.

Raises `EnclaveError` (model-invalid).
"""


Fingerprint = Callable[[int], str]
"""`engine_fingerprint` for as many bytes of stack."""


@dataclass(slots=True)
class Running:
    """A module that may compute until `expires`."""

    manifest: Manifest
    manifest_digest: bytes
    publisher: Identity
    compute: Computation = field(repr=False)
    expires: float
    renew_at: float


@dataclass(frozen=True, slots=True)
class Carried:
    """State of one session: what `by` made in so many requests, from zeros."""

    by: Running = field(repr=False)
    data: bytes = field(repr=False)
    steps: int


@dataclass(slots=True)
class Wanted:
    """A version on its way: what was asked, what was granted."""

    manifest: Manifest
    digest: bytes
    publisher: Identity
    request: bytes | None = None
    ask_at: float = 0.0
    index: ChunkIndex | None = field(default=None, repr=False)
    expires: float = 0.0
    renew_at: float = 0.0
    looked: bool = False
    """Whether the host was asked for what it keeps; `looking` until it answers."""
    looking: bool = False

    def running(self, compute: Computation) -> Running:
        """Loaded, and lent until what was granted ends."""
        return Running(self.manifest, self.digest, self.publisher, compute, self.expires, self.renew_at)

    def afresh(self) -> "Wanted":
        """The same version, without what was granted."""
        return Wanted(self.manifest, self.digest, self.publisher)
