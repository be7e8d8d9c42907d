"""The outbox keeps order and bounds, and drops nothing in silence."""

from hypothesis import given
from hypothesis import strategies as st

from broker.outbox import Acknowledgement, Outbox
from protocol.party import Noted, Publication


def outbox(messages: int = 100, size: int = 10_000) -> tuple[Outbox, list[Noted]]:
    notes: list[Noted] = []
    return Outbox(messages, size, notes.append), notes


def test_an_acknowledgement_waits_behind_what_its_delivery_caused() -> None:
    box, _ = outbox()
    box.put(Publication("t", b"1"), 0)
    box.acknowledge(7, box.numbered)
    assert box.take(0, room=False) is None
    assert box.take(0, room=True) == Publication("t", b"1")
    assert box.take(0, room=False) == Acknowledgement(7, 1)
    assert box.take(0, room=True) is None


def test_an_acknowledgement_overtakes_publications_that_it_does_not_belong_to() -> None:
    box, _ = outbox()
    for number in range(3):
        box.put(Publication("t", bytes([number])), 0)
    box.acknowledge(1, 2)
    box.acknowledge(2)
    assert box.take(0, room=False) is None
    assert [box.take(0, room=True) for _ in range(2)] == [Publication("t", b"\0"), Publication("t", b"\1")]
    assert [box.take(0, room=False) for _ in range(2)] == [Acknowledgement(1, 2), Acknowledgement(2, 0)]
    assert box.take(0, room=True) == Publication("t", b"\2")
    assert box.take(0, room=True) is None


def test_what_expired_while_it_waited_is_noted_and_the_next_is_taken() -> None:
    box, notes = outbox()
    box.put(Publication("t", b"1", expiry=10), now=100)
    box.put(Publication("t", b"2", expiry=30), now=100)
    assert box.take(110, room=True) == Publication("t", b"2", expiry=20)
    assert [note.what for note in notes] == ["publication-expired"]
    assert len(box) == 0


def test_bounds_are_noted() -> None:
    box, notes = outbox(messages=2, size=10)
    for size in (5, 6, 5, 0):
        box.put(Publication("t", bytes(size)), 0)
    assert len(box) == 2
    assert [note.what for note in notes] == ["publication-dropped"] * 2
    box.take(0, room=True)
    box.put(Publication("t", bytes(5)), 0)
    assert len(box) == 2


def test_acknowledgements_of_a_lost_connection_are_forgotten() -> None:
    box, _ = outbox()
    box.acknowledge(1)
    box.put(Publication("t", b"1"), 0)
    box.acknowledge(2)
    box.forget_acknowledgements()
    assert box.take(0, room=True) == Publication("t", b"1")
    assert box.take(0, room=True) is None


@given(st.lists(st.integers(0, 50), max_size=30), st.data())
def test_put_back_comes_first_and_the_count_is_right(sizes: list[int], data: st.DataObject) -> None:
    box, _ = outbox(1000, 10**6)
    publications = [Publication("t", bytes(size)) for size in sizes]
    for publication in publications:
        box.put(publication, 0)
    taken = [box.take(0, room=True) for _ in range(data.draw(st.integers(0, len(sizes))))]
    assert taken == publications[: len(taken)]
    box.put_back([each for each in taken if isinstance(each, Publication)], 0)
    assert len(box) == len(sizes)
    assert [box.take(0, room=True) for _ in sizes] == publications
    assert len(box) == 0
    box.put(Publication("t", bytes(10**6)), 0)
    assert len(box) == 1
