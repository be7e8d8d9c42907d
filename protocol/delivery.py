"""How a model travels: encrypted chunks, each with a key of its own, and a manifest that names them all.

    model secret ─HKDF(plaintext digest)─> chunk key ─> COSE_Encrypt0 chunk ─SHA-256─> its name and topic
    content key (one a version) ─> COSE_Encrypt0 index of the chunk keys, inside the manifest

A chunk key is derived from the chunk's plaintext under the publisher's secret, and encrypts only that plaintext:
the same chunk in the next version has the same bytes and is not moved again. An observer learns only that a
chunk did not change. The content key is new in every version, so releasing one version releases no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.cbor import encode
from protocol.cose import NO_BASE_IV, AeadKey, derive, parse_encrypt0_untrusted, seal0
from protocol.errors import AuthenticationError, Finding, MalformedError
from protocol.messages import DOMAIN, decode_message_untrusted, digest, encode_message, message_aad
from schemas.kinds import Kind
from schemas.model import ChunkIndex, Manifest
from schemas.reason import Reason

CHUNK_BYTES = 64 * 1024
"""Plaintext bytes a chunk: below every broker's payload limit that was met, with room for the envelope."""

MAX_INDEX = 2**20


@dataclass(frozen=True, slots=True)
class EncryptedChunk:
    """A chunk as it is published. `digest` names it."""

    digest: bytes
    payload: bytes


def encrypt_chunks(
    module: bytes, fleet: str, model: str, model_secret: bytes, chunk_bytes: int = CHUNK_BYTES
) -> tuple[list[EncryptedChunk], ChunkIndex]:
    """The encrypted chunks of a module, in order, and the keys that open them."""
    chunks, keys = [], []
    for start in range(0, len(module), chunk_bytes):
        plaintext = module[start : start + chunk_bytes]
        key = derive(model_secret, encode([DOMAIN, "chunk", fleet, model, digest(plaintext)]), 32)
        payload = seal0(
            _aead(key),
            plaintext,
            typ=str(Kind.CHUNK),
            kid=b"",
            partial_iv=0,
            external_aad=_aad(Kind.CHUNK, fleet, model),
        )
        chunks.append(EncryptedChunk(digest(payload), payload))
        keys.append(key)
    return chunks, ChunkIndex(keys=tuple(keys))


def decrypt_chunks_untrusted(manifest: Manifest, index: ChunkIndex, payloads: Sequence[bytes]) -> bytes:
    """Returns the module: exactly the bytes whose digest and size the manifest signs.

    Raises `AuthenticationError` or `MalformedError` if a chunk is not the one named, or the whole does not fit.
    """
    if not len(payloads) == len(index.keys) == len(manifest.chunks):
        raise MalformedError("the chunks are not as many as the manifest names")
    plaintexts = []
    for name, key, payload in zip(manifest.chunks, index.keys, payloads, strict=True):
        check_chunk_untrusted(name, payload)
        chunk = parse_encrypt0_untrusted(payload)
        aad = _aad(Kind.CHUNK, manifest.fleet, manifest.model)
        plaintexts.append(chunk.open(_aead(key), typ=str(Kind.CHUNK), external_aad=aad))
    module = b"".join(plaintexts)
    if len(module) != manifest.size or digest(module) != manifest.digest:
        raise AuthenticationError(
            "the module is not the one that the manifest names",
            reason=Reason.BINDING_MISMATCH,
            finding=Finding("manifest.digest", manifest.digest.hex()[:16], digest(module).hex()[:16]),
        )
    return module


def check_chunk_untrusted(name: bytes, payload: bytes) -> None:
    """Raises `AuthenticationError` unless these are the bytes that the digest names."""
    if digest(payload) != name:
        raise AuthenticationError(
            "a chunk is not the one that the manifest names",
            reason=Reason.BINDING_MISMATCH,
            finding=Finding("chunk.digest", name.hex()[:16], digest(payload).hex()[:16]),
        )


def seal_index(index: ChunkIndex, content_key: bytes, fleet: str, model: str, version: int) -> bytes:
    """The chunk keys under the version's content key, for the manifest."""
    return seal0(
        _aead(content_key),
        encode_message(index),
        typ=str(Kind.INDEX),
        kid=b"",
        partial_iv=0,
        external_aad=_aad(Kind.INDEX, fleet, model, version),
    )


def open_index_untrusted(manifest: Manifest, content_key: bytes) -> ChunkIndex:
    """Returns the chunk keys. Raises `AuthenticationError` if the content key is not this version's."""
    sealed = parse_encrypt0_untrusted(manifest.index, max_bytes=MAX_INDEX)
    aad = _aad(Kind.INDEX, manifest.fleet, manifest.model, manifest.version)
    return decode_message_untrusted(
        ChunkIndex, sealed.open(_aead(content_key), typ=str(Kind.INDEX), external_aad=aad), max_bytes=MAX_INDEX
    )


def _aead(key: bytes) -> AeadKey:
    """Each such key encrypts one plaintext, ever: so its only nonce may be zero."""
    return AeadKey(key, NO_BASE_IV)


def _aad(kind: Kind, fleet: str, model: str, version: int = 0) -> bytes:
    return message_aad(kind, f"{fleet}/{model}", b"", "", version.to_bytes(8, "big"))
