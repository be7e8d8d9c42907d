"""What is fuzzed: functions of bytes alone, evidence of every kind, every party's topics, and what stands inside seals.

The invariant: whatever the bytes, it parses or raises a RemoteError, and nothing else, within `tests.fuzz.bounds`.
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

from protocol.cose import NO_BASE_IV, AeadKey, parse_sign1_untrusted, seal0
from protocol.delivery import decrypt_chunks_untrusted, open_index_untrusted
from protocol.errors import RemoteError
from protocol.messages import decode_message_untrusted, digest, encode_message, message_aad
from protocol.trust import Trust
from schemas.kinds import Kind
from schemas.model import ChunkIndex, Manifest
from tests.attacks.test_every_party_refuses_bad_input import PARTIES, Everybody
from tests.attacks.test_every_party_survives_malicious_peers import Peers, check_alive
from tests.fuzz.bounds import MAX_BYTES, bounded
from tests.fuzz.sayings import ALL
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.exhibits import EXHIBITS
from verifier.corim import read_corim_untrusted

_CORIM = "verifier.corim.read_corim_untrusted"

ROOMS = ("schemas", "protocol", "storage", "broker", "edge_agent", "verifier", "publisher", "sealedge", "guests")
NOW = 1_800_000_000.0
SEEDS = [b"\xa0", b"{}", b"\x84\x40\xa0\x40\x40", bytes(64)]


@dataclass(frozen=True)
class Target:
    """Something that takes bytes: seeds to begin with, and what is done with each input.

    The first `head` bytes of an input choose where the others are put.
    """

    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], None]
    head: int = 0

    @property
    def inputs(self) -> list[bytes]:
        """The seeds that are no larger than what is fuzzed."""
        return [each for each in self.seeds() if len(each) <= MAX_BYTES]


def modules(without: tuple[str, ...] = ()) -> Iterator[ModuleType]:
    """Every module of the rooms, but for the programs' own entries, and what is below these packages."""
    for room in ROOMS:
        package = importlib.import_module(room)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not found.name.endswith("__main__") and not found.name.startswith(without):
                yield importlib.import_module(found.name)


@cache
def untrusted(without: tuple[str, ...] = ()) -> dict[str, FunctionType]:
    """All functions and methods that touch bytes from the network, by MODULE.QUALIFIED_NAME."""
    found = {}
    for module in modules(without):
        members = [*vars(module).values()]
        members += [each for held in members if inspect.isclass(held) for each in vars(held).values()]
        for each in members:
            function = getattr(each, "__func__", each)
            if isinstance(function, FunctionType) and function.__name__.endswith("_untrusted"):
                found[f"{function.__module__}.{function.__qualname__}"] = function
    return {name: function for name, function in found.items() if function.__module__.split(".")[0] in ROOMS}


_WITH_THREADS = ("publisher.compiler", "guests")
"""They import libraries that start threads, after which no process forks well. The compiler has bounds of its own."""


@cache
def names() -> tuple[str, ...]:
    """Of all targets: `bytes:` functions, `evidence:` kinds, `party:` topics, `peer:` and `sealed:` plaintexts."""
    functions = [name for name, function in untrusted(_WITH_THREADS).items() if _takes_bytes(function)]
    kinds = {"bytes": (*functions, _CORIM), "evidence": EXHIBITS, "party": PARTIES, "peer": ALL, "sealed": SEALED}
    return tuple(f"{kind}:{what}" for kind, each in kinds.items() for what in each)


@cache
def target(name: str) -> Target:
    """One of them. Imports no more than it needs."""
    kind, _, what = name.partition(":")
    if kind == "bytes":
        return _of_bytes(what)
    if kind == "evidence":
        return _of_evidence(what)
    if kind == "party":
        return Target(partial(_said_to, what), partial(_hears, what), head=1)
    return Target(partial(_honest, what), partial(_says, what)) if kind == "peer" else SEALED[what]


def _takes_bytes(function: FunctionType) -> bool:
    """Public, since what calls a private one may have looked at the bytes before."""
    needed = _needed(function)
    public = "." not in function.__qualname__ and not function.__name__.startswith("_")
    return public and "bytes" in needed and set(needed) <= {"bytes", "str", "float", "Trust"}


def _needed(function: FunctionType) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [_name(each.annotation) for each in parameters if each.default is inspect.Parameter.empty]


