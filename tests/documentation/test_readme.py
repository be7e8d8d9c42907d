"""README.md: its commands run as they stand, one after the other, and print what it shows; its names and links exist.

The quick tests read. The slow ones run every `sh`, `python` and `console` block in one bash, in an empty folder and on
a free port; `make` alone is not run again from within itself: its targets are looked up.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.children import find_mosquitto
from broker.embedded import free_port

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text("utf-8")
PORT = "18830"
SECONDS = 240
WATCHING_SECONDS = 4
OPTIONAL = "mosquitto_sub"
"""A program that the README uses, and that sealedge does not need."""


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    text: str

    @property
    def command(self) -> str:
        """What a person types: of a console, the line after the prompt."""
        return self.text.partition("\n")[0].removeprefix("$ ") if self.language == "console" else self.text

    @property
    def shown(self) -> list[str]:
        return [line for line in self.text.splitlines()[1:] if line.strip()]


def blocks(text: str) -> list[Block]:
    fences = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(text.count("\n", 0, found.start()) + 1, found[1], found[2]) for found in fences]


BLOCKS = blocks(TEXT)
CONSOLES = [block for block in BLOCKS if block.language == "console" and not block.command.startswith("make")]


def make_targets(text: str) -> list[str]:
    return re.findall(r"^(?:\$ )?(?:\w+=\S+ )?make (\S+)", text, re.MULTILINE)


def masked(line: str) -> str:
    """What stays the same from run to run: no digests, numbers, or widths of columns."""
    return " ".join(re.sub(r"\d+(\.\d+)?", "0", re.sub(r"[0-9a-f]{16,}", "H", line)).split())


def missing(shown: list[str], printed: str) -> list[str]:
    """The lines of the README that no line printed is like; a final … stands for the rest of a line."""
    lines = [masked(line) for line in printed.splitlines()]
    cut = {line: masked(line.removesuffix("…")) for line in shown if line.endswith("…")}
    return [
        line
        for line in shown
        if masked(line) not in lines and not (line in cut and any(each.startswith(cut[line]) for each in lines))
    ]


def script(broker: str) -> str:
    """All blocks for one bash, each announced; what a console prints goes into a file of its line."""
    parts = ["set -e"]
    for block in BLOCKS:
        parts.append(f"echo 'README.md:{block.line}' >&2")
        if block.language == "sh" and not make_targets(block.text):
            parts.append(block.text)
        elif block.language == "python":
            parts.append(f"python - <<'END_OF_BLOCK'\n{block.text}END_OF_BLOCK")
        elif block in CONSOLES:
            parts.append(f'{console(block)} > "$OUTPUTS/{block.line}" 2>&1')
    text = "\n".join(parts).replace(PORT, str(free_port()))
    return text.replace("sealedge broker ", f"sealedge broker --kind {broker} ")


def console(block: Block) -> str:
    program = block.command.split()[0]
    if program == OPTIONAL and shutil.which(program) is None:
        return ":"
    forever = block.command.startswith("sealedge watch")
    return f"timeout --preserve-status -s INT {WATCHING_SECONDS} {block.command}" if forever else block.command


@contextmanager
def group(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """Whatever happens, nothing that it started stays."""
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@dataclass(frozen=True)
class Ran:
    status: int
    stdout: str
    stderr: str
    outputs: Path
    left_running: bool


@pytest.fixture(scope="module", params=["mosquitto", "iotcore"])
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The whole README, run once over each broker, as in a clone whose `make` has made .venv."""
    if request.param == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    clone, outputs, scratch = (tmp_path_factory.mktemp(name) for name in ("clone", "outputs", "scratch"))
    (clone / ".venv").symlink_to(sys.prefix)
    with (scratch / "stdout").open("w+") as stdout, (scratch / "stderr").open("w+") as stderr:
        started = subprocess.Popen(
            ["bash", "-c", script(request.param)],
            cwd=clone,
            env={**os.environ, "TMPDIR": str(scratch), "OUTPUTS": str(outputs)},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        with group(started) as process:
            status = process.wait(SECONDS)
            left_running = group_stays(process.pid)
    return Ran(status, (scratch / "stdout").read_text(), (scratch / "stderr").read_text(), outputs, left_running)


def group_stays(number: int) -> bool:
    """Whether any process of the group is there after some seconds: an enclave's compiler ends after its enclave."""
    patience = time.monotonic() + 5
    while group_exists(number) and time.monotonic() < patience:
        time.sleep(0.05)
    return group_exists(number)


def group_exists(number: int) -> bool:
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_every_command_runs_and_nothing_stays(ran: Ran) -> None:
    assert ran.status == 0, ran.stderr
    assert not ran.left_running
    assert "171 results.jsonl" in ran.stdout
    assert "171 results, the first: ('benign',)" in ran.stdout
    assert ran.stdout.count('"status": "answered"') == 171
    assert " refused " not in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("block", CONSOLES, ids=lambda block: " ".join(block.command.split()[:2]))
def test_a_command_prints_what_is_shown(block: Block, ran: Ran) -> None:
    if block.command.startswith(OPTIONAL) and shutil.which(OPTIONAL) is None:
        pytest.skip(f"{OPTIONAL} is not installed: its command was not run")
    assert ran.status == 0, ran.stderr
    assert missing(block.shown, (ran.outputs / str(block.line)).read_text()) == []


@pytest.mark.slow
def test_the_demo_prints_what_is_shown() -> None:
    [block] = [each for each in BLOCKS if each.command == "make demo"]
    command = [sys.executable, "-m", "sealedge", "demo"]
    done = subprocess.run(
        command, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    assert missing(block.shown, done.stdout) == []


def test_what_is_not_printed_would_be_noticed() -> None:
    printed = "  1.50  saw 12 messages of 5dbf4574a0e29d4ec0e9\nand so on"
    assert missing(["0.31 saw 9 messages of 00aa4574a0e29d4e", "and …"], printed) == []
    assert missing(["saw 9 messages", "an", "or …"], printed) == ["saw 9 messages", "an", "or …"]


def test_every_block_is_of_a_kind_that_is_run_or_drawn() -> None:
    assert {block.language for block in BLOCKS} == {"sh", "python", "console", "text"}
    assert len(BLOCKS) == TEXT.count("```") / 2
    assert all(block.text.startswith("$ ") for block in BLOCKS if block.language == "console")


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language in {"sh", "python"}], ids=lambda b: b.line)
def test_the_syntax_of_a_block(block: Block) -> None:
    if block.language == "python":
        compile(block.text, "README.md", "exec")
    else:
        assert subprocess.run(["bash", "-n"], input=block.text, text=True, check=False).returncode == 0


def test_readme_makefile_and_ci_agree() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {"demo", "test"} <= set(make_targets(TEXT)) <= targets
    ci = make_targets((ROOT / ".ci" / "run").read_text("utf-8"))
    assert {"lint", *make_targets(TEXT)} <= set(ci) <= targets


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", TEXT)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_tree_is_that_of_the_repository() -> None:
    [tree] = [block.text for block in BLOCKS if block.text.startswith("schemas/")]
    folders, top = [], ""
    for indent, name in re.findall(r"^( *)([\w.]+)/", tree, re.MULTILINE):
        top = top if indent else name
        folders.append(f"{top}/{name}" if indent else name)
    assert [name for name in folders if not (ROOT / name).is_dir()] == []
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} <= set(folders)
