"""SPECIFICATION.md names what schemas/messages.cddl and the code have: no more, no less, no other number."""

import re
from pathlib import Path

import pytest

from edge_agent.attester.collecting import TIERS
from edge_agent.enclave.carrying import MAX_CARRIED_BYTES
from edge_agent.enclave.configuration import EnclaveLimits
from edge_agent.enclave.sessions import MAX_SESSION_SECONDS
from protocol.carried import MAX_STATE_BYTES
from protocol.cbor import MAX_DEPTH, MAX_MESSAGE
from protocol.channel import MAX_SEQUENCE, WINDOW
from protocol.cose_encrypt import MAX_RECIPIENTS
from protocol.cose_structure import MAX_PROTECTED
from protocol.messages import DOMAIN
from protocol.status import MAX_STATUS
from protocol.trust import CLOCK_SKEW
from schemas.attestation import MAX_WRAPPED_EVIDENCE
from schemas.evidence import FORMATS, SIMULATED
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from schemas.reason import Reason
from schemas.topics import ROOT
from sealedge.client.refusals import ELSEWHERE, LATER
from tests.support import grammar
from verifier.challenges import MAX_REQUEST
from verifier.evidence.arm_claims import MAX_TOKEN
from verifier.evidence.azure_hcl import MAX_HCL_REPORT
from verifier.evidence.certificates import MAX_CERTIFICATE, MAX_CERTIFICATES
from verifier.evidence.dcap_quote import MAX_QUOTE
from verifier.evidence.ear import MAX_SUBMODULES
from verifier.evidence.event_log import MAX_EVENTS
from verifier.evidence.nitro_document import MAX_DOCUMENT
from verifier.evidence.tpm_boot import MAX_MEASUREMENTS
from verifier.evidence.tpm_structures import MAX_STRUCTURE
from verifier.records import MAX_EVIDENCE_MESSAGE, MAX_OPEN_CHALLENGES

ROOT_FOLDER = Path(__file__).parents[2]
TEXT = (ROOT_FOLDER / "SPECIFICATION.md").read_text("utf-8")
RULE = re.compile(
    r"`([a-z]+(?:-[a-z]+)*-(?:message|document|party|session|json|bundle|claims|grant|index|request|result))`"
)


def section(number: int) -> str:
    found = re.search(rf"^## {number} .*?(?=^## )", TEXT, re.MULTILINE | re.DOTALL)
    assert found
    return found[0]


def rows(number: int) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section(number).splitlines()
        if line[:1] == "|"
    ]


def tables(number: int) -> list[list[list[str]]]:
    """The tables of a section, each with its head and without the line below that."""
    found = re.findall(r"(?:^\|.*\n)+", section(number), re.MULTILINE)
    made = [[[cell.strip() for cell in line.strip("|").split("|")] for line in each.splitlines()] for each in found]
    return [[each[0], *each[2:]] for each in made]


def table(number: int, *head: str) -> list[list[str]]:
    """The rows of the one table of a section whose head begins so."""
    [found] = [each[1:] for each in tables(number) if tuple(each[0][: len(head)]) == head]
    return found


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_rule_it_names_exists() -> None:
    named = set(RULE.findall(TEXT))
    assert len(named) > 25
    assert named <= set(grammar.rules())


def test_the_topics_are_those_of_the_grammar() -> None:
    found = {
        (words(topic)[0], retained, rule)
        for topic, retained, _, _, said in rows(5)
        if words(topic)
        for rule in words(said)
        if rule != "DIGEST"
    }
    assert found == set(grammar.topic_rows())
    assert f"`{ROOT}/FLEET/`" in section(5)


def test_every_reason_has_its_row_and_its_consequence() -> None:
    consequences = {reason: row[2] for row in rows(11) for reason in words(row[0])}
    assert set(consequences) == {str(reason) for reason in Reason}
    assert {each for each, does in consequences.items() if does.startswith("asks elsewhere")} == set(
        map(str, ELSEWHERE)
    )
    assert {each for each, does in consequences.items() if does.startswith("waits")} == set(map(str, LATER))


def test_every_reason_it_gives_for_a_check_exists() -> None:
    reasons = {str(reason) for reason in Reason}
    checks = [row for number in (7, 8, 9, 10) for each in tables(number) if each[0][1:2] == ["reason"] for row in each]
    assert len(checks) > 60
    assert set(words(" ".join(row[1] for row in checks))) <= reasons


