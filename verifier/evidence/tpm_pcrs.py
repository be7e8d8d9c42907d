"""PCR values beside a quote: JSON, or the blob of tpm2_quote -o; and the digest that a quote has of them.

The values are in no signature, their digest is (TPMS_QUOTE_INFO.pcrDigest): over the values of every selected PCR,
banks in the order of the selection, indices ascending, under the hash of the signature's scheme (Part 3 §18.4).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from protocol.errors import AppraisalError, Finding, MalformedError
from verifier.evidence.cursor import Cursor
from verifier.evidence.documents import hex_untrusted, json_object_untrusted, object_untrusted
from verifier.evidence.event_log import HASHES
from verifier.evidence.examination import Examination
from verifier.evidence.tpm_structures import Quote, Selection, selection_untrusted

PcrValues = Mapping[str, Mapping[int, bytes]]
"""Bank to index to value, which is as long as the bank's digest."""

MAX_PCRS_JSON: Final = 32_768
MAX_PCR: Final = 31

_DIGEST_BUFFER: Final = 64
_DIGESTS: Final = 8
_SELECTIONS: Final = 16
_MAX_LISTS: Final = 16


def pcr_values_untrusted(data: bytes, quote: Quote) -> PcrValues:
    """The values in `data`: `{"sha256": {"0": hex}}`, `{"0": hex}` for a quote of one bank, or tpm2_quote's blob.

    They are exactly those that the quote selects; that they are the quoted ones is for `check_digest` to find out.
    Raises `MalformedError`, `UnsupportedError`.
    """
    values = _of_json(data, quote) if data.lstrip()[:1] == b"{" else _of_blob(data)
    selected = {each.bank: set(each.indices) for each in quote.selections if each.indices}
    if {bank: set(found) for bank, found in values.items()} != selected:
        finding = Finding("pcrs", _shown(selected), _shown(values))
        raise MalformedError("not the values that the quote selects", finding=finding)
    return values


def listed_values(values: Sequence[bytes], quote: Quote) -> PcrValues:
    """`values`, from PCR 0 on, of those PCRs that `quote` selects from its one bank; the others are left out.

    Raises `MalformedError` where the quote has several banks, or a PCR that has no value.
    """
    bank = _only_bank(quote)
    indices = next(each.indices for each in quote.selections if each.bank == bank)
    if indices[-1] >= len(values):
        raise MalformedError("pcrs is too short", finding=Finding("pcrs", f"{indices[-1] + 1}", str(len(values))))
    return {bank: {index: _sized(bank, values[index]) for index in indices}}


def check_digest(quote: Quote, values: PcrValues, hashed: str, examination: Examination) -> None:
    """Check that `values` are the quoted ones; the quote's signature is over `hashed`. Raises `AppraisalError`."""
    selected = b"".join(values[each.bank][index] for each in quote.selections for index in each.indices)
    found = hashlib.new(hashed, selected).digest()
    message = "PCR values that the quote does not have"
    holds = found == quote.pcr_digest
    examination.demand(holds, "tpm.pcrDigest", quote.pcr_digest, found, message, error=AppraisalError)
    if "sha1" in values:
        examination.note("tpm.pcrs.sha1", "SHA-256 or stronger", "SHA-1, of which collisions are known")


def _of_json(data: bytes, quote: Quote) -> PcrValues:
    if len(data) > MAX_PCRS_JSON:
        raise MalformedError("pcrs is too large", finding=Finding("pcrs", f"{MAX_PCRS_JSON} bytes", str(len(data))))
    banks = json_object_untrusted(data, "pcrs")
    if not all(isinstance(each, dict) for each in banks.values()):
        return {_only_bank(quote): _of_bank(_only_bank(quote), banks)}
    return {_known(bank): _of_bank(bank, object_untrusted(found, "pcrs")) for bank, found in banks.items()}


def _of_bank(bank: str, values: Mapping[str, object]) -> Mapping[int, bytes]:
    return {_index(key): _sized(bank, hex_untrusted(value, f"pcrs.{bank}")) for key, value in values.items()}


