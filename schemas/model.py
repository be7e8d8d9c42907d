"""Manifests, chunks and key release."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.attestation import TierName
from schemas.base import Counter, Digest, Document, Identifier, Message, Name, Secret, Text, Time, at

DType = Literal["float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool", "uint16", "uint32", "uint64"]
Dimension = Annotated[int, Field(ge=1, le=2**24)]


class OpenAxis(Message):
    """A dimension whose length each request chooses: `each` times a count, from `minimum` to what the shape says.

    The count of all open tensors of a request is the same.
    """

    axis: int = at(1, ge=0, le=7)
    each: int = at(2, ge=1, le=2**24)
    minimum: int = at(3, ge=1, le=2**24)


class TensorSpec(Message):
    """One input or output: row-major, little-endian. `labels` names the classes of an output.

    Where a dimension is `open`, `shape` has its largest length.
    """

    name: Text = at(1)
    dtype: DType = at(2)
    shape: tuple[Dimension, ...] = at(3, max_length=8)
    labels: tuple[Text, ...] | None = at(4, None, max_length=4096)
    open: OpenAxis | None = at(5, None)


class CarriedTensor(Message):
    """The output `after` is the input `before` at the next request of the same session; at the first that is zeros."""

    before: Text = at(1)
    after: Text = at(2)


class ModuleLimits(Message):
    """What a module may use; the enclave caps each with its own configuration, which holds for what is left out.

    A page of stack has 64 KiB, as one of memory.
    """

    memory_bytes: int = at(1, ge=65_536, le=2**32)
    milliseconds: int = at(2, ge=1, le=600_000)
    output_bytes: int = at(3, ge=1, le=2**26)
    table_elements: int | None = at(4, None, ge=1, le=1_000_000)
    stack_pages: int | None = at(5, None, ge=1, le=8)
    compile_milliseconds: int | None = at(6, None, ge=1, le=600_000)


class Manifest(Message):
    """What a publisher says of one version of a model, and where its encrypted chunks lie.

    `chunks` are SHA-256 digests of the encrypted chunks, in order. `index` is a COSE_Encrypt0 under the content
    key that holds the chunks' own keys, so that a chunk that did not change between versions is not moved again.
    `state` names the last inputs and the last outputs, in their order: `protocol.carried` checks that.
    """

    fleet: Name = at(1)
    publisher: Name = at(2)
    model: Name = at(3)
    version: Counter = at(4)
    digest: Digest = at(5)
    size: int = at(6, ge=1, le=2**30)
    chunks: tuple[Digest, ...] = at(7, min_length=1, max_length=8192)
    index: Annotated[bytes, Field(min_length=1, max_length=2**20)] = at(8)
    inputs: tuple[TensorSpec, ...] = at(9, min_length=1, max_length=16)
    outputs: tuple[TensorSpec, ...] = at(10, min_length=1, max_length=16)
    tiers: tuple[TierName, ...] = at(11, min_length=1, max_length=16)
    limits: ModuleLimits = at(12)
    issued: Time = at(13)
    state: tuple[CarriedTensor, ...] | None = at(14, None, min_length=1, max_length=15)


class ChunkIndex(Message):
    """The keys of a version's chunks, in order: the plaintext of `Manifest.index`."""

    keys: tuple[Secret, ...] = at(1, min_length=1, max_length=8192, repr=False)


class KeyRequest(Message):
    """An enclave asks for a model's content key, with the passport that entitles it."""

    fleet: Name = at(1)
    agent: Name = at(2)
    model: Name = at(3)
    version: Counter = at(4)
    manifest: Digest = at(5)
    request: Identifier = at(6)
    attestation_result: Document = at(7)
    issued: Time = at(8)


class KeyGrant(Message):
    """The plaintext of a key release: the content key, and for how long and for what it is lent."""

    fleet: Name = at(1)
    agent: Name = at(2)
    model: Name = at(3)
    version: Counter = at(4)
    manifest: Digest = at(5)
    request: Identifier = at(6)
    content_key: Secret = at(7, repr=False)
    issued: Time = at(8)
    expires: Time = at(9)
