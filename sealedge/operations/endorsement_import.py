"""Taking vendors' files into the endorsement folder: recognised, verified as far as can be, then written.

    certificates        a path to a pinned root
    lists, documents    the signature of an issuer with such a path, if its certificate is at hand
    keys                nothing: whoever imports one says whose it is

A signature that does not hold ends the import before anything is written. What is out of time is kept with a
warning: the verifier looks at the time again, whenever it uses an endorsement.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.errors import AuthenticationError, ConfigurationError, Finding, FreshnessError, RemoteError
from sealedge.operations.endorsement_kinds import Chain, Document, Key, List, Piece, Recognised
from sealedge.operations.endorsements import path_of
from storage.files import write_private
from verifier.endorsements import HeldEndorsements
from verifier.evidence.certificates import certificates_untrusted, check_window, common_name, verify_path
from verifier.evidence.dcap_pck import ecdsa_holds
from verifier.evidence.dcap_rating import SIGNER as TCB_SIGNER
from verifier.evidence.examination import Examination
from verifier.evidence.revocation_lists import verify_crl
from verifier.evidence.roots import AMD, INTEL, PINNED_ROOTS, Roots

_MAX_PATH: Final = 4


@dataclass(frozen=True, slots=True)
class Endorsement:
    """What will stand in the folder. `warning` says what did not hold of time, or could not be verified."""

    name: str
    suffix: str
    content: bytes
    warning: str | None = None


class Importing:
    """Verifies pieces by the certificates that came with them, that the folder holds, and that sealedge brings."""

    def __init__(self, held: HeldEndorsements, now: float, roots: Roots = PINNED_ROOTS) -> None:
        self._now = now
        self._roots = roots.get(AMD, frozenset()) | roots.get(INTEL, frozenset())
        self._pool: list[x509.Certificate] = []
        for name in held:
            if "chain" in name:
                self._pool += certificates_untrusted(held.find(name) or b"", name)

    def endorsements(self, found: Sequence[Recognised]) -> list[Endorsement]:
        """All pieces, verified; of several with one name the last.

        Raises `RemoteError`s for what is forged or has no path to a pinned root.
        """
        # What came with a piece before what was kept earlier: signers are renewed under their old names.
        self._pool = [*(each for one in found for each in one.certificates), *self._pool]
        pieces = {piece.name: piece for one in found for piece in one.pieces}
        return [self._endorsement(piece) for piece in pieces.values()]

    def _endorsement(self, piece: Piece) -> Endorsement:
        if isinstance(piece, Key):
            return Endorsement(piece.name, ".pem", piece.pem)
        return Endorsement(piece.name, *self._file(piece), self._warning(piece))

    def _warning(self, piece: Chain | List | Document) -> str | None:
        """What is to be said of a piece that is kept. Raises where a signature does not hold."""
        if isinstance(piece, Chain):
            return _late(lambda: self._check_path(piece.leaf))
        issuer = self._issuer(piece)
        if issuer is None:
            return "not verified yet: the certificate of who signed it is not here"
        late = _late(lambda: self._check_path(issuer))
        return _late(lambda: _check_signed(piece, issuer, self._now)) or late

    def _check_path(self, leaf: x509.Certificate) -> None:
        verify_path(self._path(leaf), self._roots, self._now, Examination(), common_name(leaf))

    def _path(self, leaf: x509.Certificate) -> list[x509.Certificate]:
        """`leaf` and its issuers by name, up to one that issued itself. Raises `AuthenticationError` without one."""
        path = [leaf]
        while path[-1].subject != path[-1].issuer and len(path) < _MAX_PATH:
            issuer = next((each for each in self._pool if each.subject == path[-1].issuer), None)
            if issuer is None:
                finding = Finding("issuer", path[-1].issuer.rfc4514_string()[:96], "not here")
                raise AuthenticationError(f"who issued {common_name(path[-1])} is not known", finding=finding)
            path.append(issuer)
        return path

    def _issuer(self, piece: List | Document) -> x509.Certificate | None:
        if isinstance(piece, List):
            return next((each for each in self._pool if each.subject == piece.crl.x509.issuer), None)
        return next((each for each in self._pool if common_name(each) == TCB_SIGNER), None)

    def _file(self, piece: Chain | List | Document) -> tuple[str, bytes]:
        if isinstance(piece, List):
            return ".crl", piece.crl.x509.public_bytes(Encoding.DER)
        if isinstance(piece, Document):
            return ".json", piece.content
        if piece.name.startswith("snp/vcek/"):
            return ".der", piece.leaf.public_bytes(Encoding.DER)
        return ".pem", b"".join(each.public_bytes(Encoding.PEM) for each in self._path(piece.leaf))


def write_endorsements(folder: Path, found: Iterable[Endorsement]) -> list[Path]:
    """Write each to its place, over what was there. Raises `ConfigurationError`."""
    written = []
    for each in found:
        path = path_of(folder, each.name, each.suffix)
        write_private(path, each.content)
        written.append(path)
    return written


def named(error: RemoteError | ConfigurationError, path: Path) -> RemoteError | ConfigurationError:
    """The same error, naming the file."""
    return type(error)(f"{path}: {error}", reason=error.reason, finding=error.finding)


def _late(check: Callable[[], None]) -> str | None:
    """Times are checked last and again at each use: here they only warn."""
    try:
        check()
    except FreshnessError as error:
        return error.diagnostics
    return None


def _check_signed(piece: List | Document, issuer: x509.Certificate, now: float) -> None:
    examination = Examination()
    if isinstance(piece, List):
        verify_crl(piece.crl, issuer, now, examination, piece.name)
        return
    signed = piece.signed
    holds = ecdsa_holds(issuer.public_key(), signed.signature, signed.content)
    examination.signature_checked(holds, piece.name, common_name(issuer))
    issued, ends = signed.document.issued.timestamp(), signed.document.next_update.timestamp()
    check_window(issued, ends, now, examination, piece.name)
