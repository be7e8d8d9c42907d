"""The agent from its settings: the courier around its enclave (`sealedge.operations.parties.enclave`)."""

import os
from collections.abc import Sequence
from contextlib import ExitStack

from edge_agent.agent import Agent
from edge_agent.chunk_sealing import ChunkCipher, open_cipher
from edge_agent.chunks import ChunkCache
from edge_agent.enclave_client import EnclaveClient
from edge_agent.fetching import ChunkFetcher
from edge_agent.model_cache import ModelCache
from edge_agent.placement import confined
from protocol.party import Noted
from schemas.kinds import Tier
from schemas.topics import FleetTopics
from sealedge.operations.agent_settings import AgentSettings
from sealedge.operations.parties.enclave import Begun, begin_enclave, bytecode_file


def build_agent(settings: AgentSettings, closing: ExitStack, *, now: float) -> Agent:
    """An agent whose enclave runs by the time this returns, and ends with `closing`."""
    return completed_agent(settings, begin_enclave(settings, closing, now=now))


def completed_agent(settings: AgentSettings, begun: Begun) -> Agent:
    """The agent of an enclave that comes up: it runs by the time this returns."""
    cipher, sealing = _cipher(settings)
    notes = begun.notes
    notes[:0] = sealing

    def start() -> EnclaveClient:
        client = begun.place.start()
        note = confined(client, strict=settings.confinement == "strict")
        if note not in notes:
            notes.append(note)
        return client

    cache = ChunkCache(settings.path(settings.state) / "chunks", settings.cache_bytes, cipher)
    fetcher = ChunkFetcher(FleetTopics(settings.fleet), cache)
    models = ModelCache(settings.path(settings.state) / "models")
    if not settings.keep_models:
        models.delete_all()
        bytecode_file(settings).unlink(missing_ok=True)
    return Agent(start, begun.attester, fetcher, notes, models)


def _cipher(settings: AgentSettings) -> tuple[ChunkCipher | None, Sequence[Noted]]:
    """The chunk cache's, where the machine's TEE can keep a key: sealed to what the attester has extended by now."""
    if settings.attester != Tier.TPM:
        return None, ()
    from edge_agent.attester.tpm_sealing import TpmSealer  # noqa: PLC0415 - most machines have another TEE
    from edge_agent.attester.tpm_tools import TpmTools  # noqa: PLC0415

    sealer = TpmSealer(TpmTools(settings.tpm.tcti), settings.tpm.sealed_to)
    return open_cipher(sealer, settings.tpm_place.sealed_key, os.urandom)
