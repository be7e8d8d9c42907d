"""How a module came about: an in-toto Statement v1 that carries a SLSA Provenance v1 predicate.

It is not signed: whoever vouches for it signs it (in-toto's DSSE envelope, a release's signature). What names the
module on the wire is its SHA-256 in the signed manifest; the statement's subject has the same.
"""

from collections.abc import Mapping
from typing import Any, Final

from publisher.compiler.origin import Origin, package_version, sources_digest

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:sealedge:build:v1"
BUILDER: Final = "urn:sealedge:build"


def provenance(origin: Origin) -> dict[str, Any]:
    """The statement, ready for JSON."""
    return {
        "_type": STATEMENT,
        "subject": [{"name": f"{origin.name}.wasm", "digest": {"sha256": origin.module.hex()}}],
        "predicateType": PREDICATE,
        "predicate": {"buildDefinition": _definition(origin), "runDetails": _details(origin)},
    }


def _definition(origin: Origin) -> Mapping[str, Any]:
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {"model": origin.model_name, **origin.options},
        "internalParameters": {"compiler": origin.compiler, "flags": list(origin.flags)},
        "resolvedDependencies": [
            {"name": origin.model_name, "digest": {"sha256": origin.model.hex()}},
            {"name": "sealedge publisher.compiler", "digest": {"sha256": sources_digest().hex()}},
            *({"uri": f"pkg:pypi/{name}@{found}"} for name, found in origin.versions.items()),
        ],
    }


def _details(origin: Origin) -> Mapping[str, Any]:
    finished = {"metadata": {"finishedOn": origin.moment}} if origin.moment else {}
    return {
        "builder": {"id": BUILDER, "version": {"sealedge": package_version("sealedge")}},
        **finished,
        "byproducts": [{"name": "model.c", "digest": {"sha256": origin.source.hex()}}],
    }