def _name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _of_bytes(name: str) -> Target:
    if name == _CORIM:
        return Target(lambda: [*SEEDS, b"\xd9\x01\xf5\xa0"], _reads_corim)
    module, _, attribute = name.rpartition(".")
    function: FunctionType = getattr(importlib.import_module(module), attribute)
    needed = _needed(function)

    def run(data: bytes) -> None:
        given = {"bytes": data, "str": "scan", "float": NOW, "Trust": _trust() if "Trust" in needed else None}
        with bounded(), suppress(RemoteError):
            function(*(given[each] for each in needed))

    evidence = function.__module__.startswith("verifier.evidence") or "operations" in function.__module__
    return Target(_exhibited if evidence else _documents, run)


def _reads_corim(data: bytes) -> None:
    with bounded(), suppress(RemoteError):
        read_corim_untrusted(data, "values.corim", None)


@cache
def _exhibited() -> list[bytes]:
    """Every part of the evidence of every kind, once."""
    parts = [part for make in EXHIBITS.values() for part in make().parts.values()]
    return [*SEEDS, *dict.fromkeys(parts)]


@cache
def _documents() -> list[bytes]:
    """What a fleet says: the last message on each topic but for chunks."""
    said = {each.topic: each.payload for each in _everybody().world.published if "/chunk/" not in each.topic}
    return [*SEEDS, *filter(None, said.values())]


# Evidence of every kind: one part of it is another.


def _of_evidence(kind: str) -> Target:
    @cache
    def parts() -> list[tuple[str, bytes]]:
        return [(name, content) for name, content in EXHIBITS[kind]().parts.items()]

    @cache
    def exhibit() -> Exhibit:
        return EXHIBITS[kind]()

    def run(data: bytes) -> None:
        name, _ = parts()[(data or b"\0")[0] % len(parts())]
        bent = exhibit().with_part(name, data[1:])
        with bounded(), suppress(RemoteError):
            bent.appraise()

    return Target(lambda: [bytes([place]) + content for place, (_, content) in enumerate(parts())], run, head=1)


# What anybody can say to a party.


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
    with bounded():
        everybody.say(name, replace(said, payload=data[1:], retain=False))


# What peers with good keys can say.

_peers: list[Peers] = []


def _fleet() -> Peers:
    if not _peers:
        _peers.append(Peers())
    return _peers[0]


def _honest(what: str) -> list[bytes]:
    return [ALL[what](_fleet()).plaintext]


def _says(what: str, plaintext: bytes) -> None:
    """The fleet begins anew after what it took."""
    peers = _fleet()
    said, now = ALL[what](peers), peers.world.broker.now
    party, delivery = peers.party(said.to), said.delivery(plaintext)
    with bounded():
        events = party.receive(delivery, now)
        later = party.expire(now + 2)
    if not any(getattr(event, "what", "") == "refused" for event in events):
        _peers.clear()
    check_alive(party, [*events, *later], now)


# What a publisher sealed, once the content key is known: the index of a model's chunks, and a chunk.

_KEY = bytes(range(32))


@cache
def _manifest() -> Manifest:
    everybody = _everybody()
    document = everybody.genuine(everybody.world.topics.manifest("scan")).payload
    return decode_message_untrusted(Manifest, parse_sign1_untrusted(document).payload)


def _sealed(kind: Kind, plaintext: bytes, version: int) -> bytes:
    aad = message_aad(kind, f"{_manifest().fleet}/scan", b"", "", version.to_bytes(8, "big"))
    return seal0(AeadKey(_KEY, NO_BASE_IV), plaintext, typ=str(kind), kid=b"", partial_iv=0, external_aad=aad)


def _index() -> list[bytes]:
    return [encode_message(ChunkIndex(keys=(_KEY, bytes(32))))]


def _opens_index(data: bytes) -> None:
    sealed = _sealed(Kind.INDEX, data, _manifest().version)
    manifest = _manifest().model_copy(update={"index": sealed})
    with bounded(), suppress(RemoteError):
        open_index_untrusted(manifest, _KEY)


def _chunk() -> list[bytes]:
    return [b"\0asm\1\0\0\0"]


def _opens_chunk(data: bytes) -> None:
    """Sealed once in order; and once as it stands, under the name that it has."""
    for payload in (_sealed(Kind.CHUNK, data, 0), data):
        about = {"chunks": (digest(payload),), "size": max(1, len(data)), "digest": digest(data)}
        manifest = _manifest().model_copy(update=about)
        with bounded(), suppress(RemoteError):
            decrypt_chunks_untrusted(manifest, ChunkIndex(keys=(_KEY,)), [payload])


SEALED = {"index": Target(_index, _opens_index), "chunk": Target(_chunk, _opens_chunk)}
