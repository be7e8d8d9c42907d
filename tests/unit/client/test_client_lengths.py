"""Tensors with an open dimension: each request has its own length, told from shapes and from bytes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError, ProtocolMisuseError
from schemas.kinds import Tier
from schemas.model import OpenAxis, TensorSpec
from sealedge.client.outcome import Result
from sealedge.client.tensors import encode_inputs, sized_untrusted, split_outputs_untrusted

FRAMES = TensorSpec(name="frames", dtype="float32", shape=(8, 2), open=OpenAxis(axis=0, each=1, minimum=2))
STATE = TensorSpec(name="state", dtype="int16", shape=(3,))
SPOKEN = TensorSpec(name="spoken", dtype="uint8", shape=(1, 16), open=OpenAxis(axis=1, each=2, minimum=2))


def frames(count: int) -> Any:
    return np.arange(count * 2, dtype=np.float32).reshape(count, 2)


@given(st.integers(2, 8))
def test_any_length_that_the_manifest_allows_is_encoded(count: int) -> None:
    assert encode_inputs([FRAMES], frames(count)) == frames(count).tobytes()
    assert encode_inputs([FRAMES], frames(count).tolist()) == frames(count).tobytes()
    assert encode_inputs([FRAMES], frames(count).tobytes()) == frames(count).tobytes()
    state = np.array([1, 2, 3], np.int16)
    given = {"state": state, "frames": frames(count)}
    assert encode_inputs([STATE, FRAMES], given) == state.tobytes() + frames(count).tobytes()
    assert encode_inputs([STATE, FRAMES], (state, frames(count))) == state.tobytes() + frames(count).tobytes()


@pytest.mark.parametrize("count", [0, 1, 9])
def test_other_lengths_are_refused(count: int) -> None:
    for value in (frames(count), frames(count).tobytes(), {"frames": frames(count)}):
        with pytest.raises(ProtocolMisuseError):
            encode_inputs([FRAMES], value)


def test_two_open_tensors_have_the_same_count() -> None:
    both = [FRAMES, SPOKEN]
    spoken = np.zeros((1, 6), np.uint8)
    assert len(encode_inputs(both, (frames(3), spoken))) == 3 * 8 + 6
    with pytest.raises(ProtocolMisuseError):
        encode_inputs(both, (frames(4), spoken))


@given(st.integers(2, 8))
def test_the_length_of_outputs_follows_from_their_bytes(count: int) -> None:
    data = bytes(range(6)) + bytes(count * 2)
    specs = sized_untrusted([STATE, SPOKEN], data)
    assert [each.shape for each in specs] == [(3,), (1, 2 * count)]
    assert split_outputs_untrusted(specs, data)["spoken"] == bytes(count * 2)
    result = Result(b"r", data, b"", "a", "m", 1, Tier.SIMULATED, (STATE, SPOKEN))
    assert result.array("spoken").shape == (1, 2 * count)
    assert len(result.values("spoken")) == 2 * count


@given(st.binary(max_size=40))
def test_whatever_the_bytes_they_fit_or_are_malformed(data: bytes) -> None:
    fits = len(data) >= 10 and len(data) <= 22 and len(data) % 2 == 0
    if fits:
        assert sized_untrusted([STATE, SPOKEN], data)[1].shape == (1, len(data) - 6)
    else:
        with pytest.raises(MalformedError):
            sized_untrusted([STATE, SPOKEN], data)


@pytest.mark.parametrize("axis", [OpenAxis(axis=2, each=1, minimum=1), OpenAxis(axis=0, each=3, minimum=1)])
def test_a_manifest_that_contradicts_itself_is_malformed(axis: OpenAxis) -> None:
    wrong = FRAMES.model_copy(update={"open": axis})
    with pytest.raises(MalformedError, match="contradicts"):
        sized_untrusted([wrong], bytes(16))
    with pytest.raises(MalformedError):
        encode_inputs([wrong], frames(2))
