"""The imports and exports of a WebAssembly module, read from its bytes (WebAssembly Core §5.5).

Why not ask wasmtime: its C interface ends the whole process when it is asked for the type of a function or global
that holds a v128, and any module may export one. This parser looks at four sections and skips the rest; wasmtime
validates the whole module afterwards, so what both accept has one meaning.
"""

from dataclasses import dataclass
from typing import Final

from protocol.errors import EnclaveError
from schemas.reason import Reason

MAGIC: Final = b"\0asm\x01\0\0\0"
PAGE_BYTES: Final = 65_536

MAX_TYPES: Final = 10_000
MAX_FUNCTIONS: Final = 100_000
MAX_IMPORTS: Final = 64
MAX_EXPORTS: Final = 256
"""Each export costs microseconds in each run: wasmtime's own limit is a million."""
MAX_ARITY: Final = 128
MAX_NAME_BYTES: Final = 128

VALUE_TYPES: Final = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128", 0x70: "funcref"}
KINDS: Final = ("function", "table", "memory", "global")


@dataclass(frozen=True, slots=True)
class Import:
    """`signature` is empty unless `kind` is "function"."""

    module: str
    name: str
    kind: str
    signature: str


@dataclass(frozen=True, slots=True)
class Export:
    """`signature` is like "(i32, i32) -> (i32)" for a function and empty otherwise."""

    kind: str
    signature: str


@dataclass(frozen=True, slots=True)
class Interface:
    """What a module asks for and what it offers.

    `memory_pages` is the smallest size of its own memory; `starts` is whether it has a start function.
    """

    imports: tuple[Import, ...]
    exports: dict[str, Export]
    memory_pages: int
    starts: bool = False


def invalid(message: str) -> EnclaveError:
    """The error for a module that cannot be accepted."""
    return EnclaveError(message, reason=Reason.MODEL_INVALID)


class _Reader:
    """A cursor over untrusted bytes: each step takes at least one of them, or raises."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise invalid("the module ends too early")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def u32(self) -> int:
        """LEB128, at most five bytes (§5.2.2)."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise invalid("the module holds an overlong integer")
        return value

    def count(self, what: str, most: int) -> int:
        count = self.u32()
        if count > most:
            raise invalid(f"the module has {count} {what}, {most} are allowed")
        return count

    def name(self) -> str:
        try:
            return self.take(self.count("bytes in a name", MAX_NAME_BYTES)).decode()
        except UnicodeDecodeError:
            raise invalid("the module holds a name that is not UTF-8") from None


def parse_interface(module: bytes) -> Interface:
    """Read imports and exports from a module that is not trusted. Bounded by its size; raises `EnclaveError` alone."""
    sections = _sections(module)
    types = _types(sections.get(1))
    imports = _imports(sections.get(2), types)
    functions = [each.signature for each in imports if each.kind == "function"]
    functions += _functions(sections.get(3), types)
    return Interface(imports, _exports(sections.get(7), functions), _memory_pages(sections.get(5)), 8 in sections)


def _sections(module: bytes) -> dict[int, _Reader]:
    if not module.startswith(MAGIC):
        raise invalid("not a WebAssembly core module of version 1")
    reader = _Reader(module[len(MAGIC) :])
    sections: dict[int, _Reader] = {}
    while reader:
        kind = reader.byte()
        content = _Reader(reader.take(reader.u32()))
        if kind in sections:
            raise invalid("the module has a section twice")
        if kind:
            sections[kind] = content
    return sections


def _types(reader: _Reader | None) -> list[str]:
    return [] if reader is None else [_signature(reader) for _ in range(reader.count("types", MAX_TYPES))]


def _signature(reader: _Reader) -> str:
    if reader.byte() != 0x60:
        raise invalid("the module has a type that is not a function")
    parameters = _value_types(reader.take(reader.count("parameters or results", MAX_ARITY)))
    return f"{parameters} -> {_value_types(reader.take(reader.count('parameters or results', MAX_ARITY)))}"


def _value_types(codes: bytes) -> str:
    try:
        return "(" + ", ".join(VALUE_TYPES[code] for code in codes) + ")"
    except KeyError as unknown:
        raise invalid(f"the module has a value type {unknown} that is not allowed") from None


def _imports(reader: _Reader | None, types: list[str]) -> tuple[Import, ...]:
    if reader is None:
        return ()
    imports: list[Import] = []
    for _ in range(reader.count("imports", MAX_IMPORTS)):
        module, name, kind = reader.name(), reader.name(), reader.byte()
        if kind != 0:
            # What a table, memory or global import looks like does not matter: none is offered.
            raise invalid(f"the module imports {module!a}.{name!a}, which is not a function")
        imports.append(Import(module, name, KINDS[0], _at(types, reader.u32())))
    return tuple(imports)


def _functions(reader: _Reader | None, types: list[str]) -> list[str]:
    return [] if reader is None else [_at(types, reader.u32()) for _ in range(reader.count("functions", MAX_FUNCTIONS))]


def _memory_pages(reader: _Reader | None) -> int:
    if reader is None or reader.count("memories", 1) == 0:
        return 0
    if reader.byte() > 1:
        raise invalid("the module's memory is shared, 64-bit, or has pages of another size")
    return reader.u32()


def _exports(reader: _Reader | None, functions: list[str]) -> dict[str, Export]:
    exports: dict[str, Export] = {}
    if reader is None:
        return exports
    for _ in range(reader.count("exports", MAX_EXPORTS)):
        name, kind, index = reader.name(), reader.byte(), reader.u32()
        if kind >= len(KINDS):
            raise invalid(f"the module exports {name!a}, which is of an unknown kind")
        exports[name] = Export(KINDS[kind], _at(functions, index) if kind == 0 else "")
    return exports


def _at(signatures: list[str], index: int) -> str:
    if index >= len(signatures):
        raise invalid("the module names a type or function that it does not have")
    return signatures[index]
