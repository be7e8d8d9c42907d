"""From a seed to a plan. A plan draws on some kinds of acts only: together they go deeper than all kinds at once."""

from dataclasses import replace
from random import Random
from typing import Final

from simulation.plan import TROUBLE_SECONDS, Act, Plan, Shape

_PEOPLE: Final = ("version", "version", "revoke", "revoke", "join", "leave", "skew")
_MACHINES: Final = ("crash", "crash", "crash", "enclave-crash", "disk-full", "lying-clock")
_NETWORK: Final = ("weather", "weather", "cut", "cut", "deaf", "broker-lost")
_OUTSIDERS: Final = (
    "replay",
    "replay",
    "resurrect",
    "resurrect",
    "clear",
    "splice",
    "splice",
    "recorrelate",
    "recorrelate",
    "swap-answers",
    "redirect",
    "misplace",
    "tamper",
    "hold",
    "withhold",
    "garbage",
)
_INSIDERS: Final = ("bent-terms", "bent-terms", "bent-request", "same-number", "stubborn", "wrong-kind", "forge")
_MACHINERY: Final = ("swap-evidence", "leaked-key-request", "leaked-key-request", "borrowed-enrolment")
_IMPOSTORS: Final = (
    "forged-result",
    "forged-list",
    "forged-manifest",
    "forged-challenge",
    "forged-grant",
    "forged-refusal",
)

GROUPS: Final = (_PEOPLE, _MACHINES, _NETWORK, _OUTSIDERS, _INSIDERS, _MACHINERY, _IMPOSTORS)

LEVELS: Final = ("attest", "challenge", "evidence", "result", "manifest", "chunk", "key", "inbox", "session", "request")
"""Topic levels whose messages are held back."""

_TOPICS_OF: Final = {
    "resurrect": ("manifest", "result", "revocations", "status"),
    "replay": ("", "", *LEVELS),
    "hold": (*LEVELS, "evidence", "key", "revocations"),
    "withhold": (*LEVELS, "evidence", "key", "revocations"),
}
"""Acts on one kind of message: which."""

REVOCABLE: Final = (
    "nothing",
    "nothing",
    "chip agent-1",
    "chip agent-2",
    "credential agent-1",
    "key sensor-1",
    "credential sensor-2",
    "credential consumer-1",
    "key sensor-mallory",
    "key sensor-mallory",
    "credential publisher-rogue",
    "model",
    "model",
    "measurement",
    "key verifier",
    "credential publisher",
)


def drawn(seed: int) -> Plan:
    """The plan of a seed."""
    random = Random(seed)
    shape = _shape(random)
    kinds = [kind for group in GROUPS for kind in group if random.random() < 0.3]
    acts = [_act(random, random.choice(kinds), shape) for _ in range(random.randint(3, 12))] if kinds else []
    acts += _companions(random, acts)
    acts += [Act(10.0 + random.random() * 60, "join", name) for name in shape.late]
    later = Random(f"{seed} later")
    shape = replace(shape, burst=later.choice((1, 1, 1, 4, 16)))
    acts += _afterthoughts(later, shape)
    readings = _readings(random, shape)
    acts = [_beside(random, act, readings) for act in acts] + readings + _overdue(random, shape)
    return Plan(seed, shape, tuple(sorted(acts, key=lambda act: act.at)))


def _shape(random: Random) -> Shape:
    agents, sensors, consumers = random.choice((1, 1, 2)), random.choice((1, 1, 2)), random.choice((0, 1, 2))
    late = tuple(
        name
        for name in (f"agent-{agents}", f"sensor-{sensors}", f"consumer-{consumers}", "verifier", "publisher")
        if random.random() < 0.1 and not name.endswith("-0")
    )
    stateful = random.random() < 0.25
    one_shot = not stateful and random.random() < 0.2
    return Shape(
        agents=agents,
        sensors=sensors,
        consumers=consumers,
        late=late,
        strict=random.choice(("verifier", "manifest", "sensor")) if random.random() < 0.09 else "",
        one_shot=one_shot,
        padded=random.random() < 0.2,
        stateful=stateful,
        keeps_models=random.random() < 0.3,
        return_result=random.random() < 0.7,
        lease_seconds=random.choice((30, 60, 60, 60, 300)),
        key_lease_seconds=random.choice((30, 60, 60, 300)),
        challenge_seconds=random.choice((10, 20)),
        key_request_seconds=random.choice((10, 20)),
        request_seconds=random.choice((20, 30, 50)),
        session_seconds=random.choice((20, 60, 3600)),
        retry_seconds=random.choice((2.0, 3.0, 5.0)),
        in_flight=random.choice((1, 4, 16)),
        # An enclave keeps as many one-shots as replies: with fewer it has no room for the honest ones.
        cached_replies=64 if one_shot else random.choice((1, 2, 64, 64, 64, 64)),
        list_seconds=80 if random.random() < 0.06 else 86_400,
    )


