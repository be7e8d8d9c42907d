"""The enclave's store forgets with the enclave, and is a store until then."""

from edge_agent.enclave.volatile import VolatileStore


def test_it_is_a_store_that_begins_empty() -> None:
    store = VolatileStore()
    assert store.read("b", b"k") is None
    with store.transaction():
        store.write("b", b"k", b"1")
        store.write("b", b"l", b"2")
        store.write("b", b"k", b"3")
    assert list(store.items("b")) == [(b"k", b"3"), (b"l", b"2")]
    store.delete("b", b"k")
    store.delete("b", b"k")
    store.delete("other", b"k")
    assert (store.read("b", b"k"), store.read("b", b"l"), list(store.items("other"))) == (None, b"2", [])
    assert VolatileStore().read("b", b"l") is None
