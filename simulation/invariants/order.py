"""Nothing goes back, over restarts neither; and the state of a model is its own session's."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from protocol.party import Noted
from sealedge.client.events import Answered, ResultReceived
from simulation.invariants.case import READING, Case
from simulation.ledger import Step
from simulation.module import STATE_BYTES


def never_back(case: Case) -> Iterable[str]:
    """Lists, sequence numbers, manifests and versions only ever rise, as far as a party can remember."""
    highest: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for step in case.ledger.steps:
        for name, value in _counted(step):
            if value < highest[name]:
                yield f"{' '.join(name)} went back from {highest[name]} to {value}"
            highest[name] = max(highest[name], value)
    sequences: defaultdict[str, int] = defaultdict(int)
    for shown in case.shown:
        agent, sequence = shown.result.agent, shown.result.sequence
        if sequence <= sequences[agent]:
            yield f"the verifier issued {agent}'s {sequence} after {sequences[agent]}"
        sequences[agent] = sequence


def _counted(step: Step) -> Iterator[tuple[tuple[str, ...], int]]:
    """Enclaves have no disk: what they remember ends with their agent's run, or with a crash in between."""
    lasting = (step.name,)
    if step.role != "agent":
        yield (*lasting, "list"), step.lists
    for event in step.events:
        if isinstance(event, Noted) and event.what == "manifest-accepted":
            yield (*lasting, "manifest"), int(str(event.detail["version"]))
        elif isinstance(event, Answered):
            yield (*lasting, "result"), event.version
        elif isinstance(event, ResultReceived):
            yield (*lasting, "result of", event.agent), event.version


def state(case: Case) -> Iterable[str]:
    """A request starts from zeros, or from what one earlier one of the same sensor left to it in the same enclave."""
    if not case.shape.stateful:
        return
    left: dict[bytes, tuple[bytes, str | None, bytes]] = {}
    begun: set[bytes] = set()
    for each in case.ledger.computations:
        data, before = each.data[:READING], each.data[READING:]
        sender = case.sensor_of.get(data)
        if len(before) != STATE_BYTES:
            yield "a module saw an input of another length than its manifest says"
        elif before.strip(b"\0") and left.get(before) != (each.boot.key, sender, each.module):
            yield "a request started from a state that was not its session's"
        elif before in begun:
            yield "two requests started from one state"
        if each.output is not None:
            begun |= {before} if before.strip(b"\0") else set()
            left[each.output[READING:]] = each.boot.key, sender, each.module
