"""The keys that name a machine: the endorsement key (EK) of its TPM, and an attestation key (AK) below it.

The EK is made anew from the TPM's seed whenever it is needed, always the same (TCG EK Credential Profile, low range).
The AK is an ECDSA key on P-256 with SHA-256 that is restricted: it signs what the TPM itself says, and nothing that
somebody hands in. It is kept as a file which only this TPM can load, and needs no room in the TPM.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from edge_agent.attester.tpm_settings import EkAlgorithm, TpmPlace
from edge_agent.attester.tpm_tools import TpmDesk, TpmError, TpmTools
from protocol.cbor import decode_untrusted, encode
from protocol.errors import ConfigurationError, Finding, RemoteError
from storage.files import read_private, write_private

# noDA: without it a power cut while the key is in use counts as a guess at its password, and some dozens of these lock
# the TPM (Part 1 §19.8). There is no password to guess.
_AK_ATTRIBUTES: Final = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign"

_CERTIFICATE_INDEX: Final = {"rsa": "0x01C00002", "ecc": "0x01C0000A"}
"""Where a maker leaves the EK's certificate: RSA 2048 and ECC P-256 (TCG EK Credential Profile 2.5 §2.2.1.4)."""

_MAX_KEY_FILE: Final = 4096
_EK, _AK, _PUBLIC, _PRIVATE = "ek.ctx", "ak.ctx", "ak.pub", "ak.priv"


@dataclass(frozen=True, slots=True)
class AttestationKey:
    """`public` is a TPM2B_PUBLIC, `private` a TPM2B_PRIVATE under the TPM's own key; `spki` is DER."""

    public: bytes
    private: bytes = field(repr=False)
    spki: bytes

    @property
    def chip(self) -> bytes:
        """SHA-256 of the public key: what an enrolment must list."""
        return hashlib.sha256(self.spki).digest()


@dataclass(frozen=True, slots=True)
class Identity:
    """What a machine says of itself: public, and not yet believed. `ek_certificate` is DER, where the TPM has one."""

    ak: AttestationKey
    ek_public: bytes
    ek_certificate: bytes | None


class MachineKeys:
    """The AK in the file `path`, and the EK above it, of the TPM that `tools` reach."""

    def __init__(self, tools: TpmTools, path: Path, ek: EkAlgorithm = "rsa") -> None:
        self.tools, self._path, self._ek = tools, path, ek

    @classmethod
    def of_place(cls, place: TpmPlace) -> Self:
        """Those of a configured TPM. Raises `ConfigurationError` where tpm2-tools are missing."""
        return cls(TpmTools(place.settings.tcti), place.key, place.settings.ek)

    def read(self) -> AttestationKey:
        """The AK. Raises `ConfigurationError` where there is none."""
        if not self._path.exists():
            finding = Finding("tpm.key", "an attestation key", "none: see `sealedge tee identity`")
            raise ConfigurationError(f"{self._path}: this machine has no identity yet", finding=finding)
        with suppress(RemoteError):
            match decode_untrusted(read_private(self._path, max_bytes=_MAX_KEY_FILE)):
                case [bytes(public), bytes(private), bytes(spki)]:
                    return AttestationKey(public, private, spki)
        raise ConfigurationError(f"{self._path}: is not a TPM's attestation key")

    def identify(self) -> Identity:
        """Make the AK if there is none, and tell what names this machine. Raises `TpmError`, `ConfigurationError`."""
        with self.tools.desk() as desk:
            self._create_ek(desk)
            ek_public = desk.read("ek.pub")
            if not self._path.exists():
                self._create_ak(desk)
            certificate = self._read_certificate(desk)
        return Identity(self.read(), ek_public, certificate)

    def load(self) -> bytes:
        """The AK as a saved context: `quote` loads it at once, until the TPM is reset. Raises `TpmError`."""
        with self.tools.desk() as desk:
            self._create_ek(desk)
            self._load_ak(desk)
            return desk.read(_AK)

    def activate(self, credential: bytes) -> bytes:
        """The secret in a credential that was made for this EK and AK (TPM2_ActivateCredential, Part 3 §12.5).

        Raises `TpmError` for one that was made for another TPM or another key.
        """
        with self.tools.desk() as desk:
            desk.write("credential", credential)
            self._create_ek(desk)
            self._load_ak(desk)
            with desk.endorsement_session() as session:
                arguments = ("-c", _AK, "-C", _EK, "-i", "credential", "-o", "secret", "-P", session)
                desk.run("activatecredential", "-Q", *arguments)
            return desk.read("secret")

    def _create_ek(self, desk: TpmDesk) -> None:
        desk.run("createek", "-Q", "-G", self._ek, "-c", _EK, "-u", "ek.pub")
        desk.flush()

    def _create_ak(self, desk: TpmDesk) -> None:
        with desk.endorsement_session() as session:
            what = ("-G", "ecc256:ecdsa-sha256:null", "-g", "sha256", "-a", _AK_ATTRIBUTES)
            desk.run("create", "-Q", "-C", _EK, "-P", session, *what, "-u", _PUBLIC, "-r", _PRIVATE)
        desk.flush()
        self._load(desk)
        desk.run("readpublic", "-Q", "-c", _AK, "-f", "der", "-o", "ak.der")
        desk.flush()
        content = encode([desk.read(_PUBLIC), desk.read(_PRIVATE), desk.read("ak.der")])
        write_private(self._path, content, replace=False)

    def _load_ak(self, desk: TpmDesk) -> None:
        key = self.read()
        desk.write(_PUBLIC, key.public)
        desk.write(_PRIVATE, key.private)
        try:
            self._load(desk)
        except TpmError as error:
            raise TpmError(f"{self._path}: is not a key of this TPM ({error})") from None

    def _load(self, desk: TpmDesk) -> None:
        with desk.endorsement_session() as session:
            desk.run("load", "-Q", "-C", _EK, "-P", session, "-u", _PUBLIC, "-r", _PRIVATE, "-c", _AK)
        desk.flush()

    def _read_certificate(self, desk: TpmDesk) -> bytes | None:
        """Most TPMs have one; swtpm where swtpm_setup was asked for it."""
        index = _CERTIFICATE_INDEX[self._ek]
        for hierarchy in ("o", index):
            with suppress(TpmError):
                return _without_filler(desk.run("nvread", index, "-C", hierarchy))
        return None


def _without_filler(data: bytes) -> bytes:
    """A certificate ends where its DER says (X.690 §8.1.3.5); makers fill the rest of the index."""
    if len(data) > 4 and data[:2] == b"\x30\x82":
        return data[: 4 + int.from_bytes(data[2:4], "big")]
    return data
