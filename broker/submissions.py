"""Calls handed to a loop from other threads, and the socket that wakes the loop for them."""

import contextlib
import socket
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Any

from protocol.errors import TransportError
from protocol.party import Event

Act = Callable[[Any, float], Sequence[Event]]
"""Called with the party and the time, in the loop's thread."""

Submission = tuple[Act, "Future[None]"]


class Submissions:
    """Safe to use from any thread; `wake` also from a signal handler."""

    def __init__(self) -> None:
        self._waiting: deque[Submission] = deque()
        self._lock = Lock()
        self._is_over = False
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)

    def add(self, act: Act) -> "Future[None]":
        """Queue a call; the future is done once its events were queued for sending, or holds what it raised."""
        future: Future[None] = Future()
        with self._lock:
            if self._is_over:
                future.set_exception(TransportError("the link has stopped"))
                return future
            self._waiting.append((act, future))
        self.wake()
        return future

    def take(self) -> Submission | None:
        """The oldest call that nobody cancelled, or None."""
        while True:
            with self._lock:
                if not self._waiting:
                    return None
                act, future = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                return act, future

    def wake(self) -> None:
        """Make a loop that waits for `socket` go on."""
        # A full buffer wakes it as well; a closed one needs nobody woken.
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def slept(self) -> None:
        """Empty the socket after a wait."""
        with contextlib.suppress(OSError):
            self._woken.recv(4096)

    @property
    def socket(self) -> socket.socket:
        """Readable when somebody woke the loop."""
        return self._woken

    def close(self) -> None:
        """Refuse what waits and what comes."""
        with self._lock:
            self._is_over = True
        while (submission := self.take()) is not None:
            submission[1].set_exception(TransportError("the link has stopped"))
        self._woken.close()
        self._waker.close()
