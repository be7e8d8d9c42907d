"""Settings: files, environment, paths, and errors of one line without a value in them."""

from pathlib import Path
from typing import Any

import pytest

from protocol.errors import ConfigurationError
from schemas.kinds import Tier
from sealedge.client.api import Sensor
from sealedge.client.settings import ConsumerSettings, SensorSettings, load_settings

LEAST = {"fleet": '"clinic"', "name": '"sensor-1"', "tiers": '["simulated"]', "model": '"scan"'}
BROKER = '[broker]\nurl = "mqtt://127.0.0.1:1883"\n'


def write(place: Path, broker: str = BROKER, **changes: str) -> Path:
    values = {**LEAST, **changes}
    lines = [f"{key} = {value}" for key, value in values.items() if value]
    path = place / "sensor.toml"
    path.write_text("\n".join(lines) + "\n" + broker)
    return path


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    settings = SensorSettings.load(write(tmp_path))
    assert (settings.fleet, settings.name, settings.model) == ("clinic", "sensor-1", "scan")
    assert settings.tiers == (Tier.SIMULATED,)
    assert settings.connection.url == "mqtt://127.0.0.1:1883"
    assert settings.path(settings.signing_key) == tmp_path / "signing.pem"
    assert (settings.return_result, settings.one_shot) == (True, False)


def test_a_folder_a_file_and_settings_are_the_same(tmp_path: Path) -> None:
    path = write(tmp_path)
    settings = load_settings(SensorSettings, path)
    assert load_settings(SensorSettings, tmp_path) == settings
    assert load_settings(SensorSettings, str(path)) == settings
    assert load_settings(SensorSettings, settings) is settings


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALEDGE_NAME", "sensor-2")
    monkeypatch.setenv("SEALEDGE_BROKER__URL", "mqtts://broker.example")
    monkeypatch.setenv("SEALEDGE_TIERS", '["simulated"]')
    monkeypatch.setenv("SEALEDGE_IN_FLIGHT", "7")
    monkeypatch.setenv("SEALEDGE_VECTORS", "elsewhere")
    settings = SensorSettings.load(write(tmp_path))
    assert (settings.name, settings.broker.url, settings.in_flight) == ("sensor-2", "mqtts://broker.example", 7)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    for name in ("ca.pem", "client.pem", "client.key", "password"):
        (folder / name).write_text("x")
    broker = '[broker]\nurl = "mqtts://127.0.0.1"\nca_file = "ca.pem"\ncertificate_file = "client.pem"\n'
    broker += f'key_file = "{folder}/client.key"\nusername = "me"\npassword_file = "password"\n'
    settings = SensorSettings.load(write(folder, broker, signing_key='"/run/keys/signing.pem"', state='"../state"'))
    connection = settings.connection
    assert (connection.ca_file, connection.key_file) == (folder / "ca.pem", folder / "client.key")
    assert connection.password_file == folder / "password"
    assert settings.path(settings.signing_key) == Path("/run/keys/signing.pem")
    assert settings.path(settings.state).resolve() == tmp_path / "state"


def test_the_environment_does_not_move_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALEDGE_FOLDER", "/elsewhere")
    monkeypatch.setenv("sealedge_folder", "/elsewhere")
    loaded = SensorSettings.load(write(tmp_path))
    made = SensorSettings(**{**dict(loaded), "folder": tmp_path})
    for settings in (loaded, load_settings(SensorSettings, tmp_path), made):
        assert settings.path(settings.signing_key) == tmp_path / "signing.pem"


@pytest.mark.parametrize("variable", ["SEALEDGE_TIERS", "SEALEDGE_BROKER", "SEALEDGE_RECIPIENTS"])
def test_an_environment_that_is_not_json_where_it_must_be_is_one_line(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "hunter2")
    for source in (write(tmp_path), tmp_path):
        with pytest.raises(ConfigurationError, match="not JSON") as caught:
            Sensor(source)
        assert str(tmp_path / "sensor.toml") in str(caught.value)
        assert variable.removeprefix("SEALEDGE_").lower() in str(caught.value)
        assert "hunter2" not in caught.value.diagnostics + repr(caught.value.__cause__)
        assert "\n" not in str(caught.value)


def test_the_variable_is_named_where_it_is_at_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALEDGE_IN_FLIGHT", "hunter2")
    with pytest.raises(ConfigurationError) as caught:
        Sensor(write(tmp_path))
    assert str(caught.value) == "SEALEDGE_IN_FLIGHT: in_flight is wrong"
    assert "hunter2" not in caught.value.diagnostics


@pytest.mark.parametrize("name", ["folder", "_env_file", "_env_prefix"])
def test_what_steers_the_reading_is_no_setting(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"sensor.toml: {name} is not a setting"):
        SensorSettings.load(write(tmp_path, **{name: '"x"'}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fleet": ""}, "fleet is missing"),
        ({"tiers": ""}, "tiers is missing"),
        ({"tiers": "[]"}, "tiers"),
        ({"tiers": '["sgx2"]'}, "tiers.0"),
        ({"name": '"Sensor 1"'}, "name"),
        ({"surprise": "1"}, "surprise is not a setting"),
        ({"in_flight": "0"}, "in_flight"),
        ({"in_flight": "65"}, "in_flight"),
        ({"request_seconds": "0"}, "request_seconds"),
        ({"session_seconds": "90000"}, "session_seconds"),
        ({"pad_to": "-1"}, "pad_to"),
        ({"durability": '"none"'}, "durability"),
        ({"deliver_to": '"UPPER"'}, "deliver_to"),
        ({"broker": ""}, "broker is missing"),
        ({"fleet": "clinic"}, "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_that_names_it(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    broker = changes.pop("broker", BROKER)
    with pytest.raises(ConfigurationError) as caught:
        SensorSettings.load(write(tmp_path, broker, **changes))
    text = str(caught.value)
    assert said in text
    assert "sensor.toml" in text
    assert "\n" not in text


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    broker = '[broker]\nurl = "mqtt://127.0.0.1"\nusername = "me"\npassword = "hunter2"\n'
    settings = SensorSettings.load(write(tmp_path, broker))
    assert settings.connection.password == "hunter2"
    assert "hunter2" not in repr(settings) + str(settings) + repr(settings.connection)
    for wrong in ('password = ["hunter2"]', 'passwort = "hunter2"', 'password = "hunter2"\nkeepalive = "hunter2"'):
        broken = f'[broker]\nurl = "mqtt://127.0.0.1"\nusername = "me"\n{wrong}\n'
        with pytest.raises(ConfigurationError) as caught:
            SensorSettings.load(write(tmp_path, broken))
        assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__) + str(caught.value.finding)


def test_settings_do_not_change(tmp_path: Path) -> None:
    settings = SensorSettings.load(write(tmp_path))
    with pytest.raises(ValueError, match="frozen"):
        settings.name = "other"


def test_a_consumers_settings(tmp_path: Path) -> None:
    path = tmp_path / "consumer.toml"
    path.write_text('fleet = "clinic"\nname = "doctor"\ntiers = ["simulated"]\nmodels = ["scan", "ecg"]\n' + BROKER)
    settings = load_settings(ConsumerSettings, tmp_path)
    assert settings.models == ("scan", "ecg")
    assert settings.path(settings.kem_key) == tmp_path / "kem.key"
