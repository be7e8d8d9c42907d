"""docs/models.md says what the commands take, and the numbers of the code."""

import re
from pathlib import Path
from typing import get_args

from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.configuration import EnclaveLimits
from protocol.cbor import MAX_MESSAGE
from publisher.compiler.open_length import LENGTHS
from schemas.model import DType, Manifest, TensorSpec
from sealedge.cli.build import command
from sealedge.operations.build_description import HEADROOM, MILLISECONDS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "models.md").read_text("utf-8")
MIB = 2**20


def most(model: type, name: str) -> int:
    found = [each.max_length for each in model.model_fields[name].metadata if hasattr(each, "max_length")]
    return int(found[0])


def test_every_option_is_one_and_each_is_told() -> None:
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    told = set(re.findall(r"--[a-z]+", TEXT)) - {"--describe", "--config", "--input"}
    assert told <= options, told - options
    assert {each for each in options if each.startswith("--")} - told <= {"--output", "--name", "--json"}


def test_the_numbers_are_those_of_the_code() -> None:
    module = EnclaveLimits().module
    assert f"An agent grants {module.memory_bytes // MIB} MiB, {module.milliseconds // 1000} s" in TEXT
    assert module.output_bytes == MIB == MAX_MESSAGE
    assert f"modules of {Limits().max_module_bytes // MIB} MiB" in TEXT.replace("\n", " ")
    assert (HEADROOM, MILLISECONDS[0], LENGTHS) == (20, 1000, 32)
    assert (most(TensorSpec, "shape"), most(Manifest, "inputs"), most(Manifest, "outputs")) == (8, 16, 16)
    *types, last = get_args(DType)
    assert f"of {', '.join(types)} or {last}" in TEXT.replace("\n", " ")


def test_its_links_lead_somewhere() -> None:
    assert [link for link in re.findall(r"\]\(([^)#]+)", TEXT) if not (ROOT / "docs" / link).exists()] == []
