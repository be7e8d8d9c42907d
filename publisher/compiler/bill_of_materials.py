"""What a module is made of: a CycloneDX 1.6 bill of materials for machine learning (ECMA-424, ML-BOM)."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from publisher.compiler.origin import Origin, package_version
from publisher.compiler.provenance import BUILDER

SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.6.schema.json"


def bill_of_materials(origin: Origin) -> dict[str, Any]:
    """The document, ready for JSON. Its serial number follows from the module's digest."""
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid5(NAMESPACE_URL, f"{BUILDER}:{origin.module.hex()}:{origin.model.hex()}").urn,
        "version": 1,
        "metadata": {
            **({"timestamp": origin.moment} if origin.moment else {}),
            "tools": {"components": [_tool("sealedge", package_version("sealedge"))]},
            "component": _module(origin),
        },
        "components": [_model(origin), *(_package(name, found) for name, found in origin.versions.items())],
        "dependencies": [{"ref": "module", "dependsOn": ["model"]}, {"ref": "model"}],
    }


def _module(origin: Origin) -> Mapping[str, Any]:
    """The module, with its model card."""
    return {
        "type": "machine-learning-model",
        "bom-ref": "module",
        "name": f"{origin.name}.wasm",
        "hashes": [_hash(origin.module)],
        **_licences(origin),
        "modelCard": _card(origin),
        "properties": _properties(origin),
    }


def _model(origin: Origin) -> Mapping[str, Any]:
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": origin.model_name,
        "hashes": [_hash(origin.model)],
        **_licences(origin),
        "properties": [_property("bytes", origin.model_bytes)],
    }


def _card(origin: Origin) -> Mapping[str, Any]:
    return {
        "modelParameters": {
            "inputs": [{"format": each} for each in origin.inputs],
            "outputs": [{"format": each} for each in origin.outputs],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {
                    "type": f"{origin.measure} error against onnxruntime, relative to the range",
                    "value": f"<= {origin.tolerance:g}",
                }
            ]
        },
    }


def _properties(origin: Origin) -> list[Mapping[str, str]]:
    cost = origin.cost
    counted = {
        "bytes": origin.module_bytes,
        "macs": cost.macs,
        "parameters": cost.parameters,
        "parameter-bytes": cost.parameter_bytes,
        "compiler": origin.compiler,
    }
    operators = [_property(f"operator:{name}", count) for name, count in cost.operators.items()]
    return [*(_property(name, value) for name, value in counted.items()), *operators]


def _property(name: str, value: object) -> Mapping[str, str]:
    return {"name": f"sealedge:{name}", "value": str(value)}


def _licences(origin: Origin) -> Mapping[str, Any]:
    return {"licenses": [{"expression": origin.licence}]} if origin.licence else {}


def _hash(digest: bytes) -> Mapping[str, str]:
    return {"alg": "SHA-256", "content": digest.hex()}


def _tool(name: str, version: str) -> Mapping[str, str]:
    return {"type": "application", "name": name, "version": version}


def _package(name: str, version: str) -> Mapping[str, str]:
    # Used to make the module, and not a part of it: but for ziglang's C library.
    scope = "required" if name == "ziglang" else "excluded"
    purl = f"pkg:pypi/{name}@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "scope": scope}
