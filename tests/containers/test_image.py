"""The image: what is in it, who it runs as, and how it behaves without anything around it."""

import io
import re
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

from tests.containers.engine import inspected, run

pytestmark = pytest.mark.slow

MAX_BYTES = 220_000_000
PRIVATE = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}")
BUILDERS = {"numpy", "onnx", "onnxruntime", "tinygrad", "ziglang", "scikit_learn", "pytest", "uv", "setuptools"}


def files_of(image: str) -> Iterator[tuple[str, bytes]]:
    """Every regular file of every layer, also those that a later layer hides."""
    command = ["docker", "save", image]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as saved,
    ):
        for part in saved:
            found = saved.extractfile(part) if part.isfile() else None
            if found is not None:
                yield from unpacked(found.read())


def unpacked(layer: bytes) -> Iterator[tuple[str, bytes]]:
    """What is in a layer, compressed or not; nothing where these bytes are none."""
    try:
        with tarfile.open(fileobj=io.BytesIO(layer)) as files:
            for each in files:
                found = files.extractfile(each) if each.isfile() else None
                if found is not None:
                    yield each.name, found.read()
    except tarfile.ReadError:
        return


def test_it_is_small(image: str) -> None:
    assert inspected(image)[0]["Size"] < MAX_BYTES


def test_no_layer_holds_a_private_key_or_what_only_builds(image: str) -> None:
    seen = 0
    for name, data in files_of(image):
        seen += 1
        assert not PRIVATE.search(data), name
        package = name.partition("/site-packages/")[2].partition("/")[0]
        assert package.partition("-")[0] not in BUILDERS, name
    assert seen > 1000


def test_it_says_who_runs_what(image: str) -> None:
    config = inspected(image)[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["sealedge"]
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "broker.heartbeat"]
    assert not config.get("ExposedPorts")


def test_it_runs_with_nothing_granted(image: str) -> None:
    nothing = ["--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", "--security-opt", "no-new-privileges"]
    assert run("run", *nothing, image, "--version").startswith("sealedge ")
    # Another user than the image's own, as where files belong to somebody else.
    assert "agent" in run("run", *nothing, "--user", "4711:4711", image, "--help")


def test_a_party_that_never_connected_is_not_healthy(image: str) -> None:
    run("run", "--rm", "--network", "none", "--entrypoint", "python", image, "-m", "broker.heartbeat", status=1)
