"""Provenance and bill of materials: complete, the same each time, and without a clock of their own."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.errors import ConfigurationError
from publisher.compiler.bill_of_materials import bill_of_materials
from publisher.compiler.cost import Cost
from publisher.compiler.origin import Origin, check_licence, moment_of, sources_digest, versions_of
from publisher.compiler.provenance import provenance

ORIGIN = Origin(
    name="m",
    model_name="m.onnx",
    model=bytes(32),
    model_bytes=10,
    module=b"\1" * 32,
    module_bytes=20,
    source=b"\2" * 32,
    compiler="sealedge",
    cost=Cost({"Conv": 2}, 100, 10, 40),
    inputs=["x: float32[1]"],
    outputs=["y: float32[1]"],
    tolerance=1e-4,
    options={"dims": {"N": 1}},
    licence="MIT",
    versions={"onnx": "1.0", "ziglang": "0.17"},
)
DIGEST = re.compile(r"[0-9a-f]{64}")


def test_the_statement_is_an_in_toto_statement_with_slsa_s_fields() -> None:
    made = provenance(ORIGIN)
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["predicateType"] == "https://slsa.dev/provenance/v1"
    assert set(made["predicate"]) == {"buildDefinition", "runDetails"}
    definition, details = made["predicate"]["buildDefinition"], made["predicate"]["runDetails"]
    assert {"buildType", "externalParameters", "internalParameters", "resolvedDependencies"} == set(definition)
    assert definition["externalParameters"] == {"model": "m.onnx", "dims": {"N": 1}}
    digests = [each["digest"]["sha256"] for each in definition["resolvedDependencies"] if "digest" in each]
    digests += [made["subject"][0]["digest"]["sha256"], details["byproducts"][0]["digest"]["sha256"]]
    assert len(set(digests)) == 4
    assert all(map(DIGEST.fullmatch, digests))
    assert [each["uri"] for each in definition["resolvedDependencies"] if "uri" in each] == [
        "pkg:pypi/onnx@1.0",
        "pkg:pypi/ziglang@0.17",
    ]


def test_the_bill_is_cyclonedx_and_its_references_are_its_own() -> None:
    made = bill_of_materials(ORIGIN)
    components = [made["metadata"]["component"], *made["components"]]
    refs = [each["bom-ref"] for each in components]
    assert len(set(refs)) == len(refs)
    named = {each["ref"] for each in made["dependencies"]}
    named |= {ref for each in made["dependencies"] for ref in each.get("dependsOn", [])}
    assert named <= set(refs)
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", made["serialNumber"])
    assert {each["name"]: each["value"] for each in components[0]["properties"]} == {
        "sealedge:bytes": "20",
        "sealedge:macs": "100",
        "sealedge:parameters": "10",
        "sealedge:parameter-bytes": "40",
        "sealedge:compiler": "sealedge",
        "sealedge:operator:Conv": "2",
    }
    assert "licenses" not in bill_of_materials(replace(ORIGIN, licence=None))["metadata"]["component"]


@pytest.mark.parametrize("document", [provenance, bill_of_materials])
def test_a_time_is_there_only_when_it_is_said(document: object) -> None:
    assert callable(document)
    without, said = document(ORIGIN), document(replace(ORIGIN, moment="2026-01-02T03:04:05Z"))
    assert without == document(ORIGIN)
    assert not re.search(r"\d{4}-\d\d-\d\d", json.dumps(without))
    assert "2026-01-02T03:04:05Z" in json.dumps(said)


def test_the_compiler_s_own_sources_count(tmp_path: Path) -> None:
    def folder(name: str, **files: str) -> bytes:
        (tmp_path / name / "kernels").mkdir(parents=True)
        for file, text in files.items():
            (tmp_path / name / "kernels" / file.replace("_", ".")).write_text(text)
        return sources_digest(tmp_path / name)

    first = folder("a", x_py="1", y_h="2", z_pyc="3")
    assert first == folder("b", x_py="1", y_h="2")
    assert (
        len({first, folder("c", x_py="1", y_h="3"), folder("d", x_py="12", y_h=""), folder("e", y_py="1", x_h="2")})
        == 4
    )
    assert sources_digest() == sources_digest()


def test_epochs_and_licences() -> None:
    assert moment_of(None) is None
    assert moment_of("0") == "1970-01-01T00:00:00Z"
    for wrong in ("", "-1", "1.5", "yesterday", "9" * 30, "٣"):
        with pytest.raises(ConfigurationError):
            moment_of(wrong)
    for right in (None, "MIT", "Apache-2.0 OR MIT", "(GPL-2.0-only WITH Classpath-exception-2.0)"):
        check_licence(right)
    for wrong in ("", "a\nb", "x" * 300, "é"):
        with pytest.raises(ConfigurationError):
            check_licence(wrong)


def test_versions_name_the_compiler_that_was_used() -> None:
    assert set(versions_of("sealedge")) == {"numpy", "onnx", "onnxruntime", "ziglang"}
    assert set(versions_of("tinygrad")) == {"numpy", "onnx", "onnxruntime", "tinygrad", "ziglang"}
