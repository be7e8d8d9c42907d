"""What a soak found, as JSON and as docs/soak.md: the page is written from the JSON alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any, Final

from edge_agent.enclave.configuration import EnclaveLimits
from sealedge.client.consumer import SEEN
from soak.growth import Sample
from soak.growth import shown as growth_shown
from soak.run import Plan
from soak.watch import PARTIES, Outcome
from soak.wounds import shown as wounds_shown
from soak.wounds import times

WARM_UP: Final = 1 / 3
"""The share of the quiet time that memory is given before its growth is measured."""

SHOWN_SAMPLES: Final = 120
"""Of each party in the JSON, evenly spaced."""

Found = Mapping[str, Any]

WORDS: Final = """\
Written by `make soak`, together with [soak.json](soak.json), which has the same figures and samples over time.
Verifier, publisher, agent with its enclave, two sensors and a consumer ran as processes of the command line over a
mosquitto as `sealedge init --tls` configures it: TLS, client certificates, ACL. Agent, enclave, verifier, publisher and
broker were killed in turn (`kill -9`), and started again a second later; the enclave by its agent. One sensor kept a
session, the other sealed each reading by itself; leases lasted a minute.
"""

ENDS_WORDS: Final = """\
No two readings have one output. Each answer is compared with the model's output computed in the clear by
`sealedge run`, to the last bit, at its sensor and at the consumer. One reading of 25 holds an infinity, which the model
must refuse: `input-invalid`. The exit status is 1 if anything is doubled, lost in silence or wrong, or somebody did not
come back.
"""

WOUNDS_WORDS: Final = """\
Seconds from the kill, that second included. *There again*: the party has connected (the enclave: its agent has started
another; the broker: its port is open). *Answers*: every sensor has an answer to a reading that it was given after the
kill.
"""

GROWTH_WORDS: Final = f"""\
Anonymous memory (what no file stands behind) in the time after the kills, without its first third: its beginning and
end, and a line by least squares with its standard error. Descriptors and threads: at the beginning and the end of the
same time, and the most in the whole run. The enclave's row is that of its process and of the one that compiles.

