"""Settings: the environment above the file, nothing unread, every fault in one line that quotes no secret."""

from pathlib import Path

import pytest

from protocol.errors import ConfigurationError
from sealedge.client.settings import ConsumerSettings
from sealedge.operations.embedded import load_embedded
from sealedge.operations.settings import (
    AgentSettings,
    OperatorSettings,
    PublisherSettings,
    VerifierSettings,
    access_of,
)

TEXT = """
fleet = "plant"
name = "verifier"
authority = "../trust/authority.pub.pem"
signing_key = "signing.pem"
credential = "credential.cwt"
policy = "policy.toml"

[broker]
url = "mqtt://broker:1883"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "verifier" / "verifier.toml"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        VerifierSettings.load(path)
    assert "\n" not in refused.value.diagnostics
    return refused.value.diagnostics


def test_paths_start_at_the_file(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEALEDGE_FOLDER", "/elsewhere")
    settings = VerifierSettings.load(file)
    assert settings.path(settings.authority) == file.parent / "../trust/authority.pub.pem"
    assert settings.path(settings.state) == file.parent / "state"


def test_the_environment_stands_above_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALEDGE_NAME", "other")
    monkeypatch.setenv("SEALEDGE_STATE", "elsewhere")
    monkeypatch.setenv("SEALEDGE_BROKER__URL", "mqtts://host")
    monkeypatch.setenv("SEALEDGE_BROKER__USERNAME", "me")
    settings = VerifierSettings.load(file)
    assert (settings.name, settings.state, settings.fleet) == ("other", Path("elsewhere"), "plant")
    assert (settings.connection.url, settings.connection.username) == ("mqtts://host", "me")


def test_the_command_line_stands_above_both(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALEDGE_BROKER__URL", "mqtts://host")
    settings = VerifierSettings.load(file)
    assert settings.with_broker("mqtt://typed").connection.url == "mqtt://typed"
    assert settings.with_broker(None) is settings
    assert settings.with_broker("mqtt://typed").broker.username is None


def test_a_dotenv_file_decides_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file.parent / ".env").write_text("SEALEDGE_NAME=other\n")
    monkeypatch.chdir(file.parent)
    assert VerifierSettings.load(file).name == "verifier"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "verifier"', "name = 3", "name is wrong"),
        ('name = "verifier"', "", "name is missing"),
        ('name = "verifier"', 'name = "verifier"\nnames = 1', "names is not a setting"),
        ('url = "mqtt://broker:1883"', "", "broker.url is missing"),
        ('url = "mqtt://broker:1883"', 'uri = "x"\nurl = "y"', "broker.uri is not a setting"),
        ("[broker]", "[broker", "is not TOML"),
        ('name = "verifier"', 'name = "verifier"\n_env_file = "x"', "_env_file is not a setting"),
        ('name = "verifier"', 'name = "verifier"\nfolder = "/"', "folder is not a setting"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(old: str, new: str, said: str, file: Path) -> None:
    file.write_text(TEXT.replace(old, new))
    line = refusal(file)
    assert said in line
    assert str(file) in line


def test_a_wrong_password_is_not_quoted(file: Path) -> None:
    file.write_text(TEXT + 'password = ["geheim"]\n')
    line = refusal(file)
    assert "broker.password" in line
    assert "geheim" not in line


def test_a_password_is_in_no_text_form(file: Path) -> None:
    file.write_text(TEXT + 'username = "me"\npassword = "geheim"\n')
    settings = VerifierSettings.load(file)
    assert "geheim" not in repr(settings) + str(settings.model_dump()) + repr(settings.connection)
    assert settings.connection.read_password() == "geheim"


def test_the_variable_is_named_where_it_is_at_fault(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALEDGE_BROKER__KEEPALIVE", "soon")
    assert refusal(file).startswith("configuration: SEALEDGE_BROKER__KEEPALIVE: broker.keepalive is wrong")


@pytest.mark.parametrize("variable", ["SEALEDGE_BROKER", "SEALEDGE_MODELS"])
def test_an_environment_that_is_not_json_where_it_must_be_is_one_line(
    variable: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "geheim")
    with pytest.raises(ConfigurationError, match="not JSON") as refused:
        AgentSettings.load(file)
    assert "geheim" not in refused.value.diagnostics


def test_a_clients_settings_are_told_the_same_way(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALEDGE_TIERS", "geheim")
    with pytest.raises(ConfigurationError, match="not JSON"):
        ConsumerSettings.load(file)


def test_a_publisher_says_to_whom_it_lends(file: Path) -> None:
    text = TEXT.replace('policy = "policy.toml"\n', "") + '\n[release]\nkey_lease_seconds = 60\nagents = ["east"]\n'
    file.write_text(text)
    release = PublisherSettings.load(file).release
    assert (release.key_lease_seconds, release.agents) == (60, frozenset({"east"}))


def test_the_access_of_any_party_is_its_fleet_and_broker(file: Path) -> None:
    access = access_of(file)
    assert isinstance(access, OperatorSettings)
    assert (access.fleet, access.connection.url) == ("plant", "mqtt://broker:1883")


def test_the_embedded_broker_is_told_by_file_and_option(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text('kind = "iotcore"\nport = 2000\nstate = "state"\n')
    assert load_embedded(path, kind=None, port=0) == load_embedded(
        None, kind="iotcore", port=0, state=tmp_path / "state"
    )
    path.write_text("port = 70000\n")
    with pytest.raises(ConfigurationError, match="port is wrong"):
        load_embedded(path)
