"""schemas/messages.cddl and the models say the same: the same keys, the same types, the same bounds."""

from typing import Any

import annotated_types
import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.cbor import encode
from protocol.errors import MalformedError
from protocol.messages import decode_message_untrusted, encode_message
from schemas.attestation import Evidence, LoadedModel
from schemas.base import Message, to_map, wire_keys
from schemas.kinds import Kind, Role, State, Tier
from schemas.reason import Reason
from schemas.status import Revocation
from tests.support import grammar
from tests.support.grammar import GrammarError, check, faults, keys_of, rule_of
from tests.support.wire_models import DOCUMENT_FIELDS, KEY_FIELDS, MODELS, SENT, credential, instances, smallest

pytestmark = pytest.mark.slow  # the judge of the grammar is thorough, and written in Python

FEW = settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
ALTERED: list[Any] = [1.5, True, -(2**40), 2**63, "", "Not A Name", "a" * 257, b"", bytes(33), [], {}]
NEVER_SENT = {
    "message-aad",
    "recipient-structure",
    "result-info",
    "session-key-info",
    "chunk-key-info",
    "commitment-input",
    "report-data-input",
}
ELEMENTS: dict[tuple[str, str], Any] = {
    ("Credential", "chips"): bytes(32),
    ("EnclaveClaims", "models"): to_map(smallest(LoadedModel)),
    ("AttestationResult", "models"): to_map(smallest(LoadedModel)),
    ("Appraisal", "policies"): "policy",
    ("TensorSpec", "shape"): 1,
    ("TensorSpec", "labels"): "label",
    ("RevocationList", "entries"): to_map(smallest(Revocation)),
    ("SessionOpen", "recipients"): credential(),
    ("Measured", "models"): "scan",
}
"""One element of each list that may be empty."""

SEEN_ELSEWHERE = {"status-json", "status-document", "sealed-index", "simulated-evidence-document", "cmw-collection"}
"""In JSON, in the manifest, in evidence: the grammar sees bytes there."""

each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


def is_accepted(model: type[Message], data: bytes) -> bool:
    try:
        decode_message_untrusted(model, data, max_bytes=2**26)
    except MalformedError:
        return False
    return True


def is_deferred(model: type[Message], name: str) -> bool:
    """Keys and documents inside a message are parsed later by the code, at once by the grammar."""
    return name in KEY_FIELDS or (model.__name__, name) in DOCUMENT_FIELDS


def neighbours(value: Any) -> list[Any]:
    if isinstance(value, bytes | str):
        return [value[:-1], value + value[-1:]]
    if isinstance(value, int) and not isinstance(value, bool):
        return [each for each in (value - 1, value + 1) if -(2**64) <= each < 2**64]
    return []


def full_map(model: type[Message]) -> dict[int, Any]:
    return to_map(smallest(model))


def test_the_tool_refuses_what_is_not_there() -> None:
    with pytest.raises(GrammarError):
        check("refusal", cbor2.dumps({1: "busy"}))
    with pytest.raises(GrammarError):
        grammar.check_publication("sealedge/v1/clinic/agent/a/secrets", b"x")
    check("refusal", cbor2.dumps({1: "busy", 2: 0}))


@each_model
def test_the_keys_are_the_models(model: type[Message]) -> None:
    found = {key: model.model_fields[name].is_required() for name, key in wire_keys(model)}
    assert keys_of(rule_of(model)) == found


@each_model
@FEW
@given(data=st.data())
def test_every_instance_is_of_the_grammar(model: type[Message], data: st.DataObject) -> None:
    encoded = encode_message(data.draw(instances(model)))
    check(rule_of(model), encoded)
    assert is_accepted(model, encoded)


@each_model
def test_an_unknown_key_is_refused_by_both(model: type[Message]) -> None:
    for key in (-1, 999, "fleet", b"fleet"):
        data = encode({**full_map(model), key: 1})
        assert faults(rule_of(model), data)
        assert not is_accepted(model, data)


@each_model
def test_a_missing_key_is_judged_alike(model: type[Message]) -> None:
    whole = full_map(model)
    for name, key in wire_keys(model):
        data = encode({each: value for each, value in whole.items() if each != key})
        optional = not model.model_fields[name].is_required()
        assert (not faults(rule_of(model), data)) is optional is is_accepted(model, data), name


