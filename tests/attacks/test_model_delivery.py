"""Attacks on a model's way to the enclave: forged manifests, foreign chunks, rollback, and reading along (P1, P8)."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.memory import MemoryBroker
from protocol.cbor import decode_untrusted, encode
from protocol.cose import parse_sign1_untrusted
from protocol.delivery import decrypt_chunks_untrusted, encrypt_chunks, open_index_untrusted, seal_index
from protocol.envelope import sign_document
from protocol.errors import AuthenticationError, FreshnessError, RemoteError
from protocol.keys import SigningKey
from protocol.manifests import ManifestBook, open_manifest_untrusted
from protocol.messages import digest
from protocol.party import Publication
from publisher.package import PackagedModel
from publisher.shelf import Shelf
from schemas.kinds import Kind, Role
from schemas.model import Manifest
from schemas.reason import Reason
from storage.store import MemoryStore
from tests.support.examples import examples
from tests.support.publishing import DESCRIPTION, NOW, Fleet, module_of, published

FLEET = Fleet(seed=21)
OTHER = DESCRIPTION.model_copy(update={"name": "other"})


class Shelved:
    """A packaged model as its owner sees it: content key and chunks included."""

    def __init__(self, packaged: PackagedModel, store: MemoryStore) -> None:
        found = Shelf(store).newest(packaged.manifest.model)
        assert found is not None
        self.manifest, self.document, self.content_key = packaged.manifest, packaged.document, found.content_key
        self.chunks = [Shelf(store).chunk(name) for name in packaged.manifest.chunks]

    def opened(self, chunks: Sequence[bytes]) -> bytes:
        """What an enclave that holds the content key makes of these chunks."""
        index = open_index_untrusted(self.manifest, self.content_key)
        return decrypt_chunks_untrusted(self.manifest, index, chunks)


def shelved(module: bytes, store: MemoryStore | None = None, **changes: Any) -> Shelved:
    store = MemoryStore() if store is None else store
    return Shelved(FLEET.package(store, module, **changes), store)


MODEL = shelved(module_of(1, 2))

# Chunks


def test_chunks_swapped_missing_doubled_or_cut() -> None:
    model = shelved(module_of(1, 2, 3))
    one, two, three = model.chunks
    assert model.opened([one, two, three]) == module_of(1, 2, 3)
    for tried in (
        [two, one, three],
        [one, two],
        [one, two, three, three],
        [one, one, three],
        [one, two, three[:-1]],
        [one, two, three + b"\0"],
        [one, two, b""],
        [],
    ):
        with pytest.raises(RemoteError):
            model.opened(tried)


def test_chunk_of_another_model_with_the_same_plaintext() -> None:
    store = MemoryStore()
    model, other = shelved(module_of(1, 2), store), shelved(module_of(1, 2), store, description=OTHER)
    with pytest.raises(AuthenticationError):
        model.opened([model.chunks[0], other.chunks[1]])


def test_chunk_of_the_version_before() -> None:
    store = MemoryStore()
    old, new = shelved(module_of(1, 2), store), shelved(module_of(1, 3), store)
    assert old.chunks[0] == new.chunks[0]
    with pytest.raises(AuthenticationError) as refused:
        new.opened(old.chunks)
    assert refused.value.reason == Reason.BINDING_MISMATCH


@given(st.data())
@settings(max_examples=examples(60), deadline=None)
def test_flipped_bit_in_a_chunk(data: st.DataObject) -> None:
    chunk = MODEL.chunks[1]
    at = data.draw(st.integers(0, len(chunk) - 1))
    flipped = chunk[:at] + bytes([chunk[at] ^ (1 << data.draw(st.integers(0, 7)))]) + chunk[at + 1 :]
    with pytest.raises(AuthenticationError):
        MODEL.opened([MODEL.chunks[0], flipped])


def test_a_signed_manifest_whose_chunks_are_not_its_module() -> None:
    """Even a publisher that lies about the module's digest or size gets nothing loaded."""
    for lie in ({"digest": bytes(32)}, {"size": MODEL.manifest.size - 1}):
        model = shelved(module_of(1, 2))
        model.manifest = model.manifest.model_copy(update=lie)
        with pytest.raises(AuthenticationError) as refused:
            model.opened(model.chunks)
        assert refused.value.reason == Reason.BINDING_MISMATCH


# Manifests


def forged(key: SigningKey, credential: bytes | None, **changes: Any) -> bytes:
    return sign_document(Kind.MANIFEST, MODEL.manifest.model_copy(update=changes), key, credential)


