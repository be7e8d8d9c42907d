"""Instances that wait for their module's next request. All are in their first state, with nobody's data in them.

Taking one and putting it back needs no lock: a shelf is a list, of which one thread at a time gets an end.
"""

import weakref

from edge_agent.enclave.running.guest import Guest

Shelf = list[Guest]
"""The idle instances of one module: never more than ran at one time."""


class Idle:
    """The shelves of one runtime's modules."""

    def __init__(self, most: int) -> None:
        """`most` bytes are what all of them may hold when another one is made; those that run meanwhile come back."""
        self._most = most
        self._shelves: dict[int, Shelf] = {}

    def shelf(self, owner: object) -> Shelf:
        """A new one, whose instances end when `owner` does: their memory holds what its module is made of."""
        shelf: Shelf = []
        self._shelves[id(shelf)] = shelf
        weakref.finalize(owner, self._remove, id(shelf)).atexit = False
        return shelf

    def make_room(self, needed: int) -> bool:
        """End idle instances until one more of `needed` bytes may be kept. False where it may not be."""
        for shelf in tuple(self._shelves.values()):
            while shelf and self._held() + needed > self._most:
                _end_one(shelf)
        return needed <= self._most

    def close(self) -> None:
        """End them all."""
        for key in tuple(self._shelves):
            self._remove(key)

    def _held(self) -> int:
        return sum(each.written_bytes for shelf in tuple(self._shelves.values()) for each in tuple(shelf))

    def _remove(self, key: int) -> None:
        shelf = self._shelves.pop(key, [])
        while shelf:
            _end_one(shelf)


def _end_one(shelf: Shelf) -> None:
    try:
        shelf.pop(0).close()
    except IndexError:
        # Another thread took the last.
        return
