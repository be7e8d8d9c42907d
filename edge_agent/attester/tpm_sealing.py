"""Sealing to a TPM: a small secret that this TPM gives back while chosen PCRs hold what they held (PolicyPCR).

The object's only authorization is that policy (TPM 2.0 Library Part 1 §19.7.7.5, Part 3 §23.7): there is no password,
and adminWithPolicy keeps the owner of the storage hierarchy from a way around it. On its way between a discrete TPM
and the processor the secret is not encrypted.
"""

from contextlib import suppress
from typing import Final

from edge_agent.attester.tpm_tools import TpmDesk, TpmTools
from protocol.cbor import decode_untrusted, encode
from protocol.errors import MalformedError, ProtocolMisuseError, RemoteError

MAX_SEALED: Final = 128
"""Bytes of a secret (MAX_SYM_DATA, Part 2 §12.3.2)."""

_MAX_BLOB: Final = 4096
_ATTRIBUTES: Final = "fixedtpm|fixedparent|adminwithpolicy|noda"
_STORAGE: Final = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt"
"""Of a storage root key; noDA as in `edge_agent.attester.tpm_keys`."""

_PARENT, _PUBLIC, _PRIVATE = "parent.ctx", "sealed.pub", "sealed.priv"


class TpmSealer:
    """Seals to the PCRs in `selection`, such as `sha256:7,15`, at their values of the moment of sealing."""

    def __init__(self, tools: TpmTools, selection: str) -> None:
        self._tools, self._selection = tools, selection

    def seal(self, data: bytes) -> bytes:
        """A blob that needs no secrecy. Raises `ProtocolMisuseError` unless it is 1 to 128 bytes; `TpmError`."""
        if not 1 <= len(data) <= MAX_SEALED:
            raise ProtocolMisuseError(f"a TPM seals 1 to {MAX_SEALED} bytes, not {len(data)}")
        with self._tools.desk() as desk:
            self._create_parent(desk)
            desk.run("createpolicy", "-Q", "--policy-pcr", "-l", self._selection, "-L", "policy")
            desk.flush()
            # The secret goes through a pipe: no file ever holds it.
            files = ("-L", "policy", "-a", _ATTRIBUTES, "-u", _PUBLIC, "-r", _PRIVATE)
            desk.run("create", "-Q", "-C", _PARENT, "-g", "sha256", "-i", "-", *files, stdin=data)
            return encode([desk.read(_PUBLIC), desk.read(_PRIVATE)])

    def unseal(self, blob: bytes) -> bytes:
        """What was sealed. Raises `MalformedError` for a blob that is none.

        Raises `TpmError` where this is another TPM, a PCR has another value, or the blob was changed.
        """
        public, private = _opened_untrusted(blob)
        with self._tools.desk() as desk:
            desk.write(_PUBLIC, public)
            desk.write(_PRIVATE, private)
            self._create_parent(desk)
            desk.run("load", "-Q", "-C", _PARENT, "-u", _PUBLIC, "-r", _PRIVATE, "-c", "sealed.ctx")
            desk.flush()
            return desk.run("unseal", "-c", "sealed.ctx", "-p", f"pcr:{self._selection}")

    def _create_parent(self, desk: TpmDesk) -> None:
        """A storage key, made anew from the TPM's seed, always the same."""
        desk.run("createprimary", "-Q", "-C", "o", "-g", "sha256", "-G", "ecc", "-a", _STORAGE, "-c", _PARENT)
        desk.flush()


def _opened_untrusted(blob: bytes) -> tuple[bytes, bytes]:
    with suppress(RemoteError):
        match decode_untrusted(blob, max_bytes=_MAX_BLOB):
            case [bytes(public), bytes(private)]:
                return public, private
    raise MalformedError("not what this TPM sealed")
