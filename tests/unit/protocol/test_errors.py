"""What strangers say reaches logs, JSON and terminals as text that nothing obeys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import AuthenticationError, Finding, printable
from protocol.status import refusal_of
from verifier.evidence.examination import Examination

HOSTILE = {
    "ansi": ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
    "c1": ("\x9b31m", r"\x9b31m"),
    "newline": ("a\nverdict: accepted", r"a\nverdict: accepted"),
    "return": ("refused\raccepted", r"refused\raccepted"),
    "bidi": ("\u202edetpecca\u2066", r"\u202edetpecca\u2066"),
    "zero width": ("ad\u200bmin", r"ad\u200bmin"),
    "line separator": ("a\u2028b", r"a\u2028b"),
    "surrogate": ("\udc9b", r"\udc9b"),
}


@pytest.mark.parametrize(("said", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_a_finding_holds_nothing_that_a_terminal_obeys(said: str, shown: str) -> None:
    finding = Finding(said, said, said, said)
    assert (finding.claim, finding.expected, finding.found, finding.policy) == (shown,) * 4
    error = AuthenticationError(said, finding=finding)
    assert error.diagnostics.isprintable()
    assert shown in error.diagnostics
    refusal = refusal_of(error, 0.0)
    assert refusal.found == shown


@pytest.mark.parametrize(("said", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_a_trace_holds_nothing_that_a_terminal_obeys(said: str, shown: str) -> None:
    examination = Examination()
    examination.note(said, said, said)
    with pytest.raises(AuthenticationError) as caught:
        examination.demand(False, "subject", "CN=maker", said, "of another")
    assert caught.value.finding == Finding("subject", "CN=maker", shown)
    assert [line.finding.found for line in examination.lines] == [shown, shown]


def test_escapes_make_no_line_longer_than_allowed() -> None:
    examination = Examination()
    examination.note("claim", "", "\x1b" * 200_000)
    assert len(examination.lines[0].finding.found) == 200


def test_what_people_write_stays_as_it_is() -> None:
    for text in ("CN=Zürich, O=日本", "a b", "🔑", r"back\slash"):
        assert printable(text) == text


@given(st.text())
def test_any_text_becomes_printable_and_stays_so(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
