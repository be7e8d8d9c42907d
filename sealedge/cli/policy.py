"""`sealedge policy show` and `sealedge policy try`."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealedge.cli.options import FILE, as_json, config, print_json

if TYPE_CHECKING:
    from schemas.policy import AppraisalPolicy
    from schemas.reference_values import ReferenceDocument
    from sealedge.operations.policy_try import Trial


@click.group("policy", no_args_is_help=False)
def command() -> None:
    """Read a verifier's policy, and try a new one before it is used.

    \b
    Example:
      sealedge policy try new.toml --config plant/verifier/verifier.toml
    """


@command.command("show")
@click.argument("file", metavar="FILE", type=FILE)
@as_json
def show(file: Path, as_json: bool) -> None:
    """Show what a policy accepts: reference values and where each is from, firmware, expectations.

    Exit status 0: it can be used; 2: a line of it, or a CoRIM or key that it names, cannot. A caution says where it
    accepts more, or less, than one may think.

    \b
    Example:
      sealedge policy show plant/verifier/policy.toml
    """
    from sealedge.operations.policy import describe, read_policy  # noqa: PLC0415 - not for --help

    policy, now = read_policy(file), time.time()
    if as_json:
        print_json(describe(policy, now))
        return
    _print(_lines(policy, now))


@command.command("try")
@click.argument("new", metavar="NEW", type=FILE)
@config("verifier.toml")
@as_json
def try_(new: Path, config: Path, as_json: bool) -> int:
    """Try a policy on the newest evidence of every agent, as it was when the verifier appraised it.

    Nothing is changed, and the verifier may be running. Revocations are today's.

    Exit status 0: no agent would lose its attestation result; 1: one would; 2: the policy or the store cannot be used.

    \b
    Example:
      sealedge policy try new.toml --config plant/verifier/verifier.toml
    """
    from sealedge.cli.application import DONE, UNFULFILLED  # noqa: PLC0415 - not for --help
    from sealedge.operations.policy import read_policy  # noqa: PLC0415
    from sealedge.operations.policy_try import try_policy  # noqa: PLC0415
    from sealedge.operations.settings import VerifierSettings  # noqa: PLC0415
    from verifier.policy import policy_id  # noqa: PLC0415

    policy = read_policy(new)
    trials = try_policy(policy, VerifierSettings.load(config))
    lost = sum(trial.loses for trial in trials)
    if as_json:
        print_json({"policy": policy_id(policy), "lost": lost, "agents": [trial.summary() for trial in trials]})
    else:
        _print(_tried(policy_id(policy), trials, lost))
    return UNFULFILLED if lost else DONE


def _print(lines: Iterator[str]) -> None:
    """What a supplier of reference values or an agent chose may be in a line: no control character gets through."""
    from protocol.errors import printable  # noqa: PLC0415 - not for --help

    for line in lines:
        click.echo(printable(line))


def _lines(policy: "AppraisalPolicy", now: float) -> Iterator[str]:
    from sealedge.operations.policy import cautions  # noqa: PLC0415 - not for --help
    from verifier.policy import policy_id  # noqa: PLC0415

    values = policy.reference_values
    yield f"policy          {policy_id(policy)}"
    yield f"tiers           {_listed(policy.tiers.accept)}"
    yield f"debug           {'accepted' if policy.allow_debug else 'refused'}"
    yield f"firmware        {_listed(policy.tcb.accept)}"
    yield f"lease           {policy.lease_seconds} s, challenges {policy.challenge_seconds} s"
    for name, digests in (
        ("measurements", values.measurements),
        ("configurations", values.configurations),
        ("chips", values.chips),
        ("platforms", policy.tcb.platforms),
    ):
        yield from (f"{name:<15} {digest}  policy" for digest in digests)
    for document in policy.documents:
        yield from _document_lines(document, now)
    for each in policy.expect:
        yield f"expects         {each.tier} {each.claim} = {_listed([str(value) for value in each.any_of])}"
    yield from (f"caution         {line}" for line in cautions(policy, now))


def _document_lines(document: "ReferenceDocument", now: float) -> Iterator[str]:
    from verifier.reference_values import is_current  # noqa: PLC0415 - not for --help

    signed = "unsigned" if document.signer is None else f"signed by key {document.signer.hex()[:16]}"
    yield f"corim           {document.name} ({document.identifier}), {signed}"
    yield f"  validity      {_window(document)}{'' if is_current(document, now) else ': NOT VALID NOW'}"
    for triple in document.triples:
        yield f"  triple        {triple.environment.named or 'any environment'}, of tag {triple.tag}"
        for measurement in triple.measurements:
            said = [name for name, value in measurement if name not in {"digests", "key"} and value not in (None, ())]
            about = " ".join([measurement.key or "measurement", *(f"+{name}" for name in said)])
            yield from (f"    digest      {digest.hex()}  {about}" for digest in measurement.digests)
            yield from () if measurement.digests else (f"    without     {about}",)
    yield from (f"  not used      {line}" for line in document.skipped)


def _window(document: "ReferenceDocument") -> str:
    begins = "always" if document.not_before is None else _moment(document.not_before)
    return f"{begins} to {'ever' if document.not_after is None else _moment(document.not_after)}"


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"second {seconds}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(str(word) for word in words) or "none"


def _tried(policy: str, trials: Sequence["Trial"], lost: int) -> Iterator[str]:
    if not trials:
        yield "No agent has answered a challenge of this verifier yet: there is nothing to try the policy on."
        return
    yield f"{lost} of {len(trials)} agents would lose their attestation result under {policy}."
    width = max(len(trial.agent) for trial in trials)
    for trial in trials:
        mark = "LOSES" if trial.loses else "gains" if trial.gains else "same"
        was = f"{_word(trial.was)} at {_moment(trial.time)}"
        yield f"  {mark:<5}  {trial.agent:<{width}}  was {was}, would be {_word(trial.would_be)}"
        if trial.deciding is not None:
            found = trial.deciding
            yield f"         {found.claim}: expected {found.expected}, found {found.found}"
            yield from (f"         by {found.policy}",) if found.policy else ()


def _word(reason: str | None) -> str:
    return "affirmed" if reason is None else f"refused ({reason})"
