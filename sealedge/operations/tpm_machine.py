"""The machine's side of enrolling its TPM: say who it is, and prove it."""

from edge_agent.attester.tpm_keys import MachineKeys
from protocol.errors import AuthenticationError, Finding
from schemas.reason import Reason
from sealedge.operations.settings import AgentSettings
from sealedge.operations.tpm_documents import Answer, Challenge, Identity


def identify(settings: AgentSettings) -> Identity:
    """Make the attestation key of this agent if there is none yet, and tell what names this machine.

    Raises `ConfigurationError` (no tpm2-tools, a file), `TpmError`.
    """
    found = MachineKeys.of_place(settings.tpm_place).identify()
    return Identity(
        chip=found.ak.chip.hex(), ak=found.ak.public, ek=found.ek_public, ek_certificate=found.ek_certificate
    )


def activate(settings: AgentSettings, challenge: Challenge) -> Answer:
    """Let the TPM open the challenge. Raises `AuthenticationError` for that of another key; `TpmError`."""
    keys = MachineKeys.of_place(settings.tpm_place)
    chip = keys.read().chip.hex()
    if challenge.chip != chip:
        finding = Finding("challenge.chip", chip[:16], challenge.chip[:16])
        raise AuthenticationError("a challenge for another machine", reason=Reason.MISADDRESSED, finding=finding)
    return Answer(chip=chip, secret=keys.activate(challenge.credential).hex())
