"""What a publisher keeps: the newest version of each model, its secrets, its chunks, and the chunks to clear.

    publisher-models    model             -> [signed manifest, content key]    one record: never one without the other
    publisher-secrets   model             -> the secret that chunk keys are derived from
    publisher-chunks    digest            -> encrypted chunk
    publisher-stale     [model, digest]   -> how often its retained topic was swept

The content key of a version ends with it: nobody may ask for an old one, so it is not kept. The store is the
publisher's own and holds secrets: who can read it can read the models.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from protocol.cbor import decode_untrusted, encode
from protocol.cose import parse_sign1_untrusted
from protocol.errors import RemoteError, StoreError
from protocol.messages import decode_message_untrusted, digest
from protocol.party import Randomness, Store
from schemas.model import Manifest

MODELS, SECRETS, CHUNKS, STALE = "publisher-models", "publisher-secrets", "publisher-chunks", "publisher-stale"

_MAX_RECORD = 2**21
_SWEEPS = 2


@dataclass(frozen=True, slots=True)
class ShelvedModel:
    """The newest version of a model. `document` is the signed manifest and `digest` its SHA-256."""

    manifest: Manifest
    document: bytes = field(repr=False)
    digest: bytes
    content_key: bytes = field(repr=False)


class Shelf:
    """A publisher's durable state. Raises `StoreError` alone."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def newest(self, model: str) -> ShelvedModel | None:
        """The newest version of a model, or None where it was never packaged."""
        record = self._store.read(MODELS, model.encode())
        return None if record is None else _open_record(model, record)

    def models(self) -> Iterator[ShelvedModel]:
        """The newest version of each model, in the order in which they were first packaged."""
        for model, record in self._store.items(MODELS):
            yield _open_record(model.decode(), record)

    def chunk(self, name: bytes) -> bytes:
        """The encrypted chunk of this digest, checked against it."""
        payload = self._store.read(CHUNKS, name)
        if payload is None or digest(payload) != name:
            raise StoreError(f"the chunk {name.hex()[:16]} is missing or damaged: package the model again")
        return payload

    def secret(self, model: str, randomness: Randomness) -> bytes:
        """The model's secret of 32 bytes, drawn and written at its first use."""
        known = self._store.read(SECRETS, model.encode())
        if known is not None:
            return known
        drawn = randomness(32)
        self._store.write(SECRETS, model.encode(), drawn)
        return drawn

    def put(self, model: ShelvedModel, chunks: Mapping[bytes, bytes]) -> None:
        """Replace the newest version. `chunks` are its payloads by digest. Call it inside a transaction."""
        name = model.manifest.model
        before = self.newest(name)
        gone = set() if before is None else set(before.manifest.chunks) - chunks.keys()
        for each in sorted(gone):
            self._store.delete(CHUNKS, each)
            self._store.write(STALE, _stale_key(name, each), bytes([0]))
        for each, payload in chunks.items():
            self._store.write(CHUNKS, each, payload)
            self._store.delete(STALE, _stale_key(name, each))
        self._store.write(MODELS, name.encode(), encode([model.document, model.content_key]))

    def stale(self) -> list[tuple[str, bytes]]:
        """(model, digest) of the chunks whose retained topics shall be cleared."""
        return [_open_stale_key(key) for key, _ in self._store.items(STALE)]

    def sweep(self, only: str | None = None) -> list[tuple[str, bytes]]:
        """What `stale` says, of all models or one, counted: each chunk is swept twice.

        The first time may be lost with the process, and its retained copy would stay for ever.
        """
        with self._store.transaction():
            entries = ((*_open_stale_key(key), count[0] + 1) for key, count in self._store.items(STALE))
            swept = [entry for entry in entries if only in (None, entry[0])]
            for model, name, count in swept:
                if count < _SWEEPS:
                    self._store.write(STALE, _stale_key(model, name), bytes([count]))
                else:
                    self._store.delete(STALE, _stale_key(model, name))
        return [(model, name) for model, name, _ in swept]


def _open_record(model: str, record: bytes) -> ShelvedModel:
    try:
        match decode_untrusted(record, max_bytes=_MAX_RECORD):
            case [bytes() as document, bytes() as content_key] if len(content_key) == 32:
                manifest = decode_message_untrusted(Manifest, parse_sign1_untrusted(document).payload)
                return ShelvedModel(manifest, document, digest(document), content_key)
    except RemoteError as error:
        raise StoreError(f"the record of model {model} is damaged: {error}") from None
    raise StoreError(f"the record of model {model} is damaged")


def _stale_key(model: str, name: bytes) -> bytes:
    return encode([model, name])


def _open_stale_key(key: bytes) -> tuple[str, bytes]:
    try:
        match decode_untrusted(key):
            case [str() as model, bytes() as name]:
                return model, name
    except RemoteError as error:
        raise StoreError(f"the list of stale chunks is damaged: {error}") from None
    raise StoreError("the list of stale chunks is damaged")
