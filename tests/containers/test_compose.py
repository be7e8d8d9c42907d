"""compose.yaml, really started: a fleet that answers, whose containers hold little, may do little, and tell nothing."""

import base64
import csv
import json
import math
import re
import struct
import time

import pytest

from edge_agent.enclave.confinement import MEASURES
from tests.containers.conftest import Stack
from tests.containers.engine import ROOT, DockerFailure, inspected, python, python_beside, run

pytestmark = pytest.mark.slow

PARTIES = {
    "verifier": "verifier",
    "publisher": "publisher",
    "agent-1": "agents/agent-1",
    "agent-2": "agents/agent-2",
}
"""The services that keep running in our image, and the folders of theirs in the fleet's."""

RUNNING = (*PARTIES, "broker")
TRIAL = (ROOT / "deploy/trial/readings.csv").read_text()
READINGS = [[float(cell) for cell in row] for row in csv.reader(TRIAL.splitlines())]

STATUS = """
import json
lines = (line.split(":", 1) for line in open("/proc/1/status"))
print(json.dumps({name: rest.split() for name, rest in lines}))
"""

WRITES = """
import json, os
def writes(folder):
    try:
        with open(os.path.join(folder, "written"), "w") as file: file.write("x")
        os.unlink(file.name)
        return True
    except OSError:
        return False
folders = [at for at, _, _ in os.walk("/") if not at.startswith(("/proc", "/sys", "/dev"))]
print(json.dumps(sorted(at for at in folders if writes(at))))
"""

DIGESTS = """
import hashlib, json, os
found = {}
for at, folders, files in os.walk("/"):
    folders[:] = [each for each in folders if os.path.join(at, each) not in ("/proc", "/sys", "/dev", "/usr", "/opt")]
    for name in files:
        try:
            data = open(os.path.join(at, name), "rb").read(65536)
        except OSError:
            continue
        found[hashlib.sha256(data).hexdigest()] = os.path.join(at, name)
print(json.dumps(found))
"""

