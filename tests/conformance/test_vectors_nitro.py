"""Nitro documents that AWS's hardware signed, each at the time when its certificate held."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import MalformedError, RemoteError
from tests.conformance.entries import Entry, entries_of, parts_of
from verifier.evidence.examination import Examination
from verifier.evidence.nitro import NitroAppraiser

ENTRIES = entries_of("nitro")


def at(entry: Entry) -> float:
    return datetime.fromisoformat(entry["verify_at"]).timestamp()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_the_expected_verdict(vectors: Path, entry: Entry) -> None:
    examination = Examination()
    parts = parts_of(vectors, entry)
    if entry["expect"] == "invalid":
        with pytest.raises(RemoteError) as caught:
            NitroAppraiser().appraise_untrusted(parts, at(entry), examination)
        assert not isinstance(caught.value, MalformedError)
        return
    tee = NitroAppraiser().appraise_untrusted(parts, at(entry), examination)
    assert examination.signature == "valid"
    assert tee.debug == (entry["expect"] == "signature-valid/policy-refuse")
    assert tee.debug == (tee.measurement == bytes(48))
    assert tee.chip is not None


def genuine(vectors: Path) -> tuple[Mapping[str, bytes], float]:
    entry: Any = next(each for each in ENTRIES if each["expect"] == "valid")
    return parts_of(vectors, entry), at(entry)


def test_a_flipped_bit_in_a_genuine_document_is_refused(vectors: Path) -> None:
    parts, now = genuine(vectors)
    document = parts["doc"]
    for at_byte in range(0, len(document), 11):
        flipped = document[:at_byte] + bytes([document[at_byte] ^ 0x10]) + document[at_byte + 1 :]
        with pytest.raises(RemoteError):
            NitroAppraiser().appraise_untrusted({"doc": flipped}, now, Examination())
