"""`sealedge run`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sealedge.cli.options import FILE, as_json, print_json, with_build_packages

if TYPE_CHECKING:
    from publisher.package import ModelDescription

SHOWN: Final = 10
"""Inferences, and numbers of each, that are printed; a file holds all."""


@click.command("run")
@click.argument("module", metavar="MODULE.wasm", type=FILE)
@click.option("--input", "inputs", metavar="[NAME=]FILE", multiple=True, required=True, help="A .npy or .npz file.")
@click.option("--description", metavar="FILE", type=FILE, help="Tensors and limits.  [default: MODULE.toml, if there]")
@click.option("--output", metavar="FILE", type=FILE, help="Write all outputs: .npy, or .npz for several.")
@as_json
def command(
    module: Path, inputs: tuple[str, ...], description: Path | None, output: Path | None, as_json: bool
) -> None:
    """Run a module on this machine: in the enclave's runtime, within its limits, without a fleet.

    An array with one dimension more than the input is as many inferences. Without a description the file's bytes are
    the input, and --output gets the bytes of the answer. Exit status 1: the module failed, or goes beyond a limit.

    \b
    Example:
      sealedge run model.wasm --input readings.npy
      sealedge run model.wasm --input image=photo.npy --input threshold=t.npy --output found.npz
    """
    with with_build_packages():
        from sealedge.operations.build_options import files  # noqa: PLC0415 - not for --help
        from sealedge.operations.run_module import find_description  # noqa: PLC0415

    found = find_description(module, description)
    given = files("--input", inputs)
    if found is None:
        _raw(module, given, output, as_json=as_json)
    else:
        _described(module, found, given, output, as_json=as_json)


def _raw(module: Path, given: dict[str, Path], output: Path | None, *, as_json: bool) -> None:
    from sealedge.operations.run_module import run_raw  # noqa: PLC0415
    from storage.files import write_private  # noqa: PLC0415

    answer, log = run_raw(module, given)
    if output is not None:
        write_private(output, answer)
    if as_json:
        print_json({"bytes": len(answer), "output": answer.hex(), "log": _text(log)})
        return
    click.echo(f"{len(answer)} bytes: {answer[:64].hex()}{'…' if len(answer) > 64 else ''}")
    _tell_log(log)


def _described(
    module: Path, description: "ModelDescription", given: dict[str, Path], output: Path | None, *, as_json: bool
) -> None:
    from sealedge.operations.run_module import run_described, write_outputs  # noqa: PLC0415

    ran = run_described(module, description, given)
    if output is not None:
        write_outputs(output, ran)
    if as_json:
        outputs = {spec.name: {"values": ran.array(spec).tolist(), "labels": ran.labels(spec)} for spec in ran.outputs}
        found: dict[str, Any] = {"inferences": len(ran.answers), "milliseconds": ran.seconds * 1000}
        print_json({**found, "outputs": outputs, "log": _text(ran.log)})
        return
    for number in range(min(len(ran.answers), SHOWN)):
        for spec in ran.outputs:
            click.echo(f"{spec.name} {spec.dtype}{list(spec.shape)}  {_line(ran, number, spec)}")
    if len(ran.answers) > SHOWN:
        click.echo(f"and {len(ran.answers) - SHOWN} more inferences")
    click.echo(f"{ran.seconds * 1000:.3f} ms an inference, call included")
    _tell_log(ran.log)


def _line(ran: Any, number: int, spec: Any) -> str:
    from sealedge.client.tensors import decode_values_untrusted  # noqa: PLC0415

    values = decode_values_untrusted(spec, ran.answers[number][spec.name])
    words = ", ".join(ran.labels(spec)[number][:SHOWN])
    numbers = " ".join(f"{each:.6g}" if isinstance(each, float) else str(each) for each in values[:SHOWN])
    return numbers + (" …" if len(values) > SHOWN else "") + (f"  {words}" if words else "")


def _text(log: bytes) -> str:
    return log.decode("utf-8", "replace")


def _tell_log(log: bytes) -> None:
    for line in _text(log).splitlines():
        click.echo("log: " + "".join(each if each.isprintable() else "?" for each in line))
