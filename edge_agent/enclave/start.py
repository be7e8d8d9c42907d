"""The first file of an enclave's process: `python -I -S edge_agent/enclave/start.py FOLDER... [FILE] ARGUMENT`.

    FOLDER      absolute: where the measured sources lie, and the distributions that they import
    FILE        the descriptor of bytecode that the host made of these sources (`edge_agent.bytecode`), if it has some
    ARGUMENT    that of `edge_agent.enclave`; or `list`: names and paths of all that an enclave imports, one a line

Without `site` (`-S`) no `.pth` file of another package runs here, and nothing is imported from elsewhere.

The host chooses what runs either way: it hands over sources or bytecode. That the one is made of the other is the
host's word, as its measurement is; where the TEE measures the whole machine, neither is needed.

Python has what this file imports in itself: anything else would be compiled at each start, and what compiling takes of
memory would stay.

    file  length of the index, 8 bytes || index || code of one module after the other, marshalled
    index marshalled: {name of the module: (path of its source, whether it is a package, offset, length)}
"""

import marshal
import os
import sys
from _frozen_importlib_external import SourceFileLoader, spec_from_file_location

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _frozen_importlib import ModuleSpec
    from types import CodeType, ModuleType

LENGTH_BYTES = 8
Kept = tuple[str, bool, int, int]


class KeptCode:
    """Finds modules (PEP 302) in a file of bytecode, and reads each when it is imported: none is held in memory."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        size = int.from_bytes(os.pread(descriptor, LENGTH_BYTES, 0), "big")
        # The host's own, and authentic: it might as well hand over sources.
        self._index: dict[str, Kept] = marshal.loads(os.pread(descriptor, size, LENGTH_BYTES))  # noqa: S302
        self._start = LENGTH_BYTES + size

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> "ModuleSpec | None":
        """What an import begins with. None for what is not kept: extension modules."""
        kept = self._index.get(name)
        if kept is None:
            return None
        path, is_package, _, _ = kept
        folders = [os.path.dirname(path)] if is_package else None  # noqa: PTH120 - before pathlib is imported
        loader = _Loader(name, path, self)
        return spec_from_file_location(name, path, loader=loader, submodule_search_locations=folders)

    def code(self, name: str) -> "CodeType":
        """The code of a module that was found."""
        _, _, offset, size = self._index[name]
        found: CodeType = marshal.loads(os.pread(self._descriptor, size, self._start + offset))  # noqa: S302 - as above
        return found


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, kept: KeptCode) -> None:
        super().__init__(name, path)
        self._kept = kept

    def exec_module(self, module: "ModuleType") -> None:
        exec(self._kept.code(self.name), vars(module))  # noqa: S102 - what every import does


def main(arguments: list[str]) -> int:
    """Import the enclave and be one. Returns the exit status."""
    folders = [each for each in arguments if os.path.isabs(each)]  # noqa: PTH117 - before pathlib is imported
    rest = [each for each in arguments if each not in folders]
    sys.path += folders
    if rest == ["list"]:
        return _list()
    if len(rest) == 2 and all(each.isdecimal() for each in rest):
        sys.meta_path.insert(0, KeptCode(int(rest.pop(0))))
    from edge_agent.enclave.__main__ import main as run  # noqa: PLC0415 - what it imports is what is kept

    return run(rest)


def _list() -> int:
    """Import all that an enclave does, to see what that is."""
    for name in ("__main__", "serving", *(("compiling.separate",) if sys.platform == "linux" else ())):
        __import__(f"edge_agent.enclave.{name}")
    for module in tuple(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            print(spec.name, spec.loader.path, sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
