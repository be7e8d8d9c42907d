"""The ACL of a fleet lets each party do its part, and nothing else."""

import pytest

from broker.acl import Member, acl_file, rights_of
from broker.mosquitto import configuration
from broker.topic_filter import is_valid_filter, matches
from protocol.errors import ConfigurationError
from schemas.kinds import Role
from schemas.topics import FleetTopics

TOPICS = FleetTopics("farm")
A1, S1, S2, C1, V1, P1 = (
    Member(f"{role}-{name}", role, name)
    for role, name in [
        ("agent", "a1"),
        ("sensor", "s1"),
        ("sensor", "s2"),
        ("consumer", "c1"),
        ("verifier", "v1"),
        ("publisher", "p1"),
    ]
)
OPERATOR = Member("operator-operator", "operator", "operator")


def hears(member: Member, topic: str) -> bool:
    return any(matches(each, topic) for each in rights_of(TOPICS, member).hears)


def says(member: Member, topic: str) -> bool:
    return any(matches(each, topic) for each in rights_of(TOPICS, member).says)


@pytest.mark.parametrize(
    ("topic", "speakers", "hearers"),
    [
        (TOPICS.attest("a1"), {A1}, {V1}),
        (TOPICS.challenge("a1"), {V1}, {A1}),
        (TOPICS.evidence("a1"), {A1}, {V1}),
        (TOPICS.result("a1"), {V1}, {A1, S1, S2, C1, P1}),
        (TOPICS.session("a1"), {S1, S2}, {A1}),
        (TOPICS.request("a1"), {S1, S2}, {A1}),
        (TOPICS.inbox(Role.SENSOR, "s1"), {A1}, {S1}),
        (TOPICS.inbox(Role.CONSUMER, "c1"), {A1}, {C1}),
        (TOPICS.inbox(Role.AGENT, "a1"), {V1, P1}, {A1}),
        (TOPICS.manifest("m"), {P1}, {A1, S1, S2, C1}),
        (TOPICS.chunk("m", bytes(32)), {P1}, {A1}),
        (TOPICS.key("m"), {A1}, {P1}),
        (TOPICS.results("m"), {A1}, {C1}),
        (TOPICS.revocations, {V1}, {A1, S1, S2, C1, V1, P1}),
        (TOPICS.status(Role.AGENT, "a1"), {A1}, {S1, S2, C1}),
        (TOPICS.status(Role.SENSOR, "s1"), {S1}, set()),
    ],
)
def test_who_says_and_hears_what(topic: str, speakers: set[Member], hearers: set[Member]) -> None:
    members = [A1, S1, S2, C1, V1, P1, OPERATOR]
    assert {member for member in members if says(member, topic)} == speakers
    assert {member for member in members if hears(member, topic)} == hearers | {OPERATOR}


@pytest.mark.parametrize("member", [A1, S1, C1, V1, P1, OPERATOR])
def test_nobody_reaches_another_fleet_or_the_brokers_own_topics(member: Member) -> None:
    for topic in (FleetTopics("other").request("a1"), FleetTopics("other").revocations, "$SYS/broker/uptime", "x"):
        assert not hears(member, topic)
        assert not says(member, topic)


def test_every_line_is_one_that_mosquitto_knows() -> None:
    text = acl_file("farm", [A1, S1, OPERATOR])
    users = []
    for line in filter(None, text.split("\n")):
        word, _, rest = line.partition(" ")
        if word == "user":
            users.append(rest)
        elif word == "topic":
            kind, _, topic_filter = rest.partition(" ")
            assert kind in ("read", "write")
            assert is_valid_filter(topic_filter)
            assert topic_filter.startswith("sealedge/v1/farm/")
        else:
            assert line.startswith("#")
    assert users == ["agent-a1", "sensor-s1", "operator-operator"]


@pytest.mark.parametrize("bad", ["", "+", "a/b", "a b", "a\nuser b", "#", "a" * 65, "-a"])
def test_names_that_would_change_a_line_are_refused(bad: str) -> None:
    for fleet, member in [("farm", Member(bad, "agent", "a")), ("farm", Member("a", "agent", bad)), (bad, A1)]:
        with pytest.raises(ConfigurationError):
            acl_file(fleet, [member])


def test_a_role_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no role"):
        acl_file("farm", [Member("a", "admin", "a")])


@pytest.mark.parametrize("accounts", ["certificates", "passwords"])
def test_the_plain_files_are_ready_for_the_container_and_can_be_moved(accounts: str) -> None:
    plain = configuration(accounts)  # type: ignore[arg-type]
    assert "\nlistener 8883\n" in plain
    assert "\nacl_file /mosquitto/config/acl\n" in plain
    assert "allow_anonymous false" in plain
    moved = configuration(accounts, config_folder="/c", data_folder="/d", listener="1 ::1")  # type: ignore[arg-type]
    assert "/mosquitto/" not in moved
    assert "\nlistener 1 ::1\n" in moved
    assert "\npersistence_location /d/\n" in moved
