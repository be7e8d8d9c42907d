"""schemas/messages.cddl as a judge: of whole publications by their topic, of single structures by a rule's name."""

import base64
import functools
import importlib
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest

CDDL = Path(__file__).parents[2] / "schemas" / "messages.cddl"
TEXT = CDDL.read_text("utf-8")
_TOPIC_ROW = re.compile(r"^;   ((?:[a-z]+|ROLE)(?:/\w+)*) +(R?) +[a-z, ]+? +([a-z-]+)$", re.MULTILINE)
_LEVELS = {"ROLE": "(?:verifier|publisher|agent|sensor|consumer)", "DIGEST": "[0-9a-f]{64}"}
_NAME = "[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"


class GrammarError(AssertionError):
    """The bytes are not what the grammar says."""


@functools.cache
def validator() -> Any:
    """The CDDL tool, set up once. It validates `.cbor` and generics; a tool that does not is no judge."""
    tool = pytest.importorskip("cddl_verifier", reason="cddl-verifier is not installed: the grammar is not tested")
    logging.getLogger("cddl_verifier").setLevel(logging.CRITICAL)  # every fault, also of those that a test expects
    return tool.Validator(CDDL)


def faults(rule: str, data: bytes) -> list[str]:
    """What is wrong with `data` as an instance of `rule`; empty where it is one."""
    result = validator().validate(data, root_type=rule)
    return [] if result.valid else [f"{each.path_text}: {each.message}" for each in result.diagnostics]


def check(rule: str, data: bytes) -> None:
    """Raises `GrammarError` unless `data` is an instance of `rule`."""
    found = faults(rule, data)
    if found:
        raise GrammarError(f"not a {rule}: {'; '.join(found)[:600]}")


def rules() -> list[str]:
    """The names of all rules without parameters."""
    return re.findall(r"^([a-z][a-z0-9-]*) += ", TEXT, re.MULTILINE)


def keys_of(rule: str) -> dict[int, bool]:
    """The integer keys of a map rule, and whether each must be there."""
    body = re.search(rf"^{re.escape(rule)} = \{{(.*?)^\}}", TEXT, re.MULTILINE | re.DOTALL)
    entries = re.findall(r"^  (\?)? ?(-?\d+): ", body[1] if body else "", re.MULTILINE)
    return {int(key): not optional for optional, key in entries}


def uses_of(rule: str) -> int:
    """How often a rule's name stands in the grammar, its own definition included."""
    code = re.sub(r";.*", "", re.sub(r'"(?:[^"\\]|\\.)*"', "", TEXT))
    return len(re.findall(rf"(?<![\w-]){re.escape(rule)}(?![\w-])", code))


def words_of(rule: str) -> set[str]:
    """The texts that a rule chooses from."""
    found = re.search(rf"^{re.escape(rule)} = (.*(?:\n  +/.*)*)", TEXT, re.MULTILINE)
    return set(re.findall(r'"([^"]+)"', found[1])) if found else set()


def kinds() -> dict[str, list[str]]:
    """The `typ` of each kind, and the rules of its envelopes."""
    found: dict[str, list[str]] = {}
    for rule, typ in re.findall(r'^([\w-]+) += [a-z]+<"((?:[^"\\]|\\.)+)", [\w-]+>', TEXT, re.MULTILINE):
        found.setdefault(typ.replace('\\"', '"'), []).append(rule)
    return found


@functools.cache
def topics() -> tuple[tuple[re.Pattern[str], bool, str], ...]:
    """(topic, whether it is retained, rule) of each row of the table of topics in the grammar."""
    return tuple((_pattern(topic), retained == "R", rule) for topic, retained, rule in topic_rows())


def topic_rows() -> list[tuple[str, str, str]]:
    """The same rows as they are written: topic, "R" or nothing, rule."""
    return _TOPIC_ROW.findall(TEXT)


def check_publication(topic: str, payload: bytes) -> str:
    """The rule that a publication is an instance of, "cleared" for an empty payload on a retained topic.

    Raises `GrammarError`: no such topic, or nothing that may be said on it.
    """
    rows = [(retained, rule) for pattern, retained, rule in topics() if pattern.fullmatch(topic)]
    if not rows:
        raise GrammarError(f"the grammar knows no topic {topic}")
    if not payload and rows[0][0]:
        return "cleared"
    if rows[0][1] == "status-json":
        shown = json.loads(payload)
        check("status-document", base64.urlsafe_b64decode(shown["proof"] + "=" * (-len(shown["proof"]) % 4)))
        payload = cbor2.dumps(shown)
    wrong: list[str] = []
    for _, rule in rows:
        found = faults(rule, payload)
        if not found:
            return rule
        wrong += [f"not a {rule}: {found[0]}"]
    raise GrammarError(f"on {topic}: " + "; ".join(wrong)[:600])


def _pattern(topic: str) -> re.Pattern[str]:
    levels = [each if each.islower() else _LEVELS.get(each, _NAME) for each in topic.split("/")]
    return re.compile("/".join(["sealedge/v1", _NAME, *levels]))


def _encoders() -> Iterator[tuple[str, Callable[[Any], str | None]]]:
    """Where structures are encoded that nobody sends in the clear, and the rule of what is encoded there."""
    yield "protocol.messages", lambda value: "message-aad" if isinstance(value, list) else None
    yield "protocol.attestation", lambda _: "report-data-input"
    yield "protocol.channel", lambda _: "session-key-info"
    yield "protocol.results", lambda _: "result-info"
    yield "protocol.delivery", lambda _: "chunk-key-info"
    yield "protocol.receipts", lambda value: "commitment-input" if isinstance(value, list) else "receipt-document"


def record_plaintexts(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, bytes]]:
    """From here on, everything that is encoded before it is sealed, signed, hashed or derived from: (rule, bytes)."""
    seen: set[tuple[str, bytes]] = set()
    messages = importlib.import_module("protocol.messages")
    encode, to_map, known = messages.encode, messages.to_map, frozenset(rules())

    def recording_to_map(message: Any) -> Any:
        found = to_map(message)
        if rule_of(type(message)) in known:  # what a party keeps in its own store is nobody else's grammar
            seen.add((rule_of(type(message)), encode(found)))
        return found

    monkeypatch.setattr(messages, "to_map", recording_to_map)
    cose_encrypt = importlib.import_module("protocol.cose_encrypt")
    structure = _recording(cose_encrypt.recipient_structure, lambda *_: "recipient-structure", seen)
    monkeypatch.setattr(cose_encrypt, "recipient_structure", structure)
    for module, rule in _encoders():
        monkeypatch.setattr(importlib.import_module(module), "encode", _recording(encode, rule, seen))
    return seen


def _recording(
    encode: Callable[..., bytes], rule: Callable[..., str | None], seen: set[tuple[str, bytes]]
) -> Callable[..., bytes]:
    def recording(*values: Any) -> bytes:
        found, name = encode(*values), rule(*values)
        if name is not None:
            seen.add((name, found))
        return found

    return recording


def rule_of(model: type) -> str:
    """The rule of a model: its name in kebab-case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", model.__name__).lower()
