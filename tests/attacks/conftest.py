"""What the attacks on attestation start from; those on models and sessions have worlds of their own."""

from tests.support.attesting import enclave, fleet, store, verifier

__all__ = ["enclave", "fleet", "store", "verifier"]
