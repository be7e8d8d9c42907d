"""Whatever a peer signs or seals is bent inside its seal: no kind of the grammar is left out."""

import re
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.cbor import decode_untrusted, encode
from tests.attacks.test_every_party_survives_malicious_peers import Peers
from tests.fuzz.mutating import bent, mutated
from tests.fuzz.sayings import ALL, MORE, RULES, WITHIN
from tests.fuzz.targets import SEALED, target
from tests.support import grammar
from tests.support.examples import examples

WITH_A_CONTENT_KEY = {"chunk": "chunk", "sealed-index": "index"}
"""`sealed:` targets by rule: no delivery carries these alone."""

WITHOUT_A_RECEIPT = {"an enclave replies", "an enclave delivers"}
"""Where a receipt belongs stands something else: bent receipts have a saying of their own."""

SEAL_BROKEN = {"signature-invalid", "decryption-failed", "unknown-signer", "role-not-allowed", "unsupported"}


def contents() -> dict[str, str]:
    """What stands in each kind of message, by its rule."""
    return dict(re.findall(r'^([\w-]+) += [a-z]+<"(?:[^"\\]|\\.)+", ([\w-]+)>', grammar.TEXT, re.MULTILINE))


def test_every_kind_that_a_peer_signs_or_seals_is_bent() -> None:
    rules = {rule for rules in grammar.kinds().values() for rule in rules}
    assert rules == {*RULES, *WITH_A_CONTENT_KEY}, "say who says it (tests/fuzz/sayings.py)"
    assert set(WITH_A_CONTENT_KEY.values()) == set(SEALED)


def test_every_saying_is_of_a_kind() -> None:
    assert sorted(name for each in (*RULES.values(), *WITHIN.values()) for name in each) == sorted(ALL)


@pytest.mark.parametrize("rule", [*RULES, *WITHIN])
def test_what_is_bent_is_what_the_grammar_says(rule: str) -> None:
    peers = Peers()
    for what in {*{**RULES, **WITHIN}[rule]} - WITHOUT_A_RECEIPT:
        grammar.check(contents().get(rule, rule), ALL[what](peers).plaintext)


@pytest.mark.parametrize("what", MORE)
def test_the_honest_message_is_authentic(what: str) -> None:
    peers = Peers()
    said = MORE[what](peers)
    party = peers.party(said.to)
    board = peers.enclave.board if said.to.startswith("agent") else party.board
    before = dict(board.refused)
    party.receive(said.delivery(said.plaintext), peers.world.broker.now)
    refused = {str(each) for each, times in board.refused.items() if times > before.get(each, 0)}
    assert refused <= {"stale"}, "a list that is known already; all else is taken"
    assert refused & SEAL_BROKEN == set()


@pytest.mark.parametrize("what", MORE)
@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_whatever_an_authentic_peer_says(what: str, seed: int) -> None:
    chosen = target(f"peer:{what}")
    [honest] = chosen.seeds()
    chosen.run(encode(bent(decode_untrusted(honest), Random(seed))))


@given(seed=st.integers(0, 2**32))
def test_a_mutation_keeps_the_encoding_and_the_head(seed: int) -> None:
    honest = b"\7" + encode({1: [5, b"\xa1\x01\x02", "text"], 2: {3: encode([1, 2])}, 4: True})
    found = mutated(honest, 4096, seed, lambda data, most: b"", head=1)
    assert found == b"" or found[:1] == b"\7"
    if found:
        decode_untrusted(found[1:])


def test_mutations_reach_every_field_at_every_depth() -> None:
    inside = encode([1, 2])
    value = {1: [5, "text"], 2: {3: inside}}
    changed = [bent(value, Random(seed)) for seed in range(2000)]
    maps = [each for each in changed if isinstance(each, dict)]
    assert {1: [5, "text"], 2: {3: encode([2, 2])}} in maps
    assert any(set(each) == {2} for each in maps)
    assert any(len(each) == 3 for each in maps)
    assert {type(each) for each in changed} >= {dict, int, bytes, str, list}


def test_what_is_no_cbor_is_bent_byte_by_byte() -> None:
    assert {mutated(b"\xff\xff", 10, seed, lambda data, most: b"bytewise") for seed in range(50)} == {b"bytewise"}
    large = encode(bytes(5000))
    assert all(len(mutated(large, 100, seed, lambda data, most: data[:most])) <= 100 for seed in range(50))
