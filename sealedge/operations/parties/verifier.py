"""The verifier from its settings."""

import os
from contextlib import ExitStack

from protocol.party import Randomness
from schemas.kinds import Role
from schemas.policy import AppraisalPolicy
from sealedge.operations.endorsements import read_endorsements
from sealedge.operations.parties.basis import load_signing_key, open_store, open_trust, read_credential
from sealedge.operations.policy import read_policy
from sealedge.operations.settings import VerifierSettings
from verifier.evidence import Appraisers, appraisers
from verifier.policy import roots_of
from verifier.verifier import Verifier


def build_verifier(
    settings: VerifierSettings, closing: ExitStack, *, now: float, randomness: Randomness = os.urandom
) -> Verifier:
    """A verifier whose nonces, leases and sequence numbers are on the disk before they are on the network."""
    store = open_store(settings, closing, "full")
    trust = open_trust(settings, store)
    identity = read_credential(settings.path(settings.credential), trust, Role.VERIFIER, settings.name, now)
    key = load_signing_key(settings.path(settings.signing_key), identity)
    policy = read_policy(settings.path(settings.policy))
    appraisers = appraisers_of(settings, policy)
    return Verifier(trust, settings.name, key, identity.credential, policy, store, randomness, appraisers)


def appraisers_of(settings: VerifierSettings, policy: AppraisalPolicy) -> Appraisers:
    """Every kind of evidence, with the endorsement folder and the roots that the policy adds."""
    folder = None if settings.endorsements is None else settings.path(settings.endorsements)
    return appraisers(read_endorsements(folder), roots_of(policy))
