"""The verifier from its settings."""

import os
from contextlib import ExitStack

from protocol.errors import ConfigurationError
from protocol.party import Randomness
from schemas.kinds import Role
from schemas.policy import AppraisalPolicy
from sealedge.operations.parties.basis import load_signing_key, open_store, open_trust, read_credential
from sealedge.operations.settings import VerifierSettings
from storage.files import read_text
from verifier.policy import load_policy
from verifier.verifier import Verifier


def build_verifier(
    settings: VerifierSettings, closing: ExitStack, *, now: float, randomness: Randomness = os.urandom
) -> Verifier:
    """A verifier whose nonces, leases and sequence numbers are on the disk before they are on the network."""
    store = open_store(settings, closing, "full")
    trust = open_trust(settings, store)
    identity = read_credential(settings.path(settings.credential), trust, Role.VERIFIER, settings.name, now)
    key = load_signing_key(settings.path(settings.signing_key), identity)
    return Verifier(trust, settings.name, key, identity.credential, read_policy(settings), store, randomness)


def read_policy(settings: VerifierSettings) -> AppraisalPolicy:
    """The appraisal policy. Raises `ConfigurationError` that names the file."""
    path = settings.path(settings.policy)
    text = read_text(path)
    try:
        return load_policy(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}", finding=error.finding) from None
