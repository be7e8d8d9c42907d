"""A folder shaped like configfs, with a made-up kernel and TEE behind it: no hardware is there.

A plain folder cannot answer, so `KernelEntry` plays the kernel in the calls that the attester makes: its files are
real, and hold what the kernel's would hold at that moment.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.attester.tsm import Entry

Answer = Callable[[bytes], tuple[bytes, bytes]]


@dataclass
class Kernel:
    """`answer` gives outblob and auxblob. `intruders` is how many entries somebody else writes to as well."""

    provider: str
    answer: Answer
    privlevel_floor: int | None = None
    intruders: int = 0
    failure: int | None = None
    entries: list["KernelEntry"] = field(default_factory=list)

    def make_entry(self, path: Path) -> "KernelEntry":
        return KernelEntry(path, self)


class KernelEntry(Entry):
    def __init__(self, path: Path, kernel: Kernel) -> None:
        super().__init__(path)
        self.kernel = kernel
        self.written: dict[str, bytes] = {}
        self.removed = False
        self._put("provider", kernel.provider + "\n")
        self._put("generation", "0\n")
        self._put("inblob", "")
        if kernel.privlevel_floor is not None:
            self._put("privlevel_floor", f"{kernel.privlevel_floor}\n")
            self._put("privlevel", "")
        kernel.entries.append(self)

    def write(self, name: str, data: bytes) -> None:
        super().write(name, data)
        self.written[name] = data
        self._count()

    def blob(self, name: str) -> bytes:
        if self.kernel.failure is not None:
            raise OSError(self.kernel.failure, os.strerror(self.kernel.failure), str(self.path / name))
        if "inblob" not in self.written:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(self.path / name))
        if name == "outblob" and self.kernel.intruders > 0:
            self.kernel.intruders -= 1
            self._count()
        outblob, auxblob = self.kernel.answer(self.written["inblob"])
        (self.path / "outblob").write_bytes(outblob)
        if auxblob or self.kernel.provider == "sev_guest":
            (self.path / "auxblob").write_bytes(auxblob)
        return super().blob(name)

    def remove(self) -> None:
        for file in self.path.iterdir():
            file.unlink()
        super().remove()
        self.removed = True

    def _put(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    def _count(self) -> None:
        self._put("generation", f"{int((self.path / 'generation').read_text()) + 1}\n")
