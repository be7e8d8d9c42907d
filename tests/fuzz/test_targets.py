"""No function that touches network bytes is forgotten: a target reaches it, or `elsewhere.txt` names its test."""

import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from tests.fuzz.corpus import slug
from tests.fuzz.targets import names, target, untrusted

TESTS = Path(__file__).parents[1]
ELSEWHERE = dict(line.split() for line in (Path(__file__).parent / "elsewhere.txt").read_text("utf-8").splitlines())


class Reached:
    """Which of the functions ran meanwhile."""

    def __init__(self) -> None:
        self._names: dict[CodeType, str] = {function.__code__: name for name, function in untrusted().items()}
        self.names: set[str] = set()

    def __enter__(self) -> "Reached":
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in self._names:
            self.names.add(self._names[frame.f_code])


@pytest.mark.slow
def test_every_function_of_bytes_from_the_network_is_fuzzed_or_named() -> None:
    reached = Reached()
    for chosen in map(target, names()):
        seeds = chosen.inputs
        with reached:
            for seed in seeds:
                for data in (seed, seed[:-1], seed + b"\0"):
                    chosen.run(data)
    assert set(untrusted()) - reached.names - set(ELSEWHERE) == set(), "fuzz these, or say what tries them"
    assert set(ELSEWHERE) & reached.names == set(), "a target reaches these"
    assert set(ELSEWHERE) <= set(untrusted()), "these are gone"


def test_what_is_tried_elsewhere_is_tried() -> None:
    assert {file for file in ELSEWHERE.values() if not (TESTS / file).is_file()} == set()


def test_a_new_function_would_be_noticed() -> None:
    known = set(untrusted())
    assert "protocol.cbor_decoding.decode_untrusted" in known
    assert "sealedge.client.results.correlation_untrusted" in known
    assert "protocol.channel.Channel.open_untrusted" in known
    assert len([name for name in names() if name.startswith("bytes:")]) > 30
    assert len({slug(name) for name in names()}) == len(names()), "each has a folder of its own"
