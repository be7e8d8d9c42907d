"""The `sealedge` program: its commands, imported one at a time, and how each way to fail ends.

    0   done, or what was asked about holds
    1   what was asked about does not hold, or the other side is not there
    2   wrong usage, configuration or input
    70  a fault in sealedge itself (EX_SOFTWARE of sysexits.h); SEALEDGE_DEBUG=1 shows where

Whatever fails, the last line on stderr says so alone: `sealedge: REASON: what was expected and found`.
"""

import importlib
import os
import sys
from collections import UserDict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import click

from protocol.errors import ConfigurationError, LocalError, SealedgeError, printable
from schemas.plugins import without_plugins

DONE, UNFULFILLED, WRONG_INPUT, FAULT, INTERRUPTED = 0, 1, 2, 70, 130

COMMANDS: Final[dict[str, str]] = {
    "demo": "Show everything at once on this machine.",
    "attack": "Try every known attack, on the usual way and on sealedge.",
    "init": "Make a fleet: keys, credentials and settings of every party.",
    "enrol": "Add a party to a fleet.",
    "tee": "Enrol an agent's TPM: who its machine is, proven.",
    "broker": "Run a broker on this machine, for trials.",
    "share": "Configure one mosquitto for several fleets.",
    "verifier": "Run the verifier: challenge enclaves, appraise their evidence.",
    "build": "Compile an ONNX model to a WebAssembly module, and check it.",
    "run": "Run a module on this machine, as an enclave would.",
    "publisher": "Publish models and lend their keys to attested enclaves.",
    "agent": "Run an agent with its enclave.",
    "sensor": "Send readings to attested enclaves.",
    "consumer": "Receive results.",
    "receipt": "Check receipts offline.",
    "evidence": "Check a TEE's evidence offline.",
    "endorsements": "Keep what vendors say of their TEEs: certificates, revocation lists, TCB information.",
    "policy": "Show a verifier's policy, and try a new one on stored evidence.",
    "revoke": "Revoke a chip, measurement, model, credential or key.",
    "measure": "Show the measurement of this installation's enclave.",
    "watch": "Watch who says what on a fleet's topics, never its content.",
    "doctor": "Check this machine, a party's files and its broker.",
}
"""Every command with its short help, so that `sealedge --help` imports none of them."""


class LazyCommands(UserDict[str, click.Command]):
    """The commands by name. Imports `sealedge.cli.NAME` and takes its `command` when NAME is typed, and no sooner."""

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __missing__(self, name: str) -> click.Command:
        if name not in COMMANDS:
            raise KeyError(name)
        command = importlib.import_module(f"sealedge.cli.{name}").command
        if not isinstance(command, click.Command):
            raise ConfigurationError(f"the command {name} is broken")
        return command


class TabledGroup(click.Group):
    """A group whose help is the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """In the order of the table: the order in which a newcomer needs them."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=TabledGroup,
    commands=LazyCommands(),
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
)
@click.version_option(package_name="sealedge", message="%(package)s %(version)s")
def program() -> None:
    """AI inference on edge devices that nobody needs to trust, over MQTT 5.

    A first look at everything:   sealedge demo

    A fleet of your own:          sealedge init my-fleet --fleet plant --tee simulated

    Settings come from a TOML file; SEALEDGE_... variables stand above it, options above both.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit status. Prints one line for each way to fail."""
    sys.exit(_status(lambda: _run(arguments)))


def _run(arguments: Sequence[str] | None) -> int:
    without_plugins()
    result = program.main(arguments, prog_name="sealedge", standalone_mode=False)
    return result if isinstance(result, int) else DONE


def _status(run: Callable[[], int]) -> int:
    try:
        return run()
    except SealedgeError as error:
        return fail(error.diagnostics, WRONG_INPUT if isinstance(error, LocalError) else UNFULFILLED)
    except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt) as ended:
        return _ended(ended)
    except BrokenPipeError:
        return _reader_gone()
    except Exception as error:
        if os.environ.get("SEALEDGE_DEBUG") == "1":
            raise
        # Without the exception's own text: it may quote what it was given, a secret among it.
        return fail(f"internal: {type(error).__name__} (SEALEDGE_DEBUG=1 shows where)", FAULT)


def _ended(how: BaseException) -> int:
    """click's own ways to end a command."""
    if isinstance(how, click.exceptions.Exit):
        return how.exit_code
    if isinstance(how, click.ClickException):
        return fail(f"usage: {_explained(how)}", WRONG_INPUT)
    return fail("interrupted", INTERRUPTED)


def _explained(error: click.ClickException) -> str:
    """click's message; for wrong usage also where the right one is written."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    return error.format_message().rstrip(".") + hint


def fail(line: str, status: int) -> int:
    """One line on stderr, and the status that it explains.

    What a stranger chose may be in it: no control character reaches the terminal.
    """
    print(f"sealedge: {printable(' '.join(line.split()))}", file=sys.stderr, flush=True)
    return status


def _reader_gone() -> int:
    """Whoever read our output has seen enough. Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UNFULFILLED
