"""Both calling conventions, as guests/README.md states them, and what they refuse."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import EnclaveError
from schemas.reason import Reason
from tests.support.wat_modules import CONSTANTS, ECHO, MEMORY, inferring, performing, wasm

I32 = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-16, 16), st.integers(65_500, 65_600))
BUMP = """
  (global $top (mut i32) (i32.const 4096))
  (func (export "malloc") (param i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 0))))
"""
DOUBLED = "(i64.store (i32.const 2048) (i64.mul (i64.load32_u (i32.const 1024)) (i64.const 2))) (i32.const 8)"


@settings(deadline=None)
@given(data=st.binary(max_size=60_000))
def test_placed_buffers_carry_any_bytes(load, data):
    module = load(performing(ECHO), max_output_bytes=60_000)
    assert module.run(data) == data


@settings(deadline=None)
@given(data=st.binary(max_size=1000))
def test_placed_buffers_in_a_block_of_the_modules_own_allocator(load, data):
    assert load(performing(ECHO, BUMP), max_output_bytes=1000).run(data) == data


def test_the_allocator_is_called_once_for_both_buffers(load):
    told = "(i32.store (local.get 2) (local.get 0)) (i32.store offset=4 (local.get 2) (local.get 2)) (i32.const 8)"
    output = load(performing(told, BUMP), max_output_bytes=8).run(b"12345")
    assert [int.from_bytes(output[:4], "little"), int.from_bytes(output[4:], "little")] == [4096, 4096 + 16]


def test_fixed_buffers(load):
    assert load(inferring(DOUBLED)).run((21).to_bytes(4, "little")) == (42).to_bytes(8, "little")


def test_fixed_buffers_by_functions(load):
    constants = "".join(
        f'(func (export "{name}") (result i32) (i32.const {value}))'
        for name, value in {"input": 0, "input_size": 4, "output": 65_532, "output_size": 4}.items()
    )
    body = "(i32.store (i32.const 65532) (i32.load (i32.const 0))) (i32.const 4)"
    module = wasm(f'(module {MEMORY} {constants} (func (export "infer") (result i32) {body}))')
    assert load(module).run(b"same") == b"same"


@pytest.mark.parametrize("length", [0, 3, 5, 4096])
def test_fixed_buffers_take_one_length_alone(refusal, length):
    assert refusal(inferring("(i32.const 0)"), bytes(length)) is Reason.INPUT_INVALID


def test_initialize_runs_before_each_inference(load):
    start = '(func (export "_initialize") (i32.store (i32.const 0) (i32.const 7)))'
    body = "(i32.store (local.get 2) (i32.load (i32.const 0))) (i32.store (i32.const 0) (i32.const 9)) (i32.const 4)"
    module = load(performing(body, start))
    assert [module.run(b"")[0], module.run(b"")[0]] == [7, 7]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (-1, Reason.INPUT_INVALID),
        (-2, Reason.MEMORY_LIMIT),
        (-3, Reason.GUEST_TRAP),
        (-(2**31), Reason.GUEST_TRAP),
        (9, Reason.OUTPUT_TOO_LARGE),
        (2**31 - 1, Reason.OUTPUT_TOO_LARGE),
    ],
)
def test_what_a_module_may_return(refusal, written, reason):
    assert refusal(performing(f"(i32.const {written})"), b"1234", max_output_bytes=8) is reason
    assert refusal(inferring(f"(i32.const {written})"), b"1234") is reason


@settings(deadline=None)
@given(written=I32)
def test_output_is_exactly_what_was_written_or_an_error(load, written):
    module = load(inferring(f"(i32.const {written})"))
    if 0 <= written <= 8:
        assert len(module.run(b"1234")) == written
        return
    with pytest.raises(EnclaveError):
        module.run(b"1234")


@settings(deadline=None)
@given(address=I32)
def test_an_allocators_answer_is_not_trusted(load, address):
    allocator = f'(func (export "malloc") (param i32) (result i32) (i32.const {address}))'
    module = load(performing(ECHO, allocator), max_output_bytes=16)
    if 0 < address % 2**32 <= 65_536 - 32:
        assert module.run(b"data") == b"data"
        return
    with pytest.raises(EnclaveError) as caught:
        module.run(b"data")
    assert caught.value.reason is (Reason.GUEST_TRAP if address else Reason.MEMORY_LIMIT)


@settings(deadline=None)
@given(values=st.tuples(I32, I32, I32, I32))
def test_fixed_addresses_are_not_trusted(load, values):
    names = ("input", "input_size", "output", "output_size")
    constants = "".join(
        f'(global (export "{name}") i32 (i32.const {value}))' for name, value in zip(names, values, strict=True)
    )
    module = wasm(f'(module {MEMORY} {constants} (func (export "infer") (result i32) (i32.const 0)))')
    start, size, target, room = (value % 2**32 for value in values)
    if start + size <= 65_536 and target + room <= 65_536:
        assert load(module).run(bytes(size)) == b""
        return
    with pytest.raises(EnclaveError) as caught:
        load(module)
    assert caught.value.reason in {Reason.MODEL_INVALID, Reason.GUEST_TRAP}


@pytest.mark.parametrize(
    "text",
    [
        f"(module {MEMORY})",
        f'(module {CONSTANTS} (func (export "infer") (result i32) (i32.const 0)))',
        f'(module {MEMORY} (func (export "infer") (result i32) (i32.const 0)))',
        f'(module {MEMORY} {CONSTANTS} (func (export "infer") (result i64) (i64.const 0)))',
        f'(module {MEMORY} {CONSTANTS} (global (export "infer") i32 (i32.const 0)))',
        f'(module {MEMORY} (func (export "perform_inference") (param i32 i32) (result i32) (i32.const 0)))',
        f'(module {MEMORY} (func (export "perform_inference") (param v128)))',
        f'(module {MEMORY} {CONSTANTS} (func (export "infer") (export "perform_inference") (result i32) unreachable))',
        f'(module {MEMORY} {CONSTANTS} (func (export "_initialize") (param i32))'
        ' (func (export "infer") (result i32) (i32.const 0)))',
        f'(module {MEMORY} (global (export "input") f32 (f32.const 1)) (global (export "input_size") i32 (i32.const 4))'
        ' (global (export "output") i32 (i32.const 0)) (global (export "output_size") i32 (i32.const 4))'
        ' (func (export "infer") (result i32) (i32.const 0)))',
    ],
    ids=[
        "no entry",
        "no memory",
        "no buffers",
        "another result",
        "not a function",
        "other parameters",
        "a vector parameter",
        "both entries",
        "an initializer with parameters",
        "an address that is a float",
    ],
)
def test_modules_of_neither_convention_are_refused(refusal, text):
    assert refusal(wasm(text)) is Reason.MODEL_INVALID


def test_an_input_above_the_limit_is_refused(refusal):
    assert refusal(performing(ECHO), bytes(101), max_input_bytes=100) is Reason.INPUT_INVALID


def test_buffers_above_the_limits_are_refused(refusal):
    assert refusal(inferring("(i32.const 0)"), max_output_bytes=7) is Reason.MODEL_INVALID
    assert refusal(inferring("(i32.const 0)"), max_input_bytes=3) is Reason.MODEL_INVALID


def test_exports_of_other_kinds_do_no_harm(load):
    others = (
        '(global (export "vector") v128 (v128.const i64x2 1 2)) (table (export "table") 2 funcref)'
        '(func (export "swap") (param v128) (result v128) (local.get 0)) (export "again" (memory 0))'
    )
    assert load(performing(ECHO, others)).run(b"unharmed") == b"unharmed"
