"""What a model's owner writes about it: a TOML or JSON file of tensors, tiers and limits.

name = "breast-cancer"
tiers = ["simulated"]

[[inputs]]
name = "measurements"
dtype = "float32"
shape = [30]

[[outputs]]
name = "probabilities"
dtype = "float32"
shape = [2]
labels = ["benign", "malignant"]

[limits]
memory_bytes = 16777216
milliseconds = 1000
output_bytes = 4096
"""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from protocol.errors import ConfigurationError
from publisher.package import ModelDescription
from sealedge.settings import explained, read_toml
from storage.files import read_text

LIMITS: Final = {"memory_bytes": 2**26, "milliseconds": 2000, "output_bytes": 2**16}
"""What a module may use where its description says nothing."""


def load_description(path: Path, name: str | None, tiers: tuple[str, ...]) -> ModelDescription:
    """The description in this file; `name` and `tiers`, where given, stand above it. Raises `ConfigurationError`."""
    values = _read_json(path) if path.suffix == ".json" else read_toml(path)
    above = {**({"name": name} if name is not None else {}), **({"tiers": tiers} if tiers else {})}
    limits = {**LIMITS, **values["limits"]} if isinstance(values.get("limits"), dict) else LIMITS
    values = {"limits": limits, **values, **above}
    try:
        # Through JSON, because pydantic's strict mode takes lists for tuples only there.
        return ModelDescription.model_validate_json(json.dumps({**values, "limits": limits}))
    except ValidationError as error:
        raise explained(path, error) from None
    except TypeError:
        raise ConfigurationError(f"{path}: holds a date or a time, and no line of it is one") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: is not JSON: {type(error).__name__}") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path}: is not a JSON object")
    return found
