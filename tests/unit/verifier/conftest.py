"""What the tests of the verifier start from."""

from tests.support.attesting import enclave, fleet

__all__ = ["enclave", "fleet"]
