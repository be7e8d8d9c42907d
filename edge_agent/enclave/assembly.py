"""An enclave with its runtime, as it stands in production: in its own process or in the host's."""

import os
from functools import partial

from edge_agent.enclave.compiling.compiler import Compiler, compile_in_child
from edge_agent.enclave.compiling.engine import engine_fingerprint
from edge_agent.enclave.configuration import EnclaveConfiguration
from edge_agent.enclave.enclave import Enclave
from edge_agent.enclave.loading import Fingerprint, Loaded
from edge_agent.enclave.running.runtime import Limits, Runtime
from edge_agent.enclave.workers import ThreadedWorkers
from protocol.party import Randomness
from schemas.model import ModuleLimits


def assemble(
    configuration: EnclaveConfiguration,
    randomness: Randomness,
    confinement: tuple[str, ...] = (),
    compiler: Compiler = compile_in_child,
    fingerprint: Fingerprint = engine_fingerprint,
) -> Enclave:
    """Build the enclave. Raises `ConfigurationError`, or a `RemoteError` for a configuration nobody can use.

    `confinement` says what its process has given up (`edge_agent.enclave.confinement`): the enclave claims it.
    `fingerprint` names what `compiler` compiles for. Modules run on as many threads as this process has cores.
    """
    cap = Limits.granted(configuration.measured.limits.module)
    runtime = Runtime(cap, compiler=compiler)

    def load(module: bytes, limits: ModuleLimits, machine_code: bytes | None) -> Loaded:
        granted = cap.narrowed(limits)
        code = runtime.compiled(module, granted) if machine_code is None else machine_code
        return Loaded(runtime.load(module, granted, code).run, code)

    workers = ThreadedWorkers(len(os.sched_getaffinity(0)), cap.max_stack_bytes)
    return Enclave(configuration, load, randomness, partial(fingerprint, cap.max_stack_bytes), confinement, workers)