@pytest.mark.parametrize("role", [Role.SENSOR, Role.CONSUMER, Role.VERIFIER, Role.AGENT])
def test_manifest_by_a_party_that_is_no_publisher(role: Role) -> None:
    key = SigningKey.generate(FLEET.randomness)
    with pytest.raises(AuthenticationError) as refused:
        open_manifest_untrusted(
            forged(key, FLEET.credential("publisher-1", role, key.public)), FLEET.trust(), "scan", NOW
        )
    assert refused.value.reason == Reason.ROLE_NOT_ALLOWED


def test_manifest_with_anothers_credential_or_none() -> None:
    key = SigningKey.generate(FLEET.randomness)
    for credential in (FLEET.publisher_credential, None, Fleet("mill", seed=9).publisher_credential):
        with pytest.raises(AuthenticationError):
            open_manifest_untrusted(forged(key, credential), FLEET.trust(), "scan", NOW)


def test_manifest_of_another_fleet_publisher_or_model() -> None:
    for changes in ({"fleet": "mill"}, {"publisher": "publisher-2"}, {"model": "other"}):
        document = forged(FLEET.publisher, FLEET.publisher_credential, **changes)
        with pytest.raises(AuthenticationError) as refused:
            open_manifest_untrusted(document, FLEET.trust(), "scan", NOW)
        assert refused.value.reason == Reason.MISADDRESSED


def test_manifest_with_a_changed_digest_under_the_old_signature() -> None:
    signed = decode_untrusted(MODEL.document)
    protected, unprotected, payload, signature = signed.value
    fields = {**decode_untrusted(payload), 5: bytes(32)}
    document = encode(type(signed)(18, [protected, unprotected, encode(fields), signature]))
    with pytest.raises(AuthenticationError) as refused:
        open_manifest_untrusted(document, FLEET.trust(), "scan", NOW)
    assert refused.value.reason == Reason.SIGNATURE_INVALID


def test_a_second_publisher_of_the_fleet_cannot_take_a_model_over() -> None:
    book, key = ManifestBook(FLEET.trust(), MemoryStore()), SigningKey.generate(FLEET.randomness)
    book.accept_untrusted(MODEL.document, "scan", NOW)
    credential = FLEET.credential("publisher-2", Role.PUBLISHER, key.public)
    with pytest.raises(AuthenticationError) as refused:
        book.accept_untrusted(forged(key, credential, publisher="publisher-2", version=9), "scan", NOW)
    assert refused.value.reason == Reason.ROLE_NOT_ALLOWED


def test_rollback_by_replaying_the_retained_manifest_also_after_a_restart() -> None:
    store, seen = MemoryStore(), MemoryStore()
    broker, trust = MemoryBroker(), FLEET.trust()
    old = FLEET.package(store, module_of(1))
    party = FLEET.publisher_party(store)
    broker.start(party)
    FLEET.package(store, module_of(2))
    broker.submit(party, lambda each, now: each.publish("scan", now))
    manifests = [each.payload for each in broker.retained.history if each.topic == FLEET.topics.manifest("scan")]
    assert manifests[0] == old.document
    book = ManifestBook(trust, seen)
    book.accept_untrusted(manifests[-1], "scan", NOW)
    for _ in range(2):
        with pytest.raises(FreshnessError) as refused:
            book.accept_untrusted(manifests[0], "scan", NOW)
        assert refused.value.reason == Reason.STALE
        book = ManifestBook(trust, seen.crash())


# Keys that open too much


def test_content_key_of_one_version_or_model_opens_no_other_index() -> None:
    store = MemoryStore()
    models = [
        shelved(module_of(1), store),
        shelved(module_of(2), store),
        shelved(module_of(1), store, description=OTHER),
        shelved(module_of(1)),
    ]
    for one in models:
        for another in models:
            if one is another:
                continue
            with pytest.raises(AuthenticationError):
                open_index_untrusted(another.manifest, one.content_key)


def test_index_spliced_into_another_version_or_model() -> None:
    """The index is bound to its place: a content key opens it nowhere else, whoever signs the manifest around it."""
    for changes in ({"version": 2}, {"model": "other"}, {"fleet": "mill"}):
        with pytest.raises(AuthenticationError):
            open_index_untrusted(MODEL.manifest.model_copy(update=changes), MODEL.content_key)


def test_chunk_keys_of_one_version_open_only_the_chunks_that_it_shares() -> None:
    store = MemoryStore()
    old, new = shelved(module_of(1, 2), store), shelved(module_of(1, 3), store)
    keys = open_index_untrusted(old.manifest, old.content_key)
    with pytest.raises(AuthenticationError):
        decrypt_chunks_untrusted(new.manifest, keys, new.chunks)
    assert keys.keys[0] == open_index_untrusted(new.manifest, new.content_key).keys[0]


