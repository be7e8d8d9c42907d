"""The agent by itself: how long it takes to start, what it holds in memory, what its enclave works for a request."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from bench.fleets import Worker, progress
from bench.processes import MEGABYTE, enclave_of, family, resident, seconds_on_processor
from bench.table import Row, figure
from edge_agent.enclave.running.runtime import Runtime
from schemas.kinds import Role
from sealedge.operations.demo.stage import AGENT, Stage
from verifier.challenges import REQUEST_SECONDS


def started(stage: Stage, runs: int) -> list[Row]:
    """From the start of the agent's process to the attestation result that names its model.

    All of its caches are there: chunks, sealed machine code, bytecode; and Python's own, of the agent's host.
    """
    progress(f"agent start: {runs} starts")
    found = [_start(stage) for _ in range(runs)]
    note = (
        "from the start of the process to the attestation result that names the model, restored from its sealed cache"
    )
    return [figure("agent start to first attested result, warm", found, "s", note=note)]


def _start(stage: Stage) -> float:
    stage.troupe.stop("agent")
    stage.troupe.wait_for_end("agent")
    # An agent is challenged once a second for one purpose: sooner than that, the verifier would be busy.
    time.sleep(REQUEST_SECONDS)
    began = time.perf_counter()
    stage.start("agent", "agent", "--config", stage.settings(Role.AGENT, AGENT))
    stage.troupe.wait_for(
        lambda said: said["party"] == "agent" and said["event"] == "attested" and said["models"] > 0, "the agent"
    )
    return time.perf_counter() - began


def memory(stage: Stage) -> list[Row]:
    """The agent, its enclave and the enclave's compiler, after they have served."""
    once, everywhere = resident(family(stage.troupe.pid("agent")))
    return [
        figure("agent RSS with the demo model", [once / MEGABYTE], "MB", note="all processes, each page counted once"),
        figure(
            "agent RSS with the demo model, counted in each process",
            [everywhere / MEGABYTE],
            "MB",
            note="the sum of its processes' RSS: what they share is counted in each of them",
        ),
    ]


def work(stage: Stage, module: Path, reading: bytes, loop: Worker, runs: int, requests: int) -> list[Row]:
    """Time on a processor of the enclave's process for a request, without that of the module's run.

    That is measured in turn, with the same runtime, in this process.
    """
    enclave = enclave_of(stage.troupe.pid("agent"))
    runtime = Runtime()
    loaded = runtime.load(module.read_bytes())
    rows: list[Row] = []
    for flight, name in ((32, "enclave work per small request"), (1, "enclave work per small request, 1 in flight")):
        progress(f"{name}: {runs} runs of {requests} requests")
        found, own = [], []
        for _ in range(runs):
            before = seconds_on_processor(enclave)
            loop.measure(requests, flight)
            own.append(_seconds_each(lambda: loaded.run(reading), 1000))
            found.append((seconds_on_processor(enclave) - before) / requests - own[-1])
        note = f"{flight} in flight; processor time of its process, without {{:.0f}} µs for the module's run"
        rows.append(figure(name, found, "µs", 1e6, note=note.format(1e6 * statistics.median(own))))
    runtime.close()
    return rows


def _seconds_each(act: Callable[[], object], times: int) -> float:
    before = time.process_time()
    for _ in range(times):
        act()
    return (time.process_time() - before) / times