@each_model
def test_an_altered_value_is_judged_alike(model: type[Message]) -> None:
    whole = full_map(model)
    for name, key in wire_keys(model):
        for value in ALTERED:
            data = encode({**whole, key: value})
            allowed, accepted = not faults(rule_of(model), data), is_accepted(model, data)
            agrees = allowed <= accepted if is_deferred(model, name) else allowed is accepted
            assert agrees, (name, repr(value)[:40], allowed)


@each_model
@FEW
@given(data=st.data())
def test_a_byte_more_or_less_and_a_neighbouring_number(model: type[Message], data: st.DataObject) -> None:
    whole = to_map(data.draw(instances(model, full=True)))
    for name, key in wire_keys(model):
        for value in neighbours(whole.get(key)):
            encoded = encode({**whole, key: value})
            allowed, accepted = not faults(rule_of(model), encoded), is_accepted(model, encoded)
            assert allowed is accepted or is_deferred(model, name), (name, repr(value)[:40], allowed)


def longest(model: type[Message], name: str) -> list[Any]:
    """Lists, maps and byte strings as long as the model allows, and one longer."""
    info = model.model_fields[name]
    limits = [each.max_length for each in info.metadata if isinstance(each, annotated_types.MaxLen)]
    value = to_map(smallest(model)).get(dict(wire_keys(model))[name])
    if not limits:
        return []
    sizes = (limits[0], limits[0] + 1)
    if isinstance(value, bytes):
        return [] if is_deferred(model, name) else [bytes(size) for size in sizes]
    if isinstance(value, dict):
        one = next(iter(value.values()), None)
        return [{f"each {number}": one for number in range(size)} for size in sizes]
    elements = value or [ELEMENTS.get((model.__name__, name))]
    return [elements[:1] * size for size in sizes]


@each_model
def test_the_longest_is_of_the_grammar_and_one_longer_is_not(model: type[Message]) -> None:
    whole = full_map(model)
    for name, key in wire_keys(model):
        for value, fits in zip(longest(model, name), (True, False), strict=False):
            data = encode({**whole, key: value})
            assert (not faults(rule_of(model), data)) is fits is is_accepted(model, data), (name, len(value))


def test_a_document_inside_evidence_has_its_bounds() -> None:
    for size, fits in ((0, False), (1, True), (131_072, True), (131_073, False)):
        data = encode({**full_map(Evidence), 2: ["text/plain", bytes(size)]})
        assert (not faults("evidence", data)) is fits is is_accepted(Evidence, data)


def strange_forms(model: type[Message]) -> list[bytes]:
    """What means the same to a lax reader: null for absent, text keys, byte strings for words."""
    whole = full_map(model)
    names = {key: name for name, key in wire_keys(model)}
    optional = [key for key, name in names.items() if not model.model_fields[name].is_required()]
    words = [key for key, value in whole.items() if isinstance(value, str)]
    found = [{**whole, key: None} for key in optional]
    found += [{**whole, key: whole[key].encode()} for key in words]
    return [encode(each) for each in (*found, {names[key]: value for key, value in whole.items()})]


@each_model
def test_strange_forms_are_not_of_the_grammar(model: type[Message]) -> None:
    for data in strange_forms(model):
        assert faults(rule_of(model), data)


def test_strange_forms_are_not_accepted() -> None:
    assert [model.__name__ for model in MODELS for data in strange_forms(model) if is_accepted(model, data)] == []


def test_every_rule_is_used() -> None:
    roots = {rule_of(model) for model in MODELS} | {"publication", *SEEN_ELSEWHERE, *NEVER_SENT}
    assert [rule for rule in grammar.rules() if rule not in roots and grammar.uses_of(rule) < 2] == []


def test_the_words_are_those_of_the_code() -> None:
    for rule, words in (("reason", Reason), ("role", Role), ("tier", Tier), ("state", State)):
        for word in words:
            check(rule, encode(str(word)))
        assert grammar.words_of(rule) == {str(word) for word in words}


def test_every_kind_has_a_line() -> None:
    assert set(grammar.kinds()) == {str(kind) for kind in Kind}


def test_every_sent_model_is_a_rule() -> None:
    assert {rule_of(model) for model in SENT} <= set(grammar.rules())
