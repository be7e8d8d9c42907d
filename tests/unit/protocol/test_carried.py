"""State in a manifest: which tensors it is, and which manifests contradict themselves."""

from typing import Any

import pytest
from pydantic import ValidationError

from protocol.carried import MAX_STATE_BYTES, check_state, sent_inputs, shown_outputs, state_bytes
from protocol.errors import MalformedError
from publisher.package import ModelDescription
from schemas.model import CarriedTensor, ModuleLimits, OpenAxis, TensorSpec


def tensor(name: str, *shape: int, dtype: str = "float32", **more: Any) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape, **more)  # type: ignore[arg-type]


HEARD, SAID = tensor("heard", 8), tensor("said", 2)
BEFORE = (tensor("h", 1, 3), tensor("n", dtype="int64"))
AFTER = (tensor("h2", 1, 3), tensor("n2", dtype="int64"))
STATE = (CarriedTensor(before="h", after="h2"), CarriedTensor(before="n", after="n2"))


def described(**changes: Any) -> ModelDescription:
    """Unchecked, as what a hostile publisher signs."""
    values = {"inputs": (HEARD, *BEFORE), "outputs": (SAID, *AFTER), "state": STATE, **changes}
    return ModelDescription.model_construct(**values)


def test_what_is_sent_and_shown_is_all_but_the_state() -> None:
    check_state(described())
    assert sent_inputs(described()) == (HEARD,)
    assert shown_outputs(described()) == (SAID,)
    assert state_bytes(described()) == 3 * 4 + 8


def test_without_state_everything_is_sent_and_shown() -> None:
    plain = described(state=None)
    check_state(plain)
    assert (sent_inputs(plain), shown_outputs(plain), state_bytes(plain)) == (plain.inputs, plain.outputs, 0)


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"inputs": (*BEFORE, HEARD)}, "state.inputs"),
        ({"outputs": (*AFTER, SAID)}, "state.outputs"),
        ({"state": STATE[::-1]}, "state.inputs"),
        ({"state": STATE[:1]}, "state.inputs"),
        ({"inputs": BEFORE}, "state"),
        ({"outputs": AFTER}, "state"),
        ({"outputs": (SAID, tensor("h2", 3), AFTER[1])}, "state.h"),
        ({"outputs": (SAID, tensor("h2", 1, 3, dtype="int32"), AFTER[1])}, "state.h"),
        ({"inputs": (HEARD, tensor("h", 1, 3, open=OpenAxis(axis=1, each=1, minimum=1)), BEFORE[1])}, "state.h"),
        ({"inputs": (HEARD, *(2 * BEFORE)), "state": 2 * STATE}, "state"),
    ],
)
def test_what_cannot_be_joined_and_cut_is_malformed(changes: dict[str, Any], claim: str) -> None:
    with pytest.raises(MalformedError) as refused:
        check_state(described(**changes))
    assert refused.value.finding is not None
    assert refused.value.finding.claim == claim


@pytest.mark.parametrize(("elements", "fits"), [(MAX_STATE_BYTES // 4, True), (MAX_STATE_BYTES // 4 + 1, False)])
def test_state_is_bounded(elements: int, fits: bool) -> None:
    large = described(
        inputs=(HEARD, tensor("h", elements)),
        outputs=(SAID, tensor("h2", elements)),
        state=STATE[:1],
    )
    if fits:
        check_state(large)
        return
    with pytest.raises(MalformedError, match="state"):
        check_state(large)


def test_a_description_that_contradicts_itself_is_refused_before_anything_is_signed() -> None:
    values: dict[str, Any] = {
        "name": "ears",
        "tiers": ("simulated",),
        "limits": ModuleLimits(memory_bytes=2**20, milliseconds=100, output_bytes=100),
        "inputs": (HEARD, *BEFORE),
        "outputs": (SAID, *AFTER),
    }
    assert ModelDescription(**values, state=STATE).state == STATE
    with pytest.raises(ValidationError, match=r"state\.inputs"):
        ModelDescription(**values, state=STATE[::-1])
