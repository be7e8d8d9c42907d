"""A malicious publisher's module: it loops, grows, shouts, spies and reaches out (P11).

One module does all of it, as the first byte of its input says. Each time an honest reading is asked for afterwards.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from protocol.errors import TransportError
from sealedge.client.events import Answered, RequestRefused
from sealedge.operations.attacks.scenario import Attack, Attacker, Scenario, Verdict, judged
from sealedge.operations.attacks.stage import Stage, found_in
from sealedge.operations.attacks.targets import modules
from sealedge.operations.attacks.targets.sealed import LIMITS, Sealed
from sealedge.operations.attacks.targets.usual import Usual
from sealedge.operations.attacks.targets.usual_agent import REQUEST

FAMILY: Final = "hostile modules"
PAGE: Final = 65_536
HANG_SECONDS: Final = 2.0

Told = Callable[[bytes, bytes], bool]
"""Whether what a module answered (second) to a command, after an honest reading (first), is what it wanted."""


@contextmanager
def _published(target: Usual | Sealed, stage: Stage) -> Iterator[None]:
    """The module is published, and afterwards the honest one."""
    if isinstance(target, Usual):
        target.publish(modules.hostile())
    else:
        target.update(modules.hostile())
    try:
        yield
    finally:
        if isinstance(target, Usual):
            target.publish(stage.module)
        else:
            target.update(stage.new_module())


def _before(command: int, wanted: Told) -> Attack:
    """The usual agent runs the module; what it was asked for afterwards is answered, or not."""

    def attack(stage: Stage) -> Verdict:
        usual, honest = stage.usual, stage.reading()
        with _published(usual, stage):
            usual.output(honest)
            answer = usual.ask(_command(command), HANG_SECONDS) or {}
            won = wanted(honest, bytes.fromhex(answer.get("result", "")))
        return judged(won, "the module got what it wanted", "trap" if "error" in answer else "check")

    return attack


def _now(command: int, wanted: Told, kept_by: str = "") -> Attack:
    """The enclave runs the module. `kept_by` names what keeps it from its aim where it is answered all the same."""

    def attack(stage: Stage) -> Verdict:
        fleet, honest = stage.sealed, stage.reading()
        with _published(fleet, stage):
            before = fleet.output(honest)
            ended = fleet.ask(_command(command))
            after = fleet.output(honest)
        if isinstance(ended, RequestRefused):
            return judged(after != before, "others were not served afterwards", str(ended.refusal.reason))
        answer = ended.output if isinstance(ended, Answered) else None
        won = answer is None or after != before or wanted(honest, answer)
        return judged(won, "the module got what it wanted", kept_by)

    return attack


def _command(command: int) -> bytes:
    return bytes([command]) + bytes(31)


def _grown(_honest: bytes, answer: bytes) -> bool:
    return int.from_bytes(answer, "little") * PAGE > LIMITS.memory_bytes


def _too_long(_honest: bytes, answer: bytes) -> bool:
    return len(answer) > LIMITS.output_bytes


def _spied(honest: bytes, answer: bytes) -> bool:
    return found_in(answer, honest) > 0


def _never(_honest: bytes, _answer: bytes) -> bool:
    return False


def _endless_before(stage: Stage) -> Verdict:
    """One request that never ends: nobody is answered any more, until somebody restarts the agent."""
    usual = stage.usual
    usual.publish(modules.hostile())
    usual.ask(_command(modules.ENDLESS), 0.2)
    answered = usual.ask(stage.reading(), HANG_SECONDS)
    usual.stop_agent(kill=True)
    # The broker would deliver the request again, and again nobody would be answered.
    with stage.broker.bending(
        lambda client, each: [] if (client, each.topic) == (usual.agent_client, REQUEST) else None
    ):
        usual.start_agent()
        usual.publish(stage.module)
    return judged(answered is None, "nobody is answered any more", "check")


def _loud_before(stage: Stage) -> Verdict:
    usual = stage.usual
    with _published(usual, stage):
        usual.ask(_command(modules.LOUD), 10.0)
        written = usual.log.stat().st_size
    return judged(written >= modules.LOG_BYTES, f"{written} bytes written to the device's disk", "check")


def _loud_now(stage: Stage) -> Verdict:
    """All that leaves the enclave for one request: what is said on the bus, and the agent's files."""
    fleet = stage.sealed
    with _published(fleet, stage):
        fleet.output(stage.reading())
        mark, kept = stage.broker.mark(), _size(fleet)
        ended = fleet.ask(_command(modules.LOUD))
        written = len(fleet.heard(mark)) + _size(fleet) - kept
        served = fleet.output(stage.reading()) is not None
    said = f"{written} bytes left the enclave"
    by = "bounded-log" if ended is not None and served else None
    return judged(written >= modules.LOG_BYTES // 16, said, by, said)


def _size(fleet: Sealed) -> int:
    files = [each for each in fleet.agent_folder.rglob("*") if each.is_file()]
    # What the host keeps of the enclave's own code, some seconds after its start, is no module's doing.
    return sum(each.stat().st_size for each in files if each.name != "bytecode")


def _import_before(stage: Stage) -> Verdict:
    usual = stage.usual
    wanted = modules.importing("host", "read_memory", "(param i32) (result i32)")
    about = usual.installed([usual.offer(wanted, usual.version + 1)], usual.publisher)
    usual.publish(stage.module, usual.version + 2)
    return judged("error" not in about, "the module was given a function of the host's", "link-error")


def _import_now(stage: Stage) -> Verdict:
    fleet = stage.sealed
    agent = fleet["agent"]
    mark = agent.mark()
    fleet.publish(modules.importing("host", "read_memory", "(param i32) (result i32)"))
    found = agent.wait(lambda event: getattr(event, "what", "") in {"enclave-refused", "model-loaded", "refused"}, mark)
    if found is None:
        raise TransportError("the enclave said nothing of the module")
    loaded = getattr(found, "what", "") == "model-loaded"
    why = str(getattr(found, "detail", {}).get("why", ""))
    fleet.update(stage.new_module())
    return judged(loaded, "the module was loaded", "model-invalid", why)


def _scenario(name: str, goal: str, before: Attack, now: Attack) -> Scenario:
    return Scenario(name, FAMILY, ("P11",), Attacker.PUBLISHER, goal, before, now)


SCENARIOS: Final = (
    _scenario("endless-loop", "keep the agent from serving others", _endless_before, _now(modules.ENDLESS, _never)),
    _scenario(
        "memory-bomb", "take more memory than it may", _before(modules.GREEDY, _grown), _now(modules.GREEDY, _grown)
    ),
    _scenario("stack-bomb", "crash the agent with depth", _before(modules.DEEP, _never), _now(modules.DEEP, _never)),
    _scenario(
        "output-bomb", "answer with more than it may", _before(modules.LONG, _too_long), _now(modules.LONG, _too_long)
    ),
    _scenario("log-bomb", "fill the device's disk", _loud_before, _loud_now),
    _scenario(
        "spy-on-last-sender",
        "read the reading before",
        _before(modules.SPYING, _spied),
        _now(modules.SPYING, _spied, "memory-put-back"),
    ),
    _scenario(
        "reach-outside", "write outside its memory", _before(modules.OUTSIDE, _never), _now(modules.OUTSIDE, _never)
    ),
    _scenario("import-from-host", "call a function of the host's", _import_before, _import_now),
)
