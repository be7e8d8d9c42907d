"""Where scenarios are played: one broker in the attacker's hands, and both targets on it."""

import base64
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Self

from sealedge.operations.attacks.targets.modules import WEIGHTS, model
from sealedge.operations.attacks.targets.owned_broker import OwnedBroker
from sealedge.operations.attacks.targets.sealed import Sealed
from sealedge.operations.attacks.targets.usual import Usual

MASK, FORGED_MASK = 0x5A, 0xA5
"""How the owner's model and the attacker's are told apart by what they answer."""


SECRET_BYTES: Final = 16


class Stage:
    """For a `with` block. `broker` is the URL of one that runs already (without TLS), or None for the embedded one."""

    def __init__(self, broker: str | None = None) -> None:
        self._given = broker
        self._usual: Usual | None = None
        self._sealed: Sealed | None = None
        self._fleets = 0
        self.weights = os.urandom(WEIGHTS)
        self.module = model(self.weights, MASK)

    def __enter__(self) -> Self:
        with ExitStack() as closing:
            self.broker = closing.enter_context(OwnedBroker(self._given))
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *_about_the_block: object) -> None:
        self._closing.close()

    @property
    def usual(self) -> Usual:
        """The target before."""
        if self._usual is None:
            self._usual = self._closing.enter_context(Usual(self.broker, self.module))
        return self._usual

    @property
    def sealed(self) -> Sealed:
        """The target now. Scenarios leave it as they found it; those that cannot take a `fleet` of their own."""
        if self._sealed is None:
            self._sealed = self._closing.enter_context(Sealed(self.broker, self.module))
        return self._sealed

    @contextmanager
    def fleet(self) -> Iterator[Sealed]:
        """Another fleet in service, that a scenario may ruin."""
        self._fleets += 1
        with Sealed(self.broker, self.module, f"clinic-{self._fleets}") as found:
            yield found

    def new_module(self) -> bytes:
        """The owner's next version: the same weights and answers, and other bytes."""
        return model(self.weights + os.urandom(SECRET_BYTES), MASK)

    def reading(self, length: int = 32) -> bytes:
        """A new reading that stands nowhere else. Its first byte asks a hostile module for nothing."""
        return b"\0" + os.urandom(length - 1)


def pieces(secret: bytes) -> list[bytes]:
    """Parts of a secret that are too long to be met by chance."""
    return [secret[at : at + SECRET_BYTES] for at in range(0, len(secret) - SECRET_BYTES + 1, SECRET_BYTES)]


def found_in(hay: bytes, secret: bytes) -> int:
    """How many parts of a secret stand somewhere: as they are, in hex, or in base64 (whatever its phase)."""
    forms = [secret, secret.hex().encode(), *(base64.b64encode(secret[shift:]) for shift in range(3))]
    return max(sum(piece in hay for piece in pieces(form)) for form in forms)
