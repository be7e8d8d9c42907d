"""What a person sees of the demo: each event in words as it happens, progress bars, and the figures at the end."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from rich.table import Table

from guests.breast_cancer.build import BuiltModel, build
from sealedge.operations.demo.processes import Said
from sealedge.operations.demo.report import DemoReport
from sealedge.operations.telling import Telling

Words = Callable[[Said], str]

SHOWN_RESULTS: Final = 3
"""Results that are told one by one; the bar counts the others."""

STORY: Final[Mapping[tuple[str, str], Words]] = {
    ("authority", "fleet-created"): lambda s: (
        f"made the fleet {s['fleet']}: vouches for verifier, publisher, sensor and consumer, "
        f"enrols {s['agent']} with the chip it may run on"
    ),
    ("agent", "tpm-enrolled"): lambda s: (
        f"has {s['tpm']}, and an attestation key in it ({s['chip']}…): the operator's challenge was answered"
    ),
    ("verifier", "connected"): lambda _: "is on the bus",
    ("publisher", "model-published"): lambda s: (
        f"publishes {s['model']} version {s['version']}: a signed manifest and {s['chunks']} sealed chunk(s), "
        f"{s['bytes']} bytes"
    ),
    ("agent", "connected"): lambda _: "is on the bus; its enclave has made its keys and asks to be attested",
    ("verifier", "challenged"): lambda s: f"challenges {s['agent']} with a fresh nonce ({s['purpose']})",
    ("agent", "evidence-sent"): lambda s: f"answers with evidence, {s['bytes']} bytes",
    ("verifier", "attestation-result-issued"): lambda s: (
        f"appraised it: tier {s['tier']}, measurement {s['measurement']}…, {s['models']} model(s); "
        f"lends trust for {s['lease_seconds']} s"
    ),
    ("publisher", "key-released"): lambda s: f"releases the key of {s['model']} to {s['agent']} ({s['tier']})",
    ("agent", "chunks-needed"): lambda s: f"fetches {s['missing']} of {s['chunks']} sealed chunk(s)",
    ("agent", "model-loaded"): lambda s: f"runs {s['model']} version {s['version']} in wasmtime, inside the enclave",
    ("agent", "model-restored"): lambda s: (
        f"has {s['model']} version {s['version']} again, sealed by its last enclave: nobody was asked"
    ),
    ("agent", "session-opened"): lambda s: f"opened a session with {s['sender']}",
    ("agent", "model-erased"): lambda s: f"erased {s['model']} version {s['version']}: {s['why']}",
    ("anybody", "receipts-verified"): lambda s: f"checked {s['count']} receipts offline, by the authority's key alone",
}
"""Which events are told, and how."""


class Display(Telling):
    """`with Display() as display:` shows bars and events; with `quiet` it shows nothing."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self._readings = None if quiet else self._bars.add_task("readings answered", total=None, visible=False)
        self._results = 0

    def build(self, folder: Path) -> BuiltModel:
        """Train and build the model, with a bar; at once where it was built before."""
        self._say("builder", f"trains the network and compiles it to WebAssembly, once ({folder})")
        task = self._bars.add_task("training, compiling", total=100)
        model = build(folder, lambda step, done: self._bars.update(task, description=step, completed=100 * done))
        self._bars.remove_task(task)
        self._say("builder", f"has a module of {model.path.stat().st_size} bytes, sha256 {model.digest.hex()[:16]}…")
        return model

    def tell(self, said: Said) -> None:
        """One event."""
        words = STORY.get((said["party"], said["event"]))
        if words is not None:
            self._say(said["party"], words(said))
        if (said["party"], said["event"]) == ("consumer", "output") and self._results < SHOWN_RESULTS:
            self._results += 1
            self._say("consumer", f"opened a result of {said['sender']}: {', '.join(said['labels'])}; receipt verified")

    def progress(self, done: int, total: int) -> None:
        """Readings answered so far."""
        if self._readings is not None:
            self._bars.update(self._readings, completed=done, total=total, visible=done < total)

    def show(self, report: DemoReport) -> None:
        """The figures, and what did not hold."""
        table = Table(show_header=False, box=None, padding=(0, 2))
        for name, value in figures(report).items():
            table.add_row(name, value)
        self._console.print()
        self._console.print(table)
        for failure in report.failures():
            self._console.print(f"NOT HELD: {failure}", style="bold red")

    def _say(self, who: str, words: str) -> None:
        self._console.print(f"{self._moment()}  {who:10} {words}", markup=False)


def figures(report: DemoReport) -> Mapping[str, str]:
    """The report in words."""
    right = round(report.accuracy * report.sent)
    return {
        "accuracy": f"{report.accuracy:.1%}: {right} of {report.sent} held-out patients told rightly",
        "readings": f"{report.sent} sent, {report.answered} answered, {report.refused} refused, "
        f"{report.lost} lost, {report.doubled} doubled",
        "latency": f"p50 {report.p50_ms:.2f} ms, p99 {report.p99_ms:.2f} ms, "
        "from the sensor's standard input to the consumer's standard output",
        "tier": f"{report.tier} ({report.tier_means})",
        "broker": report.broker,
        "eavesdropper": f"saw {report.messages_seen_by_eavesdropper} messages, {report.bytes_seen_by_eavesdropper} "
        f"bytes; {report.plaintext_seen_by_eavesdropper} of {report.searched_for} secrets found in them",
        "receipts": f"{report.receipts_verified} verified offline",
        "revocation": "the model was erased, and the next reading not answered"
        if report.refused_after_revocation
        else "did not hold",
        "memory": "unknown" if report.agent_memory_mb is None else f"{report.agent_memory_mb} MB, agent and enclave",
        "took": f"{report.seconds:.1f} s",
    }
