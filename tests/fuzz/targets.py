"""What is fuzzed: functions of bytes alone, by introspection; every party's topics; what stands inside good seals.

The invariant: whatever the bytes, it parses or raises a RemoteError, and nothing else. Time and memory are bounded by
the fuzzer (`tests/fuzz/__main__.py`).
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from types import FunctionType, ModuleType
from typing import Any

from protocol.errors import RemoteError
from protocol.trust import Trust
from tests.attacks.test_every_party_refuses_bad_input import PARTIES, Everybody
from tests.attacks.test_every_party_survives_malicious_peers import SAYINGS, Peers, check_alive
from verifier.corim import read_corim_untrusted

ROOMS = ("schemas", "protocol", "storage", "broker", "edge_agent", "verifier", "publisher", "sealedge", "guests")
NOW = 1_800_000_000.0
SEEDS = [b"\xa0", b"{}", b"\x84\x40\xa0\x40\x40", bytes(64)]


@dataclass(frozen=True)
class Target:
    """Something that takes bytes: seeds to begin with, and what is done with each input."""

    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], None]


def modules() -> Iterator[ModuleType]:
    """Every module of the rooms, but for the programs' own entries."""
    for room in ROOMS:
        package = importlib.import_module(room)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


@cache
def untrusted() -> dict[str, FunctionType]:
    """All functions and methods that touch bytes from the network, by MODULE.QUALIFIED_NAME."""
    found = {}
    for module in modules():
        members = [*vars(module).values()]
        members += [each for held in members if inspect.isclass(held) for each in vars(held).values()]
        for each in members:
            function = getattr(each, "__func__", each)
            if isinstance(function, FunctionType) and function.__name__.endswith("_untrusted"):
                found[f"{function.__module__}.{function.__qualname__}"] = function
    return {name: function for name, function in found.items() if function.__module__.split(".")[0] in ROOMS}


def targets() -> dict[str, Target]:
    """All of them by name: `bytes:` functions, `party:` topics, `peer:` sayings."""
    found = {f"bytes:{name}": _of_bytes(function) for name, function in untrusted().items() if _takes_bytes(function)}
    found["bytes:verifier.corim.read_corim_untrusted"] = Target(lambda: SEEDS, _reads_corim)
    found |= {f"party:{name}": Target(partial(_said_to, name), partial(_hears, name)) for name in PARTIES}
    return found | {f"peer:{what}": Target(partial(_honest, what), partial(_says, what)) for what in SAYINGS}


def _takes_bytes(function: FunctionType) -> bool:
    """Public, since what calls a private one may have looked at the bytes before; the compiler has its own bounds."""
    needed = _needed(function)
    public = "." not in function.__qualname__ and not function.__name__.startswith("_")
    compiler = function.__module__.startswith("publisher.compiler")
    return public and not compiler and "bytes" in needed and set(needed) <= {"bytes", "str", "float", "Trust"}


def _needed(function: FunctionType) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [_name(each.annotation) for each in parameters if each.default is inspect.Parameter.empty]


def _name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _of_bytes(function: FunctionType) -> Target:
    needed = _needed(function)

    def run(data: bytes) -> None:
        given = {"bytes": data, "str": "scan", "float": NOW, "Trust": _trust() if "Trust" in needed else None}
        with suppress(RemoteError):
            function(*(given[each] for each in needed))

    return Target(lambda: SEEDS, run)


def _reads_corim(data: bytes) -> None:
    with suppress(RemoteError):
        read_corim_untrusted(data, "values.corim", None)


@cache
def _everybody() -> Everybody:
    return Everybody()


def _trust() -> Trust:
    trust: Trust = _everybody().party("sensor-sensor-1").trust
    return trust


def _said_to(name: str) -> list[bytes]:
    everybody = _everybody()
    return [bytes([number]) + everybody.genuine(topic).payload for number, topic in enumerate(everybody.topics(name))]


def _hears(name: str, data: bytes) -> None:
    """The first byte chooses the topic, the others are the payload."""
    everybody = _everybody()
    topics = everybody.topics(name)
    said = everybody.genuine(topics[(data or b"\0")[0] % len(topics)])
    everybody.say(name, replace(said, payload=data[1:], retain=False))


_peers: list[Peers] = []


def _fleet() -> Peers:
    if not _peers:
        _peers.append(Peers())
    return _peers[0]


def _honest(what: str) -> list[bytes]:
    return [SAYINGS[what](_fleet()).plaintext]


def _says(what: str, plaintext: bytes) -> None:
    """The fleet begins anew after what it took."""
    peers = _fleet()
    said, now = SAYINGS[what](peers), peers.world.broker.now
    party = peers.party(said.to)
    events = party.receive(said.delivery(plaintext), now)
    if not any(getattr(event, "what", "") == "refused" for event in events):
        _peers.clear()
    check_alive(party, [*events, *party.expire(now + 2)], now)
