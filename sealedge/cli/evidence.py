"""`sealedge evidence verify` and `sealedge evidence kinds`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sealedge.cli.options import FILE, as_json, moment, print_json

if TYPE_CHECKING:
    from schemas.evidence import Part
    from sealedge.operations.evidence import Answer, Question

MAX_NONCE: Final = 64


def _nonce(ctx: click.Context, param: click.Parameter, value: str | None) -> bytes | None:
    """1 to `MAX_NONCE` bytes in hex."""
    if value is None:
        return None
    try:
        nonce = bytes.fromhex(value)
    except ValueError:
        raise click.BadParameter(f"{value[:40]!a} is not hexadecimal", ctx, param) from None
    if not 1 <= len(nonce) <= MAX_NONCE:
        raise click.BadParameter(f"a nonce has 1 to {MAX_NONCE} bytes, not {len(nonce)}", ctx, param)
    return nonce


@click.group("evidence", no_args_is_help=False)
def command() -> None:
    """Check a TEE's evidence offline.

    \b
    Example:
      sealedge evidence verify snp report=report.bin vcek=vcek.der chain=ask_ark_milan.pem
    """


@command.command("verify")
@click.argument("kind", metavar="KIND")
@click.argument("files", metavar="NAME=FILE...", nargs=-1, required=True)
@moment("--at", "When it must hold")
@click.option(
    "--nonce",
    metavar="HEX",
    callback=_nonce,
    help="What the evidence must answer: its report data, or the beginning of that with zeros behind.",
)
@click.option("--policy", metavar="FILE", type=FILE, help="Also hold it against this policy, every line.")
@click.option("--endorsements", metavar="DIR", type=FILE, help="Where parts that are not given are looked up.")
@as_json
def verify(
    kind: str,
    files: tuple[str, ...],
    at: float | None,
    nonce: bytes | None,
    policy: Path | None,
    endorsements: Path | None,
    as_json: bool,
) -> int:
    """Verify one piece of evidence, with all that endorses it, and show every line that was checked.

    `sealedge evidence kinds` names the kinds and their parts. evidence=FILE is a kind's first part, json=FILE what a
    tool printed (field=PATH: where in it), dir=FOLDER a folder with one file a part.

    Without --policy it refuses bad signatures, chains, times and nonces, revoked certificates, debug modes and
    firmware that matches no TCB level; TCB status, chip and measurement are shown and not judged.

    Exit status 0: accepted; 1: refused; 2: malformed, or a file, name or option that cannot be used.

    \b
    Example:
      sealedge evidence verify tdx quote=quote.bin collateral=collateral.json --nonce 48656c6c6f --json
    """
    from sealedge.operations.endorsements import read_endorsements  # noqa: PLC0415 - not for --help
    from sealedge.operations.evidence import Question  # noqa: PLC0415
    from sealedge.operations.policy import read_policy  # noqa: PLC0415

    judged = None if policy is None else read_policy(policy)
    now = time.time() if at is None else at
    question = Question(kind, {}, now, nonce, judged, read_endorsements(endorsements))
    return _show(_answer(question, files), as_json=as_json)


@command.command("kinds")
@as_json
def kinds(as_json: bool) -> None:
    """List the kinds of evidence that can be verified, and the parts that each is made of.

    \b
    Example:
      sealedge evidence kinds --json
    """
    from schemas.evidence import FORMATS  # noqa: PLC0415 - not for --help

    if as_json:
        print_json({name: [_part(part) for part in form.parts] for name, form in FORMATS.items()})
        return
    for name, form in FORMATS.items():
        click.echo(name)
        for part in form.parts:
            click.echo(f"  {part.name + '=':<19} {part.about}{' (or from the folder)' if part.endorses else ''}")
    click.echo("cmw\n  evidence=           any of these as a conceptual message wrapper (RFC 9999), as on the wire")


def _part(part: "Part") -> dict[str, object]:
    return {"name": part.name, "media_type": part.media_type, "about": part.about, "endorses": part.endorses}


def _answer(question: "Question", files: tuple[str, ...]) -> "Answer":
    from dataclasses import replace  # noqa: PLC0415 - not for --help

    from protocol.errors import RemoteError  # noqa: PLC0415
    from sealedge.operations.evidence import Answer, verify_untrusted  # noqa: PLC0415
    from sealedge.operations.evidence_files import parts_of  # noqa: PLC0415

    try:
        parts = parts_of(question.kind, files)
    except RemoteError as error:
        return Answer(question.kind, question.at, error=error)
    return verify_untrusted(replace(question, parts=parts))


def _show(answer: "Answer", *, as_json: bool) -> int:
    from sealedge.cli.application import DONE, UNFULFILLED, WRONG_INPUT, fail  # noqa: PLC0415 - not for --help
    from sealedge.operations.evidence_report import document_of, lines_of  # noqa: PLC0415

    if as_json:
        print_json(document_of(answer))
    else:
        for line in lines_of(answer):
            click.echo(line)
    if answer.error is None:
        return DONE
    return fail(answer.error.diagnostics, WRONG_INPUT if answer.verdict == "malformed" else UNFULFILLED)
