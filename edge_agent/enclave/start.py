"""Starts an enclave from bytecode that its host made of the measured sources: `python -m edge_agent.enclave.start`.

    FILE ARGUMENT    `edge_agent.enclave` with that argument; FILE is the descriptor of what `edge_agent.bytecode` keeps
    list             the path of every source that an enclave imports, one a line

The host chooses what runs either way: it hands over sources or bytecode. That the one is made of the other is the
host's word, as its measurement is; where the TEE measures the whole machine, neither is needed.
"""

import marshal
import os
import sys
from importlib.machinery import SourceFileLoader
from types import CodeType
from typing import Any

_known: dict[str, bytes] = {}
"""Code by the path of its source."""

_from_source = SourceFileLoader.get_code


def _code_of(loader: Any, fullname: str) -> CodeType | None:
    code: CodeType | None = None
    kept = _known.pop(loader.path, None)
    if kept is not None:
        code = marshal.loads(kept)  # noqa: S302 - the host's own, and authentic: it might as well hand over sources
    return _from_source(loader, fullname) if code is None else code


def main(arguments: list[str]) -> int:
    """Import the enclave and be one. Returns the exit status."""
    if arguments == ["list"]:
        return _list()
    if len(arguments) != 2 or not arguments[0].isdecimal():
        return os.EX_USAGE
    with os.fdopen(int(arguments[0]), "rb") as file:
        _known.update(marshal.load(file))  # noqa: S302 - as above
    SourceFileLoader.get_code = _code_of  # type: ignore[method-assign, assignment]  # of every finder
    from edge_agent.enclave.__main__ import main as run  # noqa: PLC0415 - what it imports is what is kept

    _known.clear()
    return run(arguments[1:])


def _list() -> int:
    import edge_agent.enclave.__main__  # noqa: F401, PLC0415 - to see what it imports

    specs = [module.__spec__ for module in tuple(sys.modules.values()) if getattr(module, "__spec__", None)]
    for spec in specs:
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            print(spec.loader.path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
