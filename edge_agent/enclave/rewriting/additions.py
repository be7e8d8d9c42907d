"""Functions that rewriting adds to a module, behind all of its own."""

from edge_agent.enclave.rewriting.binary import CODE, FUNCTIONS, IMPORTS, TYPES, count_of, counted, integer, sized


class Additions:
    """Of a module that has code. Its own indexes stay what they are."""

    def __init__(self, sections: dict[int, bytes]) -> None:
        self._sections = sections
        self._first = count_of(sections.get(IMPORTS, b"")) + count_of(sections.get(FUNCTIONS, b""))
        self._bodies: list[bytes] = []

    def function(self, signature: bytes, body: bytes) -> int:
        """The index of a new function of this type (WebAssembly Core §5.3.6), whose body has its locals before it."""
        kind = count_of(self._sections.get(TYPES, b""))
        self._sections[TYPES] = counted(self._sections.get(TYPES, b"\x00"), signature)
        self._sections[FUNCTIONS] = counted(self._sections.get(FUNCTIONS, b"\x00"), integer(kind))
        self._bodies.append(sized(body))
        return self._first + len(self._bodies) - 1

    def finish(self) -> None:
        """Put the bodies behind those that the code section has by now. Raises `UnknownCodeError`."""
        self._sections[CODE] = counted(self._sections[CODE], *self._bodies)
