"""Frames between host and enclave: whole however they are cut, bounded, and with an end that is noticed."""

import struct
import threading

import pytest

from edge_agent.enclave.frames import MAX_FRAME, FrameSocket
from protocol.errors import MalformedError, TransportError
from schemas.reason import Reason


def test_a_frame_arrives_whole_however_it_is_cut(ends) -> None:
    frames, peer = ends
    content = bytes(range(256)) * 1000
    data = struct.pack(">I", len(content)) + content

    def send() -> None:
        for start, end in ((0, 1), (1, 3), (3, 5), (5, 70_000), (70_000, len(data))):
            peer.sendall(data[start:end])

    sender = threading.Thread(target=send)
    sender.start()
    assert frames.receive_untrusted() == content
    sender.join()


def test_an_empty_frame_is_not_the_end(ends) -> None:
    frames, peer = ends
    FrameSocket(peer).send(b"")
    assert frames.receive_untrusted() == b""
    peer.close()
    assert frames.receive_untrusted() is None


def test_a_frame_beyond_the_limit_is_refused_before_it_is_read(ends) -> None:
    frames, peer = ends
    peer.sendall(struct.pack(">I", MAX_FRAME + 1))
    with pytest.raises(MalformedError) as refused:
        frames.receive_untrusted()
    assert refused.value.reason is Reason.OVERSIZED
    with pytest.raises(MalformedError):
        frames.send(bytes(MAX_FRAME + 1))


def test_bytes_behind_a_frame_are_refused(ends) -> None:
    frames, peer = ends
    peer.sendall(struct.pack(">I", 1) + b"ab")
    with pytest.raises(MalformedError, match="1 bytes follow"):
        frames.receive_untrusted()


@pytest.mark.parametrize("cut", [b"\0", b"\0\0\0\5", b"\0\0\0\5four"])
def test_a_peer_that_closes_within_a_frame_is_noticed(ends, cut: bytes) -> None:
    frames, peer = ends
    peer.sendall(cut)
    peer.close()
    with pytest.raises(TransportError, match="within a frame"):
        frames.receive_untrusted()


def test_waiting_ends_when_the_peer_does_not_answer_or_listen(ends) -> None:
    frames, _peer = ends
    frames.limit_waiting(0.05)
    with pytest.raises(TransportError) as silent:
        frames.receive_untrusted()
    assert silent.value.reason is Reason.TIMEOUT
    with pytest.raises(TransportError) as deaf:
        frames.send(bytes(MAX_FRAME))
    assert deaf.value.reason is Reason.TIMEOUT
