"""The broker folder of a new fleet works as it is: accounts, certificates and ACL, in a real mosquitto."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from broker.children import find_mosquitto
from broker.settings import ConnectionSettings
from protocol.errors import TransportError
from schemas.kinds import Role, Tier
from sealedge.operations.connack import ask_broker
from sealedge.operations.doctor import check_broker, has_failed
from sealedge.operations.fleet import Fleet
from sealedge.operations.init import FleetPlan, create_fleet
from sealedge.operations.publish import publish_retained
from sealedge.operations.revoke import publish_revocations
from sealedge.operations.settings import access_of

REVOCATIONS = "sealedge/v1/plant/revocations"


@contextmanager
def mosquitto(fleet: Fleet) -> Iterator[None]:
    """The fleet's broker, started in its folder."""
    program = find_mosquitto()
    if program is None:
        assert os.environ.get("CI") != "true", "CI must have mosquitto"
        pytest.skip("no mosquitto program is installed")
    folder = fleet.folder.broker
    if os.geteuid() == 0:
        # pytest's folders are the owner's alone: a mosquitto that root starts stays root here.
        conf = folder / "mosquitto.conf"
        conf.write_text("user root\n" + conf.read_text())
    command = [program, "-c", "mosquitto.conf"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(fleet.description.address.port)
        yield
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail("mosquitto does not listen")


def make(folder: Path, *, tls: bool) -> Fleet:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"{'mqtts' if tls else 'mqtt'}://127.0.0.1:{port}"
    plan = FleetPlan("plant", tee=Tier.SIMULATED, broker=url, tls=tls)
    return create_fleet(folder / "plant", plan, now=time.time(), randomness=os.urandom)


@pytest.fixture(scope="module", params=["passwords", "certificates"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = make(tmp_path_factory.mktemp("mosquitto"), tls=request.param == "certificates")
    with mosquitto(made):
        yield made


def connection(fleet: Fleet, role: Role, name: str) -> ConnectionSettings:
    return access_of(fleet.folder.settings(role, name)).connection


def test_every_party_is_let_in(fleet: Fleet) -> None:
    for party in fleet.folder.parties():
        checks = list(check_broker(connection(fleet, *party)))
        assert not has_failed(checks), checks


def test_a_stranger_is_not(fleet: Fleet) -> None:
    known = connection(fleet, Role.AGENT, "agent-1")
    strange = replace(known, username=None, password_file=None, certificate_file=None, key_file=None)
    if known.address.tls:
        # The broker ends the connection where TLS 1.3 asks for a certificate and gets none.
        with pytest.raises(TransportError):
            ask_broker(strange)
    else:
        assert ask_broker(strange).refusal is not None
        assert ask_broker(replace(known, password_file=None, password="guess")).refusal is not None


def test_a_party_without_the_fleets_ca_trusts_no_broker(fleet: Fleet) -> None:
    known = connection(fleet, Role.AGENT, "agent-1")
    if not known.address.tls:
        pytest.skip("without TLS there is nothing to trust")
    with pytest.raises(TransportError, match="certificate"):
        ask_broker(replace(known, ca_file=None))


def test_the_verifiers_account_publishes_revocations(fleet: Fleet) -> None:
    publish_revocations(fleet, None, None)


def test_who_may_only_listen_publishes_nothing_in_silence(fleet: Fleet) -> None:
    operator = access_of(fleet.folder.operator / "operator.toml").connection
    with pytest.raises(TransportError, match="did not take it"):
        publish_retained(operator, "sealedge-plant-test", REVOCATIONS, b"anything")


def test_a_broker_that_is_away_is_given_up(fleet: Fleet) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(TransportError, match="cannot reach"):
        publish_retained(ConnectionSettings(url=url, network_tries=1), "sealedge-plant-test", REVOCATIONS, b"x")
