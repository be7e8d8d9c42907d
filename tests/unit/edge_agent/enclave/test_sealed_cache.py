"""What is sealed opens where all that it is bound to is the same, and nowhere else; and no bytes do more than that."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.enclave import sealed_cache
from edge_agent.enclave.compiling.compiler import compile_here
from edge_agent.enclave.needs import MAX_SEALED
from edge_agent.enclave.running.runtime import Runtime
from edge_agent.enclave.sealed_cache import CODE, LEASE, ModelCode, ModelLease, SealedCache
from protocol.cose import NO_BASE_IV, AeadKey, parse_encrypt0_untrusted, seal0
from protocol.errors import AuthenticationError, MalformedError, RemoteError
from protocol.messages import digest
from schemas.kinds import Tier
from schemas.model import Manifest, ModuleLimits, TensorSpec
from schemas.reason import Reason
from tests.support.wat_modules import ECHO, performing

KEY, CONFIGURATION, NAMED = b"k" * 32, b"c" * 32, b"n" * 32
MODULE, MACHINE_CODE = b"\0asm module", b"machine code"
TENSOR = TensorSpec(name="x", dtype="uint8", shape=(1,))
MANIFEST = Manifest(
    fleet="clinic",
    publisher="publisher",
    model="scan",
    version=3,
    digest=digest(MODULE),
    size=len(MODULE),
    chunks=(b"d" * 32,),
    index=b"i",
    inputs=(TENSOR,),
    outputs=(TENSOR,),
    tiers=(Tier.SIMULATED,),
    limits=ModuleLimits(memory_bytes=65_536, milliseconds=1, output_bytes=1),
    issued=0,
)
TERMS = ModelLease(expires=1000, renew_at=500, revocations=1)
NUMBERS = count()


@dataclass(frozen=True)
class Result:
    measurement: bytes = b"m" * 32
    tier: Tier = Tier.SIMULATED


@dataclass(frozen=True)
class PassportOf:
    result: Result = Result()


def salts(size: int) -> bytes:
    return next(NUMBERS).to_bytes(size, "big")


def cache(**changes: Any) -> SealedCache:
    given: dict[str, Any] = {"key": KEY, "agent": "agent-1", "configuration": CONFIGURATION, "engine": lambda: "engine"}
    return SealedCache(**{**given, **changes}, randomness=salts)


def sealed(code: ModelCode | None = None) -> tuple[bytes, bytes]:
    about: Any = (MANIFEST, NAMED, PassportOf())
    found = cache().seal_code(*about, code or ModelCode(module=MODULE, machine_code=MACHINE_CODE))
    assert found is not None
    return cache().seal_lease(*about, TERMS), found


def opened(lease: bytes, code: bytes, found: SealedCache | None = None, **changes: Any) -> sealed_cache.SealedModel:
    about: dict[str, Any] = {"manifest": MANIFEST, "named": NAMED, "passport": PassportOf(), **changes}
    return (found or cache()).open_untrusted(**about, lease=lease, code=code)


def test_what_is_sealed_comes_back() -> None:
    found = opened(*sealed())
    assert found.lease == TERMS
    assert (found.code.module, found.code.machine_code) == (MODULE, MACHINE_CODE)


ELSEWHERE: dict[str, Callable[[bytes, bytes], object]] = {
    "key": lambda lease, code: opened(lease, code, cache(key=b"K" * 32)),
    "agent": lambda lease, code: opened(lease, code, cache(agent="agent-2")),
    "configuration": lambda lease, code: opened(lease, code, cache(configuration=b"C" * 32)),
    "engine": lambda lease, code: opened(lease, code, cache(engine=lambda: "engine 2")),
    "manifest": lambda lease, code: opened(lease, code, named=b"N" * 32),
    "measurement": lambda lease, code: opened(lease, code, passport=PassportOf(Result(measurement=b"M" * 32))),
    "tier": lambda lease, code: opened(lease, code, passport=PassportOf(Result(tier=Tier.TPM))),
    **{
        name: lambda lease, code, name=name, value=value: opened(
            lease, code, manifest=MANIFEST.model_copy(update={name: value})
        )
        for name, value in (("fleet", "rival"), ("model", "other"), ("version", 4), ("digest", b"D" * 32))
    },
}


@pytest.mark.parametrize("elsewhere", ELSEWHERE.values(), ids=ELSEWHERE.keys())
@pytest.mark.parametrize("part", [0, 1], ids=["lease", "code"])
def test_it_opens_nowhere_else(
    elsewhere: Callable[[bytes, bytes], object], part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each blob by itself: the other one is taken as opened."""
    both = sealed()
    plain = SealedCache._open_untrusted
    other = (CODE, LEASE)[part]

    def open_one(self: SealedCache, name: str, blob: bytes, binding: Any, max_bytes: int) -> bytes:
        if name == other:
            return plain(cache(), name, blob, cache()._binding(MANIFEST, NAMED, PassportOf()), max_bytes)  # type: ignore[arg-type]
        return plain(self, name, blob, binding, max_bytes)

    monkeypatch.setattr(SealedCache, "_open_untrusted", open_one)
    with pytest.raises(AuthenticationError) as refused:
        elsewhere(*both)
    assert refused.value.reason is Reason.DECRYPTION_FAILED


