"""The enclave of an agent, from its settings: its TEE, its configuration, and its process, which is started early.

Imports what that takes and no more: the agent imports the rest while its enclave comes up.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from edge_agent.attester import Attester, Platform, SimulatedAttester, choose_attester
from edge_agent.bytecode import BytecodeCache, imported_sources
from edge_agent.enclave.configuration import EnclaveConfiguration
from edge_agent.enclave.volatile import VolatileStore
from edge_agent.host import EnclaveProcess, list_sources
from edge_agent.measurement import measure
from protocol.cbor import encode
from protocol.errors import ConfigurationError, Finding, LocalError, SealedgeError
from protocol.messages import DOMAIN
from protocol.party import Noted
from schemas.kinds import Role
from sealedge.operations.agent_settings import AgentSettings
from sealedge.operations.parties.basis import open_trust, read_credential
from sealedge.operations.references import measured_configuration
from storage.key_files import read_signing_key

if TYPE_CHECKING:
    from edge_agent.placement import EnclavePlace

MAKING_SECONDS: Final = 10.0
"""After a start from sources, when bytecode is made for the next one."""

OpenBytecode = Callable[[], IO[bytes] | None]
MeasurementOf = Callable[[], bytes]

logger = logging.getLogger("sealedge.agent")


@dataclass(frozen=True, slots=True)
class Begun:
    """An enclave that comes up in `place`; `notes` are what there is to tell when there is somebody to tell."""

    attester: Attester
    place: "EnclavePlace"
    notes: list[Noted]


def measured() -> bytes:
    """The measurement of this installation. Raises `ConfigurationError`."""
    return measure().digest


def begin_enclave(
    settings: AgentSettings, closing: ExitStack, *, now: float, measurement: MeasurementOf = measured
) -> Begun:
    """Let the enclave come up; it ends with `closing`. Raises `ConfigurationError` for settings that allow none.

    Call it in the thread that will run the agent's link: Linux ends the enclave with the thread that started it.
    """
    attester = _attester(settings, measurement)
    sealing_key, unsealed = _sealing_key(attester, settings) if settings.keep_models else (None, ())
    configuration = enclave_configuration(settings, now).model_copy(update={"sealing_key": sealing_key})
    notes = [*unsealed]
    place = enclave_place(settings, configuration, _bytecode(settings, sealing_key, notes, closing))
    closing.callback(place.stop)
    place.begin()
    return Begun(attester, place, notes)


def enclave_place(
    settings: AgentSettings, configuration: EnclaveConfiguration, bytecode: OpenBytecode | None = None
) -> "EnclavePlace":
    """Where the settings let the enclave run. Raises `ConfigurationError` for an address that is none."""
    if settings.enclave == "process":
        return EnclaveProcess(configuration, bytecode=bytecode)
    from edge_agent.enclave.frames import vsock_address  # noqa: PLC0415 - most enclaves are processes
    from edge_agent.placement import EnclaveInPlace, EnclaveOverVsock  # noqa: PLC0415

    if settings.enclave == "in-place":
        return EnclaveInPlace(configuration)
    address = vsock_address(settings.enclave)
    if address is None:
        finding = Finding("enclave", "vsock:CID:PORT", settings.enclave)
        raise ConfigurationError("no place for an enclave", finding=finding)
    return EnclaveOverVsock.at(configuration, *address)


def _bytecode(
    settings: AgentSettings, sealing_key: bytes | None, notes: list[Noted], closing: ExitStack
) -> OpenBytecode | None:
    """What makes the next start faster; made a while after a start that had none. Without a sealing key: none."""
    if sealing_key is None or settings.enclave != "process":
        return None
    cache = BytecodeCache(bytecode_file(settings), sealing_key, lambda: imported_sources(list_sources()))
    making = threading.Timer(MAKING_SECONDS, _make, (cache,))
    making.daemon = True
    closing.callback(making.cancel)

    def opened() -> IO[bytes] | None:
        found, refused = cache.opened()
        notes.extend(each for each in refused if each not in notes)
        if found is None and making.ident is None:
            making.start()
        return found

    return opened


def bytecode_file(settings: AgentSettings) -> Path:
    """Where it is kept."""
    return settings.path(settings.state) / "bytecode"


def _make(cache: BytecodeCache) -> None:
    """In a thread of its own, while the agent serves: a failure costs the next start its speed and nothing else."""
    try:
        cache.make()
    except SealedgeError as error:
        logger.warning("no bytecode is kept for the next start: %s", error.diagnostics)


def enclave_configuration(settings: AgentSettings, now: float) -> EnclaveConfiguration:
    """What the enclave is started with. Files that nobody would accept are refused here, where a person reads it."""
    trust = open_trust(settings, VolatileStore())
    enrolment = read_credential(settings.path(settings.enrolment), trust, Role.AGENT, settings.name, now)
    return EnclaveConfiguration(
        measured=measured_configuration(settings.fleet, trust.authority, settings.models),
        agent=settings.name,
        enrolment=enrolment.credential,
        revocations=trust.revocations.document,
    )


def _sealing_key(attester: Attester, settings: AgentSettings) -> tuple[bytes | None, Sequence[Noted]]:
    """What the TEE gives to this agent's enclave alone. Without it, a restart needs the publisher: said, not fatal."""
    label = encode([DOMAIN, "enclave", settings.fleet, settings.name])
    try:
        found = attester.sealing_key(label)
    except LocalError as error:
        return None, [Noted("sealing-failed", {"attester": attester.name, "why": error.diagnostics})]
    if found is None:
        return None, [Noted("nothing-sealed", {"attester": attester.name, "why": "this TEE gives no sealing key"})]
    return found, ()


def _attester(settings: AgentSettings, measurement: MeasurementOf = measured) -> Attester:
    if not settings.attester:
        finding = Finding("attester", f"for example {SimulatedAttester.name}", "none")
        raise ConfigurationError("the agent's settings name no TEE", finding=finding)
    return choose_attester(settings.attester, _platform(settings, measurement))


def _platform(settings: AgentSettings, measurement: MeasurementOf) -> Platform:
    chip_key = None
    if settings.attester == SimulatedAttester.name:
        if settings.chip_key is None:
            finding = Finding("chip_key", "a file", "none")
            raise ConfigurationError("the agent's settings name no chip_key", finding=finding)
        chip_key = read_signing_key(settings.path(settings.chip_key))
    return Platform(
        measurement=measurement(),
        chip_key=chip_key,
        tsm=settings.tsm,
        nitro=settings.nitro,
        gramine=settings.gramine,
        coco=settings.coco,
        command=settings.command,
        tpm=settings.tpm_place,
    )