def test_a_guessed_module_cannot_be_confirmed_without_the_models_secret() -> None:
    module = module_of(1, 2)
    mine, theirs = shelved(module), shelved(module)
    assert not set(mine.manifest.chunks) & set(theirs.manifest.chunks)
    for guess in (bytes(32), digest(module), MODEL.manifest.digest):
        chunks, _ = encrypt_chunks(module, "plant", "scan", guess)
        assert not {each.digest for each in chunks} & set(mine.manifest.chunks)


def test_an_index_of_ones_own_is_refused_under_a_content_key_that_is_not_known() -> None:
    _, index = encrypt_chunks(module_of(5), "plant", "scan", bytes(32))
    sealed = seal_index(index, bytes(32), "plant", "scan", MODEL.manifest.version)
    with pytest.raises(AuthenticationError):
        open_index_untrusted(MODEL.manifest.model_copy(update={"index": sealed}), MODEL.content_key)


# Reading along (P1)


def secrets_of(store: MemoryStore, models: Sequence[str], module: bytes) -> list[bytes]:
    """All that nobody but the publisher and its enclaves may learn, in pieces of at least 16 bytes."""
    shelf, found = Shelf(store), []
    for name in models:
        model = shelf.newest(name)
        assert model is not None
        found += [model.content_key, shelf.secret(name, lambda _: b"")]
        found += open_index_untrusted(model.manifest, model.content_key).keys
    return [*found, *(module[at : at + 16] for at in range(0, len(module), 8192)), FLEET.publisher.pem()]


def test_nothing_published_logged_or_shown_holds_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store, module, seen = MemoryStore(), module_of(1, 2), list[Publication]()
    broker = MemoryBroker(tap=lambda _, publication: seen.append(publication))
    FLEET.package(store, module)
    old_secrets = secrets_of(store, ["scan"], module)
    party, enclave, stranger = FLEET.publisher_party(store), FLEET.enclave("agent-1"), FLEET.enclave("agent-2")
    broker.start(party)
    FLEET.package(store, module[:-1] + b"x")
    second = FLEET.package(store, module, OTHER)
    for name in ("scan", "other"):
        broker.submit(party, lambda each, now, name=name: each.publish(name, now))
    broker.deliver(party, FLEET.revoking())
    for asked in (enclave.ask(second), enclave.ask(second, version=9), enclave.ask(second, key=stranger.signing)):
        broker.deliver(party, asked)
    broker.advance(5)
    broker.leave(party)
    spread = b"\n".join(each.payload + repr(each).encode() for each in seen)
    released = [each for each in seen if each.topic == FLEET.topics.inbox("agent", "agent-1")]
    assert len(released) == 2
    texts = "\n".join([caplog.text, repr(broker.noted), repr(party), repr(vars(party)), repr(second)])
    for secret in [*old_secrets, *secrets_of(store, ["scan", "other"], module)]:
        for shown in (secret, secret.hex().encode(), repr(secret)[2:-1].encode()):
            assert shown not in spread
            assert shown.decode("latin-1") not in texts
    assert enclave.grant(released[0]).content_key in secrets_of(store, ["other"], module)


def test_a_key_release_holds_the_content_key_for_its_enclave_alone() -> None:
    store = MemoryStore()
    packaged = FLEET.package(store)
    party = FLEET.run(store)
    enclaves = [FLEET.enclave(f"agent-{number}") for number in range(3)]
    answers = [published(party.receive(each.ask(packaged), NOW))[0] for each in enclaves]
    assert len({each.payload for each in answers}) == 3
    for number, enclave in enumerate(enclaves):
        enclave.agent = f"agent-{(number + 1) % 3}"
        with pytest.raises(AuthenticationError):
            enclave.grant(answers[(number + 1) % 3])


def test_what_is_retained_is_signed_or_named_by_its_digest() -> None:
    store = MemoryStore()
    FLEET.package(store, module_of(1, 2, 3))
    for each in published(FLEET.publisher_party(store).connected(NOW)):
        if "/chunk/" in each.topic:
            assert each.topic.endswith(digest(each.payload).hex())
        elif each.topic.endswith("/manifest"):
            found = parse_sign1_untrusted(each.payload).verify(FLEET.publisher.public, typ=str(Kind.MANIFEST))
            assert Manifest.model_validate(decode_untrusted(found)).model == "scan"
