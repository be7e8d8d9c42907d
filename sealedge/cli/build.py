"""`sealedge build`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sealedge.cli.options import FILE, as_json, print_json, with_build_packages

if TYPE_CHECKING:
    from sealedge.operations.build import Wanted


def _list_operators(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    """`--operators`: every operator of the own compiler, and nothing else is done."""
    if not value or ctx.resilient_parsing:
        return
    with with_build_packages():
        from publisher.compiler.operators import known_operators  # noqa: PLC0415 - not for --help

    # The planner's own, in lower case, stand in no model.
    for name in sorted(each for each in known_operators() if each.removeprefix("ml.")[:1].isupper()):
        click.echo(name)
    ctx.exit()


@click.command("build")
@click.argument("model", metavar="MODEL.onnx", type=FILE)
@click.option("--output", "-o", metavar="FILE", type=FILE, help="The module.  [default: MODEL.wasm]")
@click.option(
    "--dim", "dims", metavar="NAME=N", multiple=True, help="A length that the model leaves open, or LEAST..MOST."
)
@click.option("--shape", "shapes", metavar="INPUT=N,N", multiple=True, help="The shape of a whole input; repeatable.")
@click.option("--constant", "constants", metavar="INPUT=N", multiple=True, help="An input that is always the same.")
@click.option("--normalise", metavar="INPUT=HOW", multiple=True, help="Take raw values: see below.")
@click.option("--state", metavar="INPUT=OUTPUT", multiple=True, help="Carried between requests of a session.")
@click.option("--labels", metavar="[OUTPUT=]FILE", multiple=True, help="The names of classes, one a line.")
@click.option("--sample", "samples", metavar="FILE", type=FILE, multiple=True, help="Inputs to check with: .npy, .npz.")
@click.option("--tolerance", metavar="T", type=click.FloatRange(0, 1), default=1e-4, help="The largest error.")
@click.option("--compiler", type=click.Choice(["auto", "sealedge", "tinygrad"]), default="auto", help="Which compiler.")
@click.option("--name", metavar="NAME", help="The model's name in its fleet.  [default: the file's]")
@click.option("--tier", "tiers", metavar="TIER", multiple=True, help="A kind of TEE that may hold it; repeatable.")
@click.option("--licence", metavar="SPDX", help="The model's licence, for the bill of materials.")
@click.option("--provenance", metavar="DIR", type=FILE, help="Write an in-toto statement and a CycloneDX ML-BOM there.")
@click.option(
    "--operators",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_operators,
    help="List the operators that sealedge's own compiler knows, and end.",
)
@as_json
def command(as_json: bool, **options: Any) -> None:
    """Compile an ONNX model to a WebAssembly module, and describe it for publishing.

    Writes MODEL.wasm and beside it MODEL.toml. What the module answers is compared with onnxruntime on random inputs
    and samples, in the enclave's own runtime; where one output differs by more than the tolerance, relative to its
    range, nothing is written and the exit status is 1. A model that cannot be compiled ends with 2, and what to do.

    --normalise x=mean:123.7,116.3,103.5,std:58.4,57.1,57.4,type:uint8,layout:nhwc makes the module take images as
    they come from a camera: bytes, channels last. Each part can be left out.

    \b
    Example:
      sealedge build model.onnx -o model.wasm --labels classes.txt --tier sev-snp
      sealedge run model.wasm --input reading.npy
      sealedge publisher publish model.wasm --describe model.toml --config plant/publisher/publisher.toml
    """
    with with_build_packages():
        from sealedge.operations.build import build  # noqa: PLC0415 - not for --help
        from sealedge.operations.build_display import Display, report, show  # noqa: PLC0415

    with Display(quiet=as_json) as display:
        built = build(_wanted(options), display.step)
    if as_json:
        print_json(report(built))
    else:
        show(built)


def _wanted(options: dict[str, Any]) -> "Wanted":
    from sealedge.operations import build_options as read  # noqa: PLC0415 - not for --help
    from sealedge.operations.build import Wanted  # noqa: PLC0415

    model: Path = options["model"]
    output: Path = options["output"] or Path(f"{model.stem}.wasm")
    if output.suffix != ".wasm":
        raise click.UsageError("the module's name ends in .wasm")
    return Wanted(
        model=model,
        output=output,
        dims=read.dims(options["dims"]),
        shapes=read.shapes(options["shapes"]),
        constants=read.constants(options["constants"]),
        normalise=read.normalise(options["normalise"]),
        state=read.state(options["state"]),
        labels=read.labels(options["labels"]),
        samples=options["samples"],
        tolerance=options["tolerance"],
        compiler=options["compiler"],
        name=options["name"],
        tiers=options["tiers"],
        licence=options["licence"],
        provenance=options["provenance"],
    )
