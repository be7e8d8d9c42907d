"""The reference values of this installation: what its enclave measures as, and how a fleet configures it."""

from typing import TYPE_CHECKING

from edge_agent.enclave.configuration import EnclaveLimits, Measured
from edge_agent.measurement import measure
from protocol.keys import VerifyingKey
from protocol.messages import digest, encode_message

if TYPE_CHECKING:
    from sealedge.operations.fleet import Fleet


def measured_configuration(fleet: str, authority: VerifyingKey, models: tuple[str, ...]) -> Measured:
    """The measured part of an enclave's configuration: both the agent and the verifier's policy take it from here."""
    return Measured(fleet=fleet, authority=authority.to_cose_key(), models=models, limits=EnclaveLimits())


def configuration_digest(measured: Measured) -> bytes:
    """The claim `configuration` of an enclave that runs under it (`EnclaveConfiguration.digest`)."""
    return digest(encode_message(measured))


def reference_values(fleet: "Fleet") -> tuple[bytes, bytes]:
    """Measurement and configuration of this installation's enclave in this fleet. Raises `ConfigurationError`."""
    description = fleet.description
    measured = measured_configuration(description.fleet, fleet.authority.key.public, (description.model,))
    return measure().digest, configuration_digest(measured)