What is kept so that nothing is done twice takes room first, and is bounded: in the enclave
{EnclaveLimits().cached_replies:,} answers of a session, and of a sender's one-shots; at the consumer {SEEN:,} results.
Sensors and consumer remember the last 256 attestation results that came with results.
"""

NOTHING: Final = "none"


def found(outcome: Outcome, plan: Plan, about: Found) -> dict[str, Any]:
    """Everything for JSON. `about`: the machine, the command, and what else is to be said of the run."""
    ledger, quiet = outcome.ledger, outcome.quiet_from
    warm_from = quiet + WARM_UP * (outcome.fed_until - quiet)
    return {
        **about,
        "seconds": round(outcome.fed_until - outcome.began, 1),
        "kill_seconds": round(quiet - outcome.began, 1),
        "plan": asdict(plan),
        "load_average": {"median": round(median(outcome.loads), 2), "highest": round(max(outcome.loads), 2)},
        "requests": {
            "sent": ledger.sent,
            "answered": ledger.answered,
            "refused": dict(ledger.refused.most_common()),
            "timed_out": dict(ledger.timed_out.most_common()),
            "doubled": ledger.doubled,
            "lost_in_silence": ledger.lost,
            "answered_wrongly": ledger.wrong,
            "seconds_to_end": times(outcome.waits),
        },
        "consumer": {
            "received": ledger.received,
            "missing": ledger.not_received,
            "told_missing": outcome.told_missing,
            "of_requests_that_ended_otherwise": ledger.unasked,
        },
        "kills": wounds_shown(outcome.wounds),
        "parties": {name: growth_shown(outcome.samples[name], warm_from) for name in PARTIES},
        "ended_by_themselves": dict(outcome.ended_by_themselves),
        "had_to_be_killed_at_the_end": list(outcome.left_running),
        "told": {party: dict(sorted(told.items())) for party, told in sorted(outcome.told.items())},
        "faults": ledger.faults,
        "samples": {name: _samples(outcome.samples[name], outcome.began) for name in PARTIES},
    }


def holds(found: Found) -> bool:
    """Whether nothing happened that must not: this is the exit status."""
    requests, consumer = found["requests"], found["consumer"]
    in_silence = requests["lost_in_silence"] or consumer["missing"] > consumer["told_missing"]
    bad = requests["doubled"] or requests["answered_wrongly"] or in_silence or requests["answered"] == 0
    return not bad and not any(row["not_recovered"] for row in found["kills"])


def page(found: Found) -> str:
    """docs/soak.md."""
    parts = ["# A soak", "", WORDS, *_machine(found), "## How requests ended", "", ENDS_WORDS, *_ends(found)]
    parts += ["", "## Kills", "", WOUNDS_WORDS, *_wounds(found["kills"]), ""]
    parts += ["## Memory, descriptors, threads", "", GROWTH_WORDS, *_growth(found["parties"]), ""]
    return "\n".join(parts)


def _machine(found: Found) -> Iterator[str]:
    load, peace = found["load_average"], found["seconds"] - found["kill_seconds"]
    about = {
        "command": f"`{found['command']}`",
        "ran": f"{found['seconds']:.0f} s, the last {peace:.0f} s without kills; begun {found['begun']}",
        "load": ", ".join(f"{rate:.1f} readings/s at {name}" for name, rate in found["plan"]["rates"].items()),
        "load average": f"median {load['median']:g}, highest {load['highest']:g}",
        "besides": found["note"],
        **found["machine"],
    }
    yield from ("| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in about.items() if value), "")


def _ends(found: Found) -> Iterator[str]:
    requests, consumer = found["requests"], found["consumer"]
    rows = {
        "sent": requests["sent"],
        "answered": requests["answered"],
        **{f"refused: {reason}": count for reason, count in requests["refused"].items()},
        **({f"timed out: {reason}": count for reason, count in requests["timed_out"].items()} or {"timed out": 0}),
        "doubled": requests["doubled"],
        "lost in silence": requests["lost_in_silence"],
        "answered wrongly": requests["answered_wrongly"],
        "received by the consumer": consumer["received"],
        "answered, and missing at the consumer": consumer["missing"],
        "of these, told as missing": consumer["told_missing"],
        "processes that ended by themselves": sum(found["ended_by_themselves"].values()),
    }
    yield from ("| | |", "|---|---:|", *(f"| {name} | {count} |" for name, count in rows.items()), "")
    wait = requests["seconds_to_end"]
    yield f"From a reading to its end: {wait['median_seconds']} s (median), {wait['longest_seconds']} s at most."


def _wounds(rows: Sequence[Found]) -> Iterator[str]:
    yield "| killed | times | there again, median | longest | answers, median | longest | not recovered |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        times = (
            row[what][which] for what in ("back", "answered_again") for which in ("median_seconds", "longest_seconds")
        )
        cells = (row["victim"], row["kills"], *(NOTHING if each is None else f"{each:.2f}" for each in times))
        yield f"| {' | '.join(map(str, cells))} | {row['not_recovered']} |"


def _growth(parties: Mapping[str, Found]) -> Iterator[str]:
    yield "| | MB | growth, MB an hour | descriptors | most | threads | most |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, row in parties.items():
        memory = row["memory"]
        size, slope = NOTHING, NOTHING
        if memory is not None:
            size = f"{memory['first_megabytes']:.1f} to {memory['last_megabytes']:.1f}"
            slope = f"{memory['megabytes_an_hour']:.1f} ± {memory['standard_error']:.1f}"
        counts = (cell for what in ("descriptors", "threads") for cell in _course(row[what]))
        yield f"| {' | '.join((name, size, slope, *counts))} |"


def _course(row: Found) -> tuple[str, str]:
    if row["last"] is None:
        return NOTHING, NOTHING
    return f"{row['first_warm']} to {row['last']}", str(row["highest"])


def _samples(samples: Sequence[Sample], began: float) -> list[list[float]]:
    """[seconds since the first reading, megabytes, descriptors, threads]."""
    step = max(1, -(-len(samples) // SHOWN_SAMPLES))
    return [
        [round(each.at - began, 1), round(each.memory / 1e6, 2), each.descriptors, each.threads]
        for each in samples[::step]
    ]
