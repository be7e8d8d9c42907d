"""What an agent extended into its PCR since the machine was started, kept in a file beside the agent's state.

    PCR = SHA-256(... SHA-256(SHA-256(32 zero bytes ‖ first) ‖ second) ... ‖ last)

Nothing takes an extension back: PCRs 0 to 15 are reset with the machine alone, unlike 16 and 23, which any program
may reset (TCG PC Client Platform TPM Profile §4.6). So an agent that was replaced since the boot shows both
measurements. Whoever is root can still extend the measurement of an agent that does not run, and cannot undo it.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from edge_agent.attester.tpm_settings import BANK
from edge_agent.attester.tpm_tools import TpmDesk, TpmError
from protocol.errors import ConfigurationError, Finding
from storage.files import read_bytes, write_private

DIGEST_BYTES: Final = 32
MAX_EXTENSIONS: Final = 64
"""Of one boot. A machine whose agent changed more often must be restarted."""


def replay(digests: Iterable[bytes]) -> bytes:
    """The value of a PCR of the SHA-256 bank that was extended with these, and nothing else, since its reset."""
    value = bytes(DIGEST_BYTES)
    for digest in digests:
        value = hashlib.sha256(value + digest).digest()
    return value


def extend_once(desk: TpmDesk, pcr: int, record: Path, measurement: bytes) -> tuple[bytes, ...]:
    """See to it that `measurement` is the last that was extended into `pcr`; all of this boot, oldest first.

    Raises `ConfigurationError` where somebody else extended this PCR too, `TpmError`.
    """
    extended = _explained(_read_record(record), read_pcr(desk, pcr), pcr)
    if extended and extended[-1] == measurement:
        return extended
    if len(extended) >= MAX_EXTENSIONS:
        finding = Finding(f"PCR {pcr}", f"at most {MAX_EXTENSIONS} extensions", str(len(extended)))
        raise ConfigurationError("the agent changed too often since the boot: restart the machine", finding=finding)
    extended += (measurement,)
    # Written first: after a crash in between, the record is longer than what the PCR holds, and is cut.
    write_private(record, b"".join(extended))
    desk.run("pcrextend", "-Q", f"{pcr}:{BANK}={measurement.hex()}")
    return extended


def read_pcr(desk: TpmDesk, pcr: int) -> bytes:
    """The value of a PCR. Raises `TpmError`, also where the TPM keeps no SHA-256 bank."""
    desk.run("pcrread", "-Q", f"{BANK}:{pcr}", "-o", "pcr")
    value = desk.read("pcr")
    if len(value) != DIGEST_BYTES:
        raise TpmError(f"the TPM has no PCR {pcr} in a {BANK} bank: choose this bank in the firmware's setup")
    return value


def _explained(recorded: tuple[bytes, ...], value: bytes, pcr: int) -> tuple[bytes, ...]:
    """As many of the recorded digests as the PCR holds: none after a restart of the machine."""
    for count in range(len(recorded), -1, -1):
        if replay(recorded[:count]) == value:
            return recorded[:count]
    finding = Finding(f"PCR {pcr}", "what this agent extended", value.hex()[:16])
    raise ConfigurationError(
        f"another program extended PCR {pcr} (or the agent's state is lost): choose another of 8 to 15 as [tpm] pcr",
        finding=finding,
    )


def _read_record(path: Path) -> tuple[bytes, ...]:
    """The digests, oldest first; none where there is no record."""
    if not path.exists():
        return ()
    content = read_bytes(path, max_bytes=MAX_EXTENSIONS * DIGEST_BYTES)
    if len(content) % DIGEST_BYTES:
        raise ConfigurationError(f"{path}: is not a record of extensions")
    return tuple(content[start : start + DIGEST_BYTES] for start in range(0, len(content), DIGEST_BYTES))