SECRETS = """
import base64, json, pathlib
root = pathlib.Path("/authority/fleet")
found = {}
for path in sorted(root.rglob("*")):
    data = path.read_bytes() if path.is_file() else b""
    if path.suffix == ".key" or b"PRIVATE KEY" in data:
        found[str(path.relative_to(root))] = base64.b64encode(data).decode()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def secrets(stack: Stack) -> dict[str, bytes]:
    """Every private file that was made for this fleet, by its place in it."""
    found = python_beside({"/authority": stack.volume("authority")}, SECRETS)
    return {name: base64.b64decode(data) for name, data in found.items()}


def expected(reading: list[float]) -> list[float]:
    samples = [abs(struct.unpack("f", struct.pack("f", each))[0]) for each in reading]
    return [math.sqrt(sum(each * each for each in samples) / len(samples)), max(samples)]


def numbers(result: dict[str, object]) -> list[float]:
    return [number for tensor in result["output"].values() for number in tensor]  # type: ignore[attr-defined]  # JSON


# What it is for


def test_every_reading_is_answered_rightly_and_once(stack: Stack) -> None:
    assert stack.ended("sensor") == 0
    sent, received = stack.lines("sensor"), stack.lines("consumer")
    assert [each["status"] for each in sent] == ["answered"] * len(READINGS)
    assert sorted(each["request"] for each in received) == sorted(each["request"] for each in sent)
    for each in sent:
        assert numbers(each) == pytest.approx(expected(READINGS[each["row"] - 1]), rel=1e-6)
    by_request = {each["request"]: numbers(each) for each in received}
    assert all(numbers(each) == by_request[each["request"]] for each in sent)


def test_a_receipt_holds_offline(stack: Stack) -> None:
    request = stack.lines("consumer")[0]["request"]
    volumes = [("consumer-1-state", "/state"), ("trust", "/fleet/trust")]
    mounts = [word for name, at in volumes for word in ("--volume", f"{stack.volume(name)}:{at}:ro")]
    asked = ["receipt", "verify", f"/state/receipts/{request}.receipt", "--authority", "trust/authority.pub.pem"]
    said = run("run", "--rm", "--network", "none", "--read-only", *mounts, "sealedge:dev", *asked)
    assert said.startswith("The receipt holds.")


def test_all_that_keep_running_become_healthy(stack: Stack) -> None:
    stack.until_healthy(*RUNNING)


def test_each_agent_says_how_far_it_is_confined(stack: Stack) -> None:
    for agent in ("agent-1", "agent-2"):
        said = stack.compose("logs", "--no-log-prefix", agent)
        found = re.search(r'enclave-confined measures="([^"]*)"(?: missing="?([^"\n]*)"?)?', said) or pytest.fail(said)
        measures, missing = set(found[1].split()), set((found[2] or "").split())
        assert measures | missing == set(MEASURES)
        assert measures >= {"no-capabilities", "no-new-privileges", "not-dumpable", "seccomp", "separate-compiler"}


# What a container may do


def test_no_container_has_rights(stack: Stack) -> None:
    services = [*RUNNING, "init", "publish", "consumer", "sensor"]
    for found in inspected(*(stack.container(service) for service in services)):
        host = found["HostConfig"]
        assert found["Config"]["User"] == "10001:10001"
        assert (host["ReadonlyRootfs"], host["Privileged"], host["CapDrop"]) == (True, False, ["ALL"])
        assert not host["CapAdd"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert not host["PortBindings"]
        assert host["Memory"] > 0
        assert host["PidsLimit"] > 0


def test_the_first_process_is_nobody_and_has_no_capability(stack: Stack) -> None:
    for service in PARTIES:
        status = python(stack.container(service), STATUS)
        assert set(status["Uid"]) == set(status["Gid"]) == {"10001"}
        assert {int(status[each][0], 16) for each in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
        assert status["NoNewPrivs"] == ["1"]
    assert "10001" in run("top", stack.container("broker"), "-eo", "pid,uid")


def test_nothing_can_be_written_but_state_and_temporary_files(stack: Stack) -> None:
    for service in PARTIES:
        found = python(stack.container(service), WRITES)
        assert "/state" in found
        assert [at for at in found if at.split("/")[1] not in ("state", "tmp")] == []


def test_the_network_has_no_way_out(stack: Stack) -> None:
    name = f"{stack.project}_fleet"
    assert json.loads(run("network", "inspect", name))[0]["Internal"] is True
    for found in inspected(*(stack.container(service) for service in (*RUNNING, "consumer", "sensor"))):
        assert set(found["NetworkSettings"]["Networks"]) == {name}
    offline = inspected(stack.container("init"), stack.container("publish"))
    assert [found["HostConfig"]["NetworkMode"] for found in offline] == ["none", "none"]


# What a container knows


def test_a_party_has_its_own_keys_and_no_others(stack: Stack, secrets: dict[str, bytes]) -> None:
    assert len(secrets) > 15
    by_digest = python_beside({"/authority": stack.volume("authority")}, DIGESTS)
    digests = {digest: path.removeprefix("/authority/fleet/") for digest, path in by_digest.items()}
    for service, folder in PARTIES.items():
        there = python(stack.container(service), DIGESTS)
        found = {digests[digest] for digest in there if digest in digests} & set(secrets)
        own = {name for name in secrets if name.startswith(f"{folder}/")}
        assert own
        assert found == own


def test_nothing_that_docker_tells_holds_a_secret(stack: Stack, secrets: dict[str, bytes]) -> None:
    names = run("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={stack.project}").split()
    told = [json.dumps(inspected(*names)), stack.compose("logs", "--no-color"), stack.compose("config")]
    told.append(json.dumps(inspected("sealedge:dev")) + run("history", "--no-trunc", "sealedge:dev"))
    for name, data in secrets.items():
        for shown in printable(data):
            assert len(shown) > 30
            assert not any(shown in text for text in told), name


def printable(secret: bytes) -> list[str]:
    """What a private file could be told as. The longest line of a PEM file is key; the others are CBOR, and no text."""
    if b"PRIVATE KEY" in secret:
        return [max(secret.decode("ascii").splitlines(), key=len)]
    return [secret.hex(), base64.b64encode(secret).decode()]


# What survives


def test_an_agent_and_a_broker_that_went_and_came_answer_again(stack: Stack) -> None:
    stack.compose("restart", "--timeout", "5", "agent-1")
    stack.compose("stop", "--timeout", "5", "broker")
    until = time.monotonic() + 60
    while is_well(stack, "verifier"):
        assert time.monotonic() < until, "a party without a broker must not look healthy"
        time.sleep(1)
    stack.compose("start", "broker")
    stack.until_healthy(*RUNNING)
    stack.compose("run", "--rm", "--no-deps", "sensor")


def is_well(stack: Stack, service: str) -> bool:
    try:
        run("exec", stack.container(service), "python", "-m", "broker.heartbeat")
    except DockerFailure:
        return False
    return True


def test_a_fleet_that_went_down_comes_up_with_its_keys(stack: Stack, secrets: dict[str, bytes]) -> None:
    stack.compose("down", "--timeout", "5")
    stack.compose("up", "--detach", "--no-build")
    assert stack.ended("consumer") == 0
    assert "the fleet is there already" in run("logs", stack.container("init"))
    again = python_beside({"/authority": stack.volume("authority")}, SECRETS)
    assert {name: base64.b64decode(data) for name, data in again.items()} == secrets
