"""Padding: every size looks like the next multiple (P1)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.messages import encode_message
from protocol.padding import padded
from schemas.session import InferenceRequest
from tests.support.examples import examples


@settings(max_examples=examples(200), deadline=None)
@given(size=st.integers(0, 70_000), multiple=st.integers(0, 1024) | st.sampled_from([4096, 65_536]))
def test_the_whole_message_has_a_multiple(size: int, multiple: int) -> None:
    message = InferenceRequest(request=bytes(16), input=bytes(size), issued=1, expires=2)
    found = padded(message, multiple)
    assert found.input == message.input
    if multiple == 0:
        assert found == message
        return
    length = len(encode_message(found))
    assert length % multiple == 0
    assert length < len(encode_message(message)) + 2 * multiple + 8