def test_the_kinds_of_evidence_have_the_parts_of_the_code() -> None:
    said = {words(row[0])[0]: row for row in table(7, "kind", "evidences")}
    assert set(said) == set(FORMATS) - {SIMULATED.name}
    for name, (_, evidences, endorses, stays, _) in said.items():
        parts = FORMATS[name].parts
        assert words(evidences) == [part.name for part in parts if not part.endorses]
        assert words(endorses) == [part.name for part in parts if part.endorses and part.travels]
        assert words(stays) == [part.name for part in parts if not part.travels]
        assert FORMATS[name].media_type.replace(f"/{name}#", "/KIND#") in section(7)


def test_the_media_types_of_parts_are_those_of_the_code() -> None:
    said = {words(row[0])[0]: set(words(row[1])) for row in table(7, "media type")}
    parts = [part for name, form in FORMATS.items() if name != SIMULATED.name for part in form.parts]
    assert all(part.name in said[part.media_type] for part in parts)
    assert {(kind, name) for kind, names in said.items() for name in names - set(FORMATS)} == {
        (part.media_type, part.name) for part in parts
    }


def test_the_tiers_are_those_of_the_code() -> None:
    said = {words(row[0])[0]: words(row[4]) for row in table(7, "kind", "evidences")}
    assert said == {name: [str(tier) for tier in tiers] for name, tiers in TIERS.items()}
    measured = {tier for row in table(7, "tier", "measurement") for tier in words(row[0])}
    assert measured == set(map(str, Tier))


def test_every_private_value_is_listed_once() -> None:
    code = re.sub(r";.*", "", grammar.TEXT)
    used = {int(each) for each in re.findall(r"-\d{5}", code)}
    listed: set[int] = set()
    for start, last in re.findall(r"(-\d{5})(?: … (-\d{5}))?", section(18)):
        listed |= set(range(int(last or start), int(start) + 1))
    assert used == listed - {-65536}


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (14, f"{MAX_MESSAGE:,} bytes"),
        (14, f"requests {MAX_REQUEST // 1024} KiB"),
        (14, f"evidence {MAX_EVIDENCE_MESSAGE // 1024} KiB"),
        (14, f"wrapped | {MAX_WRAPPED_EVIDENCE:,} bytes |"),
        (14, f"of a TPM | {MAX_QUOTE:,} bytes; {MAX_HCL_REPORT:,}; {MAX_STRUCTURE:,} |"),
        (14, f"one certificate | {MAX_CERTIFICATES}; {MAX_CERTIFICATE:,} bytes |"),
        (14, f"of an EAR | {MAX_EVENTS:,}; {MAX_MEASUREMENTS:,}; {MAX_SUBMODULES} |"),
        (14, f"| {MAX_DEPTH}; 6; 2 |"),
        (14, f"| {MAX_PROTECTED:,} bytes |"),
        (14, f"| {MAX_RECIPIENTS}; 8 |"),
        (14, f"| {EnclaveLimits().sessions:,}; {EnclaveLimits().sessions_per_sender}, by configuration |"),
        (14, f"the last {EnclaveLimits().cached_replies:,}, and {EnclaveLimits().cached_reply_bytes >> 20} MiB"),
        (14, f"open challenges of an agent | {MAX_OPEN_CHALLENGES} |"),
        (14, f"of all sessions of an enclave | {MAX_STATE_BYTES >> 20} MiB; {MAX_CARRIED_BYTES >> 20} MiB |"),
        (14, f"| {MAX_STATUS:,} bytes |"),
        (13, f"differ by {CLOCK_SKEW} s"),
        (13, f"policy's lease; {AppraisalPolicy().lease_seconds} s by default"),
        (13, f"{AppraisalPolicy().challenge_seconds} s by default"),
        (9, f"at most {WINDOW - 1} below the highest"),
        (9, f"up to 2^{(MAX_SEQUENCE + 1).bit_length() - 1} - 1"),
        (2, f'`"{DOMAIN}"` is the first element'),
    ],
)
def test_its_numbers_are_those_of_the_code(number: int, said: str) -> None:
    assert said in section(number)


def test_limits_that_are_said_once_are_one() -> None:
    assert MAX_TOKEN == MAX_QUOTE
    assert MAX_DOCUMENT == MAX_HCL_REPORT


def test_a_session_lasts_a_day_at_most() -> None:
    assert MAX_SESSION_SECONDS == 24 * 3600
    assert "at most a day" in section(13)
