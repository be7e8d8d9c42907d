"""From a WebAssembly module to a version that can be published: chunks, sealed index, signed manifest.

module ─> chunks under the model's secret ─> index under a new content key ─> manifest under the publisher's key

All of it is stored in one transaction before anything is published. The version counts up in the store alone: a
publisher that loses its store starts again at 1, and is refused as stale by all who saw a later version (P8).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from protocol.carried import check_state
from protocol.cbor import MAX_MESSAGE
from protocol.cose import parse_sign1_untrusted
from protocol.delivery import CHUNK_BYTES, EncryptedChunk, encrypt_chunks, seal_index
from protocol.envelope import sign_document
from protocol.errors import ConfigurationError, Finding, MalformedError
from protocol.keys import SigningKey
from protocol.messages import digest
from protocol.party import Randomness, Store
from publisher.shelf import Shelf, ShelvedModel
from schemas.attestation import TierName
from schemas.base import Name
from schemas.kinds import Kind
from schemas.model import CarriedTensor, ChunkIndex, Manifest, ModuleLimits, TensorSpec

MAGIC = b"\0asm"
"""How every WebAssembly binary begins (WebAssembly core specification §5.5.16)."""

MAX_MODULE = 2**30
MAX_CHUNKS = 8192


class ModelDescription(BaseModel):
    """What a model's owner says of it: name, tensors, the tiers that may hold it, and what it may use.

    `state` is what the enclave carries between the requests of a session: the last inputs and the last outputs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    inputs: tuple[TensorSpec, ...] = Field(min_length=1, max_length=16)
    outputs: tuple[TensorSpec, ...] = Field(min_length=1, max_length=16)
    tiers: tuple[TierName, ...] = Field(min_length=1, max_length=16)
    limits: ModuleLimits
    state: tuple[CarriedTensor, ...] | None = Field(None, min_length=1, max_length=15)

    @model_validator(mode="after")
    def _state_fits(self) -> Self:
        try:
            check_state(self)
        except MalformedError as error:
            raise ValueError(error.diagnostics) from None
        return self


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A version that is stored and ready for `Publisher.publish`.

    `document` is the signed manifest and `digest` its SHA-256, the name by which key requests ask for it. `new` is
    False where the newest version already was this module with this description. `moved` are the digests of the
    chunks that the version before did not have; `stale` those of which retained copies are still to be cleared.
    """

    manifest: Manifest
    document: bytes = field(repr=False)
    digest: bytes
    new: bool
    moved: tuple[bytes, ...] = field(repr=False)
    stale: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Owner:
    fleet: str
    publisher: str
    key: SigningKey
    credential: bytes


def package(
    module: bytes,
    description: ModelDescription,
    *,
    fleet: str,
    publisher: str,
    store: Store,
    key: SigningKey,
    credential: bytes,
    now: float,
    randomness: Randomness,
    force: bool = False,
) -> PackagedModel:
    """Make the next version of a model and store it, or return the newest where it is the same already.

    `credential` is the publisher's own, for `key`; it travels with the manifest, and the manifest ends with it. A
    new key or credential therefore makes a new version, whose chunks are those of the one before. `force` makes a
    new version, with a new content key, in every case.

    Raises `ConfigurationError` for what is no module, what does not fit into a manifest, and a store in which the
    model is another publisher's; `StoreError`.
    """
    _check_module(module)
    shelf, owner = Shelf(store), _Owner(fleet, publisher, key, credential)
    with store.transaction():
        before = shelf.newest(description.name)
        _check_owner(before, owner)
        if before is not None and not force and _is_same(before, module, description, owner):
            return _packaged(before, before, shelf, new=False)
        content_key = randomness(32)
        chunks, index = _encrypt(module, description.name, owner, shelf.secret(description.name, randomness))
        version = 1 if before is None else before.manifest.version + 1
        sealed = seal_index(index, content_key, fleet, description.name, version)
        manifest = _manifest(module, description, owner, version, chunks, sealed, int(now))
        document = _sign(manifest, owner)
        after = ShelvedModel(manifest, document, digest(document), content_key)
        shelf.put(after, {chunk.digest: chunk.payload for chunk in chunks})
        return _packaged(before, after, shelf, new=True)


def _check_module(module: bytes) -> None:
    if not module.startswith(MAGIC):
        raise ConfigurationError(
            "not a WebAssembly module", finding=Finding("module", repr(MAGIC), repr(module[: len(MAGIC)]))
        )
    if len(module) > MAX_MODULE:
        raise ConfigurationError(
            "the module is too large", finding=Finding("module", f"at most {MAX_MODULE} bytes", f"{len(module)}")
        )


def _check_owner(before: ShelvedModel | None, owner: _Owner) -> None:
    """A store belongs to one publisher: replacing another's version would destroy its content key."""
    if before is None:
        return
    found = f"{before.manifest.fleet}/{before.manifest.publisher}"
    if found != f"{owner.fleet}/{owner.publisher}":
        raise ConfigurationError(
            f"the store holds the model {before.manifest.model} of another publisher",
            finding=Finding("publisher", f"{owner.fleet}/{owner.publisher}", found),
        )


def _is_same(known: ShelvedModel, module: bytes, description: ModelDescription, owner: _Owner) -> bool:
    manifest, signed = known.manifest, parse_sign1_untrusted(known.document)
    said = ModelDescription(
        name=manifest.model,
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        tiers=manifest.tiers,
        limits=manifest.limits,
        state=manifest.state,
    )
    same_signer = (signed.kid, signed.credential) == (owner.key.public.thumbprint, owner.credential)
    return same_signer and said == description and manifest.digest == digest(module)


def _encrypt(module: bytes, model: str, owner: _Owner, secret: bytes) -> tuple[list[EncryptedChunk], ChunkIndex]:
    return encrypt_chunks(module, owner.fleet, model, secret, _chunk_bytes(len(module)))


def _manifest(
    module: bytes,
    description: ModelDescription,
    owner: _Owner,
    version: int,
    chunks: Sequence[EncryptedChunk],
    index: bytes,
    issued: int,
) -> Manifest:
    return Manifest(
        fleet=owner.fleet,
        publisher=owner.publisher,
        model=description.name,
        version=version,
        digest=digest(module),
        size=len(module),
        chunks=tuple(chunk.digest for chunk in chunks),
        index=index,
        inputs=description.inputs,
        outputs=description.outputs,
        tiers=description.tiers,
        limits=description.limits,
        issued=issued,
        state=description.state,
    )


def _chunk_bytes(size: int) -> int:
    """Doubled until a manifest can name them all: the largest module has chunks of 128 KiB."""
    chunk_bytes = CHUNK_BYTES
    while size > chunk_bytes * MAX_CHUNKS:
        chunk_bytes *= 2
    return chunk_bytes


def _sign(manifest: Manifest, owner: _Owner) -> bytes:
    document = sign_document(Kind.MANIFEST, manifest, owner.key, owner.credential)
    if len(document) > MAX_MESSAGE:
        raise ConfigurationError(
            "the manifest is too large: use fewer labels",
            finding=Finding("manifest", f"at most {MAX_MESSAGE} bytes", f"{len(document)}"),
        )
    return document


def _packaged(before: ShelvedModel | None, after: ShelvedModel, shelf: Shelf, *, new: bool) -> PackagedModel:
    had = frozenset(before.manifest.chunks if before is not None else ())
    moved = tuple(name for name in dict.fromkeys(after.manifest.chunks) if name not in had)
    stale = tuple(name for model, name in shelf.stale() if model == after.manifest.model)
    return PackagedModel(after.manifest, after.document, after.digest, new, moved, stale)
