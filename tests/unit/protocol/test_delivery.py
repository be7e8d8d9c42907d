"""Models in chunks: what changed moves, what is not exactly the manifest's is refused (P1, P5, P8)."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.delivery import EncryptedChunk, decrypt_chunks_untrusted, encrypt_chunks, open_index_untrusted, seal_index
from protocol.errors import RemoteError
from protocol.messages import digest
from schemas.kinds import Tier
from schemas.model import ChunkIndex, Manifest, ModuleLimits, TensorSpec
from schemas.reason import Reason
from tests.support.examples import examples

SECRET, CONTENT = bytes([1]) * 32, bytes([2]) * 32
TENSOR = TensorSpec(name="x", dtype="uint8", shape=(1,))


def manifest(module: bytes, chunks: list[EncryptedChunk], index: ChunkIndex, **changes: object) -> Manifest:
    fields = {
        "fleet": "clinic", "publisher": "press", "model": "scan", "version": 1, "digest": digest(module),
        "size": len(module), "chunks": tuple(each.digest for each in chunks),
        "index": seal_index(index, CONTENT, "clinic", "scan", 1), "inputs": (TENSOR,), "outputs": (TENSOR,),
        "tiers": (Tier.SIMULATED,), "limits": ModuleLimits(memory_bytes=65_536, milliseconds=1, output_bytes=1),
        "issued": 0,
    }  # fmt: skip
    return Manifest.model_validate({**fields, **changes})


def reason(about: Manifest, index: ChunkIndex, payloads: list[bytes]) -> Reason:
    with pytest.raises(RemoteError) as refused:
        decrypt_chunks_untrusted(about, index, payloads)
    return refused.value.reason


@settings(max_examples=examples(40), deadline=None)
@given(size=st.integers(1, 500), chunk=st.integers(1, 200), seed=st.integers(0, 9))
def test_a_module_arrives_as_it_was(size: int, chunk: int, seed: int) -> None:
    module = Random(seed).randbytes(size)
    chunks, index = encrypt_chunks(module, "clinic", "scan", SECRET, chunk)
    about = manifest(module, chunks, index)
    assert open_index_untrusted(about, CONTENT) == index
    assert decrypt_chunks_untrusted(about, index, [each.payload for each in chunks]) == module
    assert all(module[: min(16, chunk)] not in each.payload for each in chunks if size >= 16 <= chunk)


def test_only_what_changed_is_moved() -> None:
    module = Random(0).randbytes(400)
    changed = module[:150] + b"?" + module[151:]
    before, after = (encrypt_chunks(each, "clinic", "scan", SECRET, 100)[0] for each in (module, changed))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True, True]
    elsewhere = encrypt_chunks(module, "clinic", "other", SECRET, 100)[0]
    assert not {each.digest for each in before} & {each.digest for each in elsewhere}


def test_chunks_that_are_not_the_manifests_are_refused() -> None:
    module = Random(0).randbytes(300)
    chunks, index = encrypt_chunks(module, "clinic", "scan", SECRET, 100)
    about, payloads = manifest(module, chunks, index), [each.payload for each in chunks]
    assert reason(about, index, payloads[:2]) is Reason.MALFORMED
    assert reason(about, index, payloads[::-1]) is Reason.BINDING_MISMATCH
    assert reason(about, index, [payloads[0], payloads[1], payloads[2][:-1] + b"\0"]) is Reason.BINDING_MISMATCH
    assert reason(about, ChunkIndex(keys=index.keys[::-1]), payloads) is Reason.DECRYPTION_FAILED
    for changes in ({"digest": bytes(32)}, {"size": 301}):
        assert reason(manifest(module, chunks, index, **changes), index, payloads) is Reason.BINDING_MISMATCH
    for changes in ({"fleet": "rivals"}, {"model": "other"}):
        assert reason(manifest(module, chunks, index, **changes), index, payloads) is Reason.DECRYPTION_FAILED


def test_an_index_belongs_to_one_key_and_one_version() -> None:
    chunks, index = encrypt_chunks(b"module", "clinic", "scan", SECRET)
    about = manifest(b"module", chunks, index)
    for key, which in ((SECRET, about), (CONTENT, manifest(b"module", chunks, index, version=2))):
        with pytest.raises(RemoteError) as refused:
            open_index_untrusted(which, key)
        assert refused.value.reason is Reason.DECRYPTION_FAILED