def _companions(random: Random, acts: list[Act]) -> list[Act]:
    """What an attacker would do then: bring back what was replaced, and go on with what was ended."""
    found = []
    for act in acts:
        at, number = act.at + random.random() * 15, random.getrandbits(30)
        if "mallory" in act.who:
            found.append(Act(max(0.0, act.at - 3), "stubborn", "", 40.0, number))
        elif act.who == "model":
            found.append(Act(act.at + 1.0, "leaked-key-request", "", number=number))
        elif random.random() < 0.5:
            continue
        elif act.kind == "version":
            found.append(Act(at, "resurrect", "manifest", number=number))
        elif act.kind == "revoke" and random.random() < 0.3:
            found.append(Act(at, "resurrect", "revocations", number=number))
        elif act.kind == "skew":
            found.append(Act(at, "crash", act.who, 1.0, number))
        elif act.kind in {"revoke", "cut", "crash"}:
            found.append(Act(max(0.0, act.at - 3), "stubborn", "", 40.0, number))
    return found


def _overdue(random: Random, shape: Shape) -> list[Act]:
    """What comes right behind its time, and evidence that comes again to a verifier that started anew meanwhile."""
    at, number = random.random() * TROUBLE_SECONDS * 0.7, random.getrandbits(30)
    found = (
        Act(at, "hold", "evidence", shape.challenge_seconds + 3.0, number),
        Act(at, "hold", "key", shape.key_request_seconds + 3.0, number),
        Act(at, "crash", "verifier", 1.0, 3 + 6 * number),
    )
    return [act for act in found if random.random() < 0.08]


def _afterthoughts(random: Random, shape: Shape) -> list[Act]:
    """Drawn apart from all else: a seed that is remembered for what it shows goes on showing it."""
    found = []
    if random.random() < 0.12:
        who = random.choice(("verifier", "publisher", "publisher", f"sensor-{random.randint(1, shape.sensors)}"))
        at = random.random() * TROUBLE_SECONDS * 0.8
        found.append(Act(at, "rekey", who, random.choice((1.0, 5.0, 20.0)), random.getrandbits(30)))
        found.append(Act(at + random.random() * 10, "retired-key", "", number=random.getrandbits(30)))
    if shape.burst > 1 and random.random() < 0.5:
        found.append(Act(random.random() * TROUBLE_SECONDS, "flurry", "", number=random.getrandbits(30)))
    for kind, who in (("slow", "publisher"), ("lapse", random.choice(("verifier", "publisher")))):
        if random.random() < 0.1:
            at, seconds = random.random() * TROUBLE_SECONDS * 0.5, random.choice((5.0, 20.0, 40.0))
            found.append(Act(at, kind, who, seconds, random.getrandbits(30)))
    return found


def _beside(random: Random, act: Act, readings: list[Act]) -> Act:
    """Some crashes come right before a reading: then its answer is the first that is not acknowledged."""
    if act.kind != "crash" or not act.who.startswith(("sensor", "consumer")) or random.random() < 0.5:
        return act
    own = [each for each in readings if each.who == act.who] or readings
    before_acknowledging = act.number - act.number % 3 + 1
    return replace(act, at=max(0.0, random.choice(own).at - 0.001), number=before_acknowledging)


def _readings(random: Random, shape: Shape) -> list[Act]:
    """Bursts, and single ones between them."""
    found = []
    for _ in range(random.randint(2, 6)):
        at, sensor = random.random() * TROUBLE_SECONDS, f"sensor-{random.randint(1, shape.sensors)}"
        for number in range(random.choice((1, 2, 5))):
            found.append(Act(at + number * random.choice((0.0, 0.5)), "reading", sensor, number=random.getrandbits(30)))
    return found


def _act(random: Random, kind: str, shape: Shape) -> Act:
    at, seconds = random.random() * (TROUBLE_SECONDS - 5), random.choice((1.0, 5.0, 20.0, 50.0))
    who = _who(random, kind, shape)
    if who in {"verifier", "publisher"} and random.random() < 0.5:
        # Long enough for leases to end.
        at, seconds = at / 3, 80.0
    return Act(at, kind, who, seconds, random.getrandbits(30))


def _who(random: Random, kind: str, shape: Shape) -> str:
    agent = f"agent-{random.randint(1, shape.agents)}"
    parties = ["verifier", "publisher", agent, agent, f"sensor-{random.randint(1, shape.sensors)}"]
    parties += [f"consumer-{random.randint(1, shape.consumers)}"] if shape.consumers else []
    if kind in {"enclave-crash", "lying-clock"}:
        return agent
    if kind == "revoke":
        there = [each for each in REVOCABLE if _is_there(each, shape)]
        return random.choice(there)
    if kind in _TOPICS_OF:
        return random.choice(_TOPICS_OF[kind])
    if kind == "deaf":
        return f"{random.choice(parties)} {random.choice(('revocations', 'result', 'manifest', 'status', 'inbox'))}"
    return random.choice(parties)


def _is_there(revocable: str, shape: Shape) -> bool:
    name = revocable.rpartition(" ")[2]
    role, _, number = name.partition("-")
    counts = {"agent": shape.agents, "sensor": shape.sensors, "consumer": shape.consumers}
    return not number.isdecimal() or int(number) <= counts[role]
