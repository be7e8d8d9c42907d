"""Reading CBOR that others made (RFC 8949): well formed and without leeway in what it means, however it was encoded.

Vendors write indefinite lengths, heads longer than needed and maps in any order, all of which `protocol.cbor`
refuses in sealedge's own messages. What has two meanings, or costs more than its bytes, is refused here too. Why
not `cbor2.loads`: see `protocol.cbor`.
"""

from collections.abc import Callable
from struct import Struct, error
from typing import Any, Final

from protocol.cbor import CBORTag, CborValue
from protocol.errors import MalformedError
from schemas.reason import Reason

_UINT, _NINT, _BSTR, _TSTR, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_ARGUMENTS: Final = {24: Struct(">B"), 25: Struct(">H"), 26: Struct(">I"), 27: Struct(">Q")}
_FLOATS: Final = {25: Struct(">e"), 26: Struct(">f"), 27: Struct(">d")}
_CONSTANTS: Final[dict[int, bool | None]] = {20: False, 21: True, 22: None}
_INDEFINITE: Final = 31
_BREAK: Final = 0xFF
_KEYS: Final = frozenset({_UINT, _NINT, _BSTR, _TSTR})


def decode_foreign_untrusted(
    data: bytes, *, max_bytes: int, max_depth: int = 16, tags: frozenset[int] = frozenset()
) -> CborValue:
    """Decode one data item that takes up all of `data`: `list` for arrays, `dict` for maps, `CBORTag` for tags.

    Refuses more than `max_bytes`, more than `max_depth` nested arrays, maps and tags, tags outside `tags`, map keys
    that repeat or are not int, bytes or str, simple values other than false, true and null, and bytes that follow.
    Tags are never interpreted. Time and memory are linear in `len(data)`.

    Raises `MalformedError`, with reason `oversized` for the size. Nothing is trusted after the call but the form.
    """
    if len(data) > max_bytes:
        raise MalformedError(f"{len(data)} bytes where {max_bytes} are allowed", reason=Reason.OVERSIZED)
    reader = _Reader(data, tags)
    try:
        value: CborValue = reader.item(max_depth)
    except (IndexError, error):
        raise MalformedError("CBOR ends too early") from None
    except UnicodeDecodeError:
        raise MalformedError("CBOR text is not UTF-8") from None
    if reader.at != len(data):
        raise MalformedError(f"{len(data) - reader.at} bytes follow the CBOR item")
    return value


class _Reader:
    """Where in the data reading has come to. `depth` is how many more levels may open."""

    __slots__ = ("_data", "_tags", "at")

    def __init__(self, data: bytes, tags: frozenset[int]) -> None:
        self._data = data
        self._tags = tags
        self.at = 0

    def item(self, depth: int) -> Any:
        initial = self._data[self.at]
        self.at += 1
        major, information = initial >> 5, initial & 31
        if major == _SIMPLE:
            return self._simple(information)
        return _READERS[major](self, self._argument(information), depth)

    def _argument(self, information: int) -> int | None:
        """The argument of a head (RFC 8949 §3), None for an indefinite length."""
        if information < 24:
            return information
        if information == _INDEFINITE:
            return None
        return int(self._number(_ARGUMENTS, information))

    def _number(self, forms: dict[int, Struct], information: int) -> Any:
        form = forms.get(information)
        if form is None:
            raise MalformedError(f"CBOR has a reserved head or a simple value without a meaning before byte {self.at}")
        number = form.unpack_from(self._data, self.at)[0]
        self.at += form.size
        return number

    def _simple(self, information: int) -> Any:
        if information in _CONSTANTS:
            return _CONSTANTS[information]
        return self._number(_FLOATS, information)

    def unsigned(self, argument: int | None, _depth: int) -> int:
        return _definite(argument)

    def negative(self, argument: int | None, _depth: int) -> int:
        return -1 - _definite(argument)

    def byte_string(self, length: int | None, _depth: int) -> bytes:
        if length is None:
            return b"".join(self._chunks(_BSTR))
        content = self._data[self.at : self.at + length]
        if len(content) != length:
            raise MalformedError("CBOR ends too early")
        self.at += length
        return content

    def text_string(self, length: int | None, depth: int) -> str:
        if length is None:
            return "".join(chunk.decode() for chunk in self._chunks(_TSTR))
        return self.byte_string(length, depth).decode()

    def _chunks(self, major: int) -> list[bytes]:
        """The chunks of a string of indefinite length: definite strings of its own type (RFC 8949 §3.2.3)."""
        chunks = []
        while not self._is_break():
            initial = self._data[self.at]
            self.at += 1
            if initial >> 5 != major:
                raise MalformedError("a CBOR string of indefinite length has a chunk of another type")
            chunks.append(self.byte_string(_definite(self._argument(initial & 31)), 0))
        return chunks

    def array(self, count: int | None, depth: int) -> list[Any]:
        depth = _deeper(depth)
        items: list[Any] = []
        while not self._ends(len(items), count):
            items.append(self.item(depth))
        return items

    def map(self, count: int | None, depth: int) -> dict[Any, Any]:
        depth = _deeper(depth)
        pairs: dict[Any, Any] = {}
        while not self._ends(len(pairs), count):
            key = self._key()
            if key in pairs:
                raise MalformedError(f"a CBOR map key is repeated before byte {self.at}")
            pairs[key] = self.item(depth)
        return pairs

    def _key(self) -> Any:
        """Only 64-bit integers and strings (whose hashes are keyed): nobody can choose many that collide."""
        if self._data[self.at] >> 5 not in _KEYS:
            raise MalformedError(f"CBOR map key at byte {self.at} is neither an integer nor a string")
        return self.item(0)

    def tag(self, argument: int | None, depth: int) -> CBORTag:
        number = _definite(argument)
        if number not in self._tags:
            raise MalformedError(f"CBOR tag {number} is not accepted here")
        return CBORTag(number, self.item(_deeper(depth)))

    def _ends(self, found: int, count: int | None) -> bool:
        return self._is_break() if count is None else found == count

    def _is_break(self) -> bool:
        if self._data[self.at] != _BREAK:
            return False
        self.at += 1
        return True


_READERS: Final[tuple[Callable[[_Reader, int | None, int], Any], ...]] = (
    _Reader.unsigned,
    _Reader.negative,
    _Reader.byte_string,
    _Reader.text_string,
    _Reader.array,
    _Reader.map,
    _Reader.tag,
)
"""By major type 0 to 6."""


def _definite(argument: int | None) -> int:
    if argument is None:
        raise MalformedError("CBOR has an indefinite length where none may be")
    return argument


def _deeper(depth: int) -> int:
    if depth <= 0:
        raise MalformedError("CBOR is nested too deeply")
    return depth - 1
