"""Commands to a TPM 2.0, carried out by the programs of tpm2-tools (ADR 23).

Each use has a private folder of its own for the files that these programs pass to one another, and leaves no object
in the TPM: behind /dev/tpmrm0 the kernel sees to that, elsewhere all transient objects are flushed, so that a TPM
without a resource manager (swtpm, /dev/tpm0) must have one user at a time. Sessions go the same way.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from edge_agent.attester.interface import AttesterError
from protocol.errors import ConfigurationError, Finding
from schemas.reason import Reason
from storage.files import read_bytes

PROGRAM: Final = "tpm2"
TIMEOUT_SECONDS: Final = 30.0
"""Of one command. The slowest one makes an RSA key from the endorsement seed."""

MAX_OUTPUT: Final = 65_536
_TCTI: Final = re.compile(r"(?:device:/[!-~]{1,200}|(?:swtpm|mssim|tabrmd):[!-~]{0,200})")
"""How a TPM is reached. Of tpm2-tss's forms those that start no program and load no library by path."""

_SYSTEM_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


class TpmError(AttesterError):
    """The TPM, or what speaks to it, refuses a command. Never holds a secret."""


class TpmTools:
    """A TPM by its TCTI (`device:/dev/tpmrm0`, `swtpm:host=127.0.0.1,port=2321`), or none for what needs no TPM."""

    def __init__(self, tcti: str | None, seconds: float = TIMEOUT_SECONDS) -> None:
        """Raises `ConfigurationError`: another form of TCTI, tpm2-tools that are not installed."""
        if tcti is not None and not _TCTI.fullmatch(tcti):
            finding = Finding("tpm.tcti", "device:/dev/tpmrm0, or swtpm:, mssim:, tabrmd:", repr(tcti)[:80])
            raise ConfigurationError("this is no way to a TPM", finding=finding)
        program = shutil.which(PROGRAM, path=_path())
        if program is None:
            finding = Finding("tpm2-tools", f"the program {PROGRAM}", "none: apt install tpm2-tools")
            raise ConfigurationError("tpm2-tools are not installed", finding=finding)
        self.tcti, self._program, self._seconds = tcti, program, seconds

    @contextmanager
    def desk(self) -> Iterator["TpmDesk"]:
        """A folder in which commands read and write; it goes, and the TPM is cleared of objects, at the end."""
        with tempfile.TemporaryDirectory(prefix="sealedge-tpm-") as folder:
            desk, answers = TpmDesk(self, Path(folder)), True
            try:
                yield desk
            except TpmError as error:
                answers = error.reason is not Reason.TIMEOUT
                raise
            finally:
                if answers and self.tcti is not None:
                    # What went wrong before matters more than what is left behind.
                    with suppress(TpmError):
                        desk.flush()

    def run(self, folder: Path, command: str, *arguments: str, stdin: bytes = b"") -> bytes:
        """One command in `folder`; its standard output. Raises `TpmError` in one line."""
        environment = {"PATH": _path(), "LC_ALL": "C", "TSS2_LOG": "all+none", "TPM2TOOLS_TCTI": self.tcti or "none"}
        try:
            done = subprocess.run(  # noqa: S603 - tpm2-tools with arguments of our own, and no shell
                [self._program, command, *arguments],
                cwd=folder,
                env=environment,
                input=stdin,
                capture_output=True,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TpmError(
                f"the TPM at {self.tcti}: no answer to {command} in {self._seconds:g} s", reason=Reason.TIMEOUT
            ) from None
        except OSError as error:
            raise TpmError(f"{self._program}: cannot be run: {error.strerror}") from error
        if b"Could not load tcti" in done.stderr:
            message = f"no TPM answers at {self.tcti}: it is not there, or not for this user (see the group tss)"
            raise TpmError(message, reason=Reason.CONFIGURATION)
        if done.returncode != 0 or len(done.stdout) > MAX_OUTPUT:
            raise TpmError(f"the TPM at {self.tcti} refuses {command}: {_reason(done.stderr)}")
        return done.stdout


class TpmDesk:
    """One use of a TPM. Names of files are relative to its folder."""

    def __init__(self, tools: TpmTools, folder: Path) -> None:
        self._tools, self._folder = tools, folder

    def run(self, command: str, *arguments: str, stdin: bytes = b"") -> bytes:
        """As `TpmTools.run`."""
        return self._tools.run(self._folder, command, *arguments, stdin=stdin)

    def write(self, name: str, content: bytes) -> None:
        """A file for the next command."""
        (self._folder / name).write_bytes(content)

    def read(self, name: str) -> bytes:
        """What a command wrote. Raises `ConfigurationError`."""
        return read_bytes(self._folder / name, max_bytes=MAX_OUTPUT)

    def flush(self) -> None:
        """Make room: a TPM without a resource manager holds three objects, and as many sessions, at a time."""
        self.run("flushcontext", "-t")
        self.run("flushcontext", "-l")

    @contextmanager
    def endorsement_session(self) -> Iterator[str]:
        """A policy session that may use the EK (PolicySecret of the endorsement hierarchy), as `-P` takes it."""
        name = "endorsement.session"
        self.run("startauthsession", "--policy-session", "-S", name)
        try:
            self.run("policysecret", "-S", name, "-c", "e")
            yield f"session:{name}"
        finally:
            with suppress(TpmError):
                self.run("flushcontext", name)


def _path() -> str:
    return os.environ.get("PATH") or _SYSTEM_PATH


def _reason(stderr: bytes) -> str:
    """The first error that the program names: those that follow only repeat that it failed."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["it does not say why"])[0][:200]