def test_a_lease_is_no_code_and_code_no_lease() -> None:
    lease, code = sealed()
    for pair in ((lease, lease), (code, code), (code, lease)):
        with pytest.raises(RemoteError):
            opened(*pair)


def test_a_new_lease_goes_with_the_code_that_was_kept() -> None:
    (_, code), (lease, _) = sealed(), sealed()
    assert opened(lease, code).lease == TERMS


def test_no_two_blobs_have_one_key() -> None:
    """The nonce is zero: a key that came twice would give the plaintexts away."""
    blobs = [each for _ in range(50) for each in sealed()]
    assert len({parse_encrypt0_untrusted(each).kid for each in blobs}) == len(blobs)
    assert {parse_encrypt0_untrusted(each).partial_iv for each in blobs} == {0}


@pytest.mark.parametrize(("salt", "number"), [(b"", 0), (bytes(31), 0), (bytes(33), 0), (bytes(32), 1)])
def test_another_salt_or_number_is_not_what_an_enclave_seals(salt: bytes, number: int) -> None:
    _, code = sealed()
    odd = seal0(AeadKey(KEY, NO_BASE_IV), b"x", typ=LEASE, kid=salt, partial_iv=number, external_aad=b"")
    with pytest.raises(MalformedError, match="not what an enclave seals"):
        opened(odd, code)


@pytest.mark.parametrize("module", [MODULE + b"!", MODULE[:-1] + b"E"])
def test_another_module_than_the_manifests_is_refused_though_it_was_sealed_here(module: bytes) -> None:
    with pytest.raises(AuthenticationError) as refused:
        opened(*sealed(ModelCode(module=module, machine_code=MACHINE_CODE)))
    assert refused.value.reason is Reason.BINDING_MISMATCH


def test_what_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_cache, "MAX_SEALED", 2000)
    about: Any = (MANIFEST, NAMED, PassportOf())
    assert cache().seal_code(*about, ModelCode(module=bytes(976), machine_code=b"m")) is None
    assert cache().seal_code(*about, ModelCode(module=bytes(975), machine_code=b"m")) is not None
    assert MAX_SEALED == 2**28


def test_nothing_of_a_secret_is_printed() -> None:
    shown = repr(cache()) + repr(opened(*sealed())) + repr(ModelCode(module=MODULE, machine_code=MACHINE_CODE))
    assert "kkkk" not in shown
    assert "machine code" not in shown


LEASE_BLOB, CODE_BLOB = sealed()


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(lease: bytes, code: bytes) -> None:
    for pair in ((lease, code), (LEASE_BLOB, code), (lease, CODE_BLOB)):
        with pytest.raises(RemoteError):
            opened(*pair)


@given(st.data())
def test_no_change_of_a_byte_passes(data: st.DataObject) -> None:
    which = data.draw(st.sampled_from([0, 1]))
    blobs = [bytearray(LEASE_BLOB), bytearray(CODE_BLOB)]
    at = data.draw(st.integers(0, len(blobs[which]) - 1))
    blobs[which][at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RemoteError):
        opened(*map(bytes, blobs))


@given(st.integers(0, len(CODE_BLOB) - 1))
def test_no_beginning_passes(end: int) -> None:
    with pytest.raises(RemoteError):
        opened(LEASE_BLOB, CODE_BLOB[:end])


def test_machine_code_runs_in_another_runtime_without_being_compiled() -> None:
    """wasmtime itself: what one enclave compiled, the next one runs."""
    module, first = performing(ECHO), Runtime(compiler=compile_here)
    machine_code = first.compiled(module)
    first.close()
    second = Runtime(compiler=lambda *_: pytest.fail("compiled again"))
    try:
        assert second.load(module, None, machine_code).run(b"hello") == b"hello"
    finally:
        second.close()