def _of_blob(data: bytes) -> PcrValues:
    """`tpm2_pcrs` of tpm2-tools: TPML_PCR_SELECTION and lists of eight TPM2B_DIGEST, as C has them, little-endian."""
    cursor = Cursor(data, "pcrs", "little")
    selections = _selections(cursor)
    lists = cursor.integer(4)
    if lists > _MAX_LISTS:
        raise MalformedError("pcrs has too many lists", finding=Finding("pcrs", f"{_MAX_LISTS}", str(lists)))
    digests = [digest for _ in range(lists) for digest in _digests(cursor)]
    cursor.end()
    places = [(each.bank, index) for each in selections for index in each.indices]
    if len(places) != len(digests) or len({each.bank for each in selections}) != len(selections):
        finding = Finding("pcrs", f"{len(places)} values", str(len(digests)))
        raise MalformedError("pcrs has not as many values as it selects", finding=finding)
    values: dict[str, dict[int, bytes]] = {}
    for (bank, index), digest in zip(places, digests, strict=True):
        values.setdefault(bank, {})[index] = _sized(bank, digest)
    return values


def _selections(cursor: Cursor) -> list[Selection]:
    count = cursor.integer(4)
    if count > _SELECTIONS:
        raise MalformedError("pcrs selects too many banks", finding=Finding("pcrs", f"{_SELECTIONS}", str(count)))
    found = []
    for position in range(_SELECTIONS):
        algorithm, size, bitmap = cursor.integer(2), cursor.integer(1), cursor.take(5)
        if position < count:
            _blank(bitmap[size:])
            found.append(selection_untrusted(algorithm, bitmap[:size], "pcrs"))
        else:
            _blank(bytes([*algorithm.to_bytes(2, "little"), size]) + bitmap)
    return found


def _digests(cursor: Cursor) -> Iterator[bytes]:
    """TPML_DIGEST with all eight places, also those that are not used."""
    count = cursor.integer(4)
    if count > _DIGESTS:
        raise MalformedError("pcrs has a list too long", finding=Finding("pcrs", f"{_DIGESTS} digests", str(count)))
    for position in range(_DIGESTS):
        size, buffer = cursor.integer(2), cursor.take(_DIGEST_BUFFER)
        if size > _DIGEST_BUFFER or (size and position >= count):
            raise MalformedError("pcrs has a digest too long", finding=Finding("pcrs", f"{_DIGEST_BUFFER}", str(size)))
        _blank(buffer[size:])
        if position < count:
            yield buffer[:size]


def _blank(padding: bytes) -> None:
    if padding.strip(b"\0"):
        raise MalformedError("pcrs has padding that is not zero", finding=Finding("pcrs", "zeros", "other bytes"))


def _sized(bank: str, value: bytes) -> bytes:
    """A value as long as its bank's digest: otherwise bytes could move from one PCR to the next."""
    size = hashlib.new(_known(bank)).digest_size
    if len(value) != size:
        raise MalformedError("a PCR value of another size", finding=Finding("pcrs", f"{size} bytes", str(len(value))))
    return value


def _known(bank: str) -> str:
    if bank not in HASHES.values():
        raise MalformedError("not a PCR bank", finding=Finding("pcrs", " or ".join(HASHES.values()), ascii(bank)[1:33]))
    return bank


def _only_bank(quote: Quote) -> str:
    banks = [each.bank for each in quote.selections if each.indices]
    if len(banks) != 1:
        raise MalformedError("pcrs names no banks", finding=Finding("pcrs", " and ".join(banks), "PCRs alone"))
    return banks[0]


def _index(key: str) -> int:
    if not (key.isascii() and key.isdigit() and str(int(key[:4])) == key and int(key) <= MAX_PCR):
        raise MalformedError("not a PCR index", finding=Finding("pcrs", f"0 to {MAX_PCR}", ascii(key)[1:17]))
    return int(key)


def _shown(values: Mapping[str, object]) -> str:
    return "; ".join(f"{bank}: {_indices(found)}" for bank, found in values.items()) or "none"


def _indices(found: object) -> str:
    return ", ".join(str(index) for index in sorted(found)) if isinstance(found, set | dict) else ""
