"""Evidence from NAME=FILE arguments: files read, containers opened, parts named as the kind names them.

    NAME=FILE            a part of the kind; evidence= is its first part, jwk= its key
    json=FILE            what a tool printed; field=PATH names the value in it that is the evidence
    dir=FOLDER           one file a part

A file that cannot be read and a name that the kind does not have are the caller's mistake (`ConfigurationError`);
what is in a file is a stranger's (`RemoteError`). A part named by itself stands above the same one in a container.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from protocol.errors import ConfigurationError
from schemas.evidence import AZURE_VTPM, BINARY, COSE, EAR, FORMATS, SGX, SNP, TDX, TPM
from sealedge.operations.evidence_json import (
    binary_of,
    coco_quote_untrusted,
    coco_snp_untrusted,
    field_untrusted,
    qvl_untrusted,
)
from storage.files import read_bytes
from verifier.evidence.tpm_forms import parts_from_gce_folder, parts_from_trustee_json

MAX_FILE: Final = 4 << 20
MAX_FOLDER_FILES: Final = 64
CMW: Final = "cmw"
KINDS: Final = (*FORMATS, CMW)

_CONTAINERS: Final = ("json", "field", "dir")
_JSON: Final[Mapping[str, Callable[[bytes], Mapping[str, bytes]]]] = {
    SNP.name: coco_snp_untrusted,
    SGX.name: coco_quote_untrusted,
    TDX.name: coco_quote_untrusted,
    TPM.name: parts_from_trustee_json,
    AZURE_VTPM.name: lambda data: {"evidence": data},
}
"""Whose JSON `json=` takes without `field=`."""


def parts_of(kind: str, arguments: Sequence[str]) -> dict[str, bytes]:
    """The parts that the arguments name, untrusted. Raises `ConfigurationError`, `MalformedError` for containers."""
    given = _named(kind, arguments)
    field = given.pop("field", None)
    if field is not None and "json" not in given:
        raise ConfigurationError("field=PATH says where in json=FILE the evidence is: there is no json=")
    parts: dict[str, bytes] = {}
    if "dir" in given:
        parts |= _folder(kind, Path(given.pop("dir")))
    if "json" in given:
        parts |= _json(kind, given.pop("json"), field)
    parts |= {name: _content(kind, name, read_bytes(path, max_bytes=MAX_FILE)) for name, path in given.items()}
    if not parts:
        raise ConfigurationError(f"{kind}: name at least one file, such as {names_of(kind)[0]}=FILE")
    return parts


def names_of(kind: str) -> tuple[str, ...]:
    """The part names of a kind, as arguments have them. Raises `ConfigurationError` for what is no kind."""
    if kind == CMW:
        others = (part.name for form in FORMATS.values() for part in form.parts if part.endorses)
        return ("evidence", *dict.fromkeys(others))
    form = FORMATS.get(kind)
    if form is None:
        raise ConfigurationError(f"{kind[:32]!a} is no kind of evidence: {', '.join(KINDS)} are")
    return tuple(part.name for part in form.parts)


def _named(kind: str, arguments: Sequence[str]) -> dict[str, str]:
    known = names_of(kind)
    given: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not value:
            raise ConfigurationError(f"{argument[:64]!a}: write NAME=FILE, such as {known[0]}=FILE")
        name = _canonical(name, known)
        if name not in known and name not in _CONTAINERS:
            raise ConfigurationError(f"{kind} has no part {name[:32]!a}: it has {', '.join((*known, *_CONTAINERS))}")
        if name in given:
            raise ConfigurationError(f"{name} is given twice")
        given[name] = value
    return given


def _canonical(name: str, known: Sequence[str]) -> str:
    if name == "evidence" and name not in known:
        return known[0]
    return "key" if name == "jwk" and "key" in known else name


def _content(kind: str, name: str, data: bytes) -> bytes:
    form = FORMATS.get(kind)
    part = None if form is None else form.part(name)
    if part is not None and part.media_type in {BINARY, COSE}:
        return binary_of(data)
    # A JWT that a tool printed ends in a line break.
    return data.strip() if (kind, name) == (EAR.name, "token") and data.startswith(b"ey") else data


def _json(kind: str, path: str, field: str | None) -> Mapping[str, bytes]:
    data = read_bytes(path, max_bytes=MAX_FILE)
    if field is not None:
        return {names_of(kind)[0]: field_untrusted(data, field)}
    opened = _JSON.get(kind)
    if opened is None:
        raise ConfigurationError(f"json=FILE of kind {kind} needs field=PATH: where in it the evidence is")
    return opened(data)


def _folder(kind: str, folder: Path) -> Mapping[str, bytes]:
    """Files named after the parts (`report.bin`, `vcek.der`), or as the kind's usual tool names them."""
    files, known = _files(folder), names_of(kind)
    stems = {Path(name).stem: content for name, content in files.items()}
    parts = {name: _content(kind, name, stems[name]) for name in known if name in stems}
    if kind == TPM.name and known[0] not in parts:
        parts |= parts_from_gce_folder(files)
    if kind in {SGX.name, TDX.name}:
        parts = {**qvl_untrusted(files), **parts}
    if known[0] not in parts:
        raise ConfigurationError(f"{folder}: has no file for {known[0]}, such as {known[0]}.bin")
    return parts


def _files(folder: Path) -> dict[str, bytes]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be read: {error.strerror}") from error
    if len(paths) > MAX_FOLDER_FILES:
        raise ConfigurationError(f"{folder}: holds more than {MAX_FOLDER_FILES} files")
    return {path.name: read_bytes(path, max_bytes=MAX_FILE) for path in paths}
