"""The publisher and the enclave's own code agree: what one lends, the other loads."""

import pytest

from edge_agent.enclave.loading import Loaded
from edge_agent.enclave.models import ModelShelf
from edge_agent.enclave.needs import ChunksNeeded
from protocol.attestation import open_attestation_result_untrusted
from protocol.manifests import ManifestBook
from protocol.party import Delivery, Publication
from schemas.model import ModuleLimits
from storage.store import MemoryStore
from tests.support.publishing import NOW, Fleet, module_of, noted, published


def delivered(publication: Publication) -> Delivery:
    return Delivery(
        publication.topic, publication.payload, publication.response_topic, publication.correlation, publication.retain
    )


@pytest.mark.parametrize("kinds", [(1,), (1, 2, 3), (4, 4)])
def test_a_published_model_is_asked_for_lent_fetched_and_loaded(kinds: tuple[int, ...]) -> None:
    fleet, store, loaded = Fleet(seed=31), MemoryStore(), list[bytes]()

    def load(module: bytes, _: ModuleLimits, _code: bytes | None) -> Loaded:
        loaded.append(module)
        return Loaded(bytes, b"")

    packaged = fleet.package(store, module_of(*kinds))
    party, enclave, trust = fleet.run(store), fleet.enclave(), fleet.trust()
    passport = open_attestation_result_untrusted(enclave.passport(), trust, NOW)
    book = ManifestBook(trust, MemoryStore())
    shelf = ModelShelf(trust, "agent-1", enclave.signing, book, load, fleet.randomness)

    (request,) = published(shelf.accept_manifest_untrusted(packaged.document, "scan", passport, NOW))
    (release,) = published(party.receive(delivered(request), NOW))
    events = shelf.accept_grant_untrusted(delivered(release), [enclave.kem], NOW)
    (needed,) = [each for each in events if isinstance(each, ChunksNeeded)]
    retained = {each.topic: each.payload for each in published(fleet.publisher_party(store).connected(NOW))}
    chunks = [retained[fleet.topics.chunk("scan", name)] for name in needed.digests]
    assert noted(shelf.chunks_collected_untrusted("scan", chunks, NOW), "model-loaded")
    assert loaded == [module_of(*kinds)]
    assert [each.version for each in shelf.loaded] == [1]
