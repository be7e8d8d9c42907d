"""Client identifiers of parties with accounts cannot be guessed, and stay what they are."""

from pathlib import Path

import pytest

from broker.identifier import client_identifier
from broker.settings import ConnectionSettings
from protocol.errors import ConfigurationError

NAME = "sealedge-plant-agent-agent-1"


def with_password(password: str) -> ConnectionSettings:
    return ConnectionSettings(url="mqtt://localhost", username="agent-1", password=password)


def with_key(file: Path) -> ConnectionSettings:
    return ConnectionSettings(url="mqtts://localhost", certificate_file=file, key_file=file)


def test_without_an_account_or_a_long_secret_it_is_the_name() -> None:
    assert client_identifier(NAME, with_password("p" * 31)) == NAME
    assert client_identifier(NAME, ConnectionSettings(url="mqtt://localhost")) == NAME
    assert client_identifier(NAME, ConnectionSettings(url="mqtt://localhost", username="agent-1")) == NAME


def test_it_is_the_same_for_one_account_and_another_for_every_other(tmp_path: Path) -> None:
    keys = [tmp_path / "one.key", tmp_path / "two.key"]
    for key in keys:
        key.write_bytes(key.name.encode() * 20)
    accounts = [with_password("one" * 11), with_password("two" * 11), *map(with_key, keys)]
    found = [client_identifier(NAME, account) for account in accounts]
    assert found == [client_identifier(NAME, account) for account in accounts]
    assert len({*found, client_identifier("other", accounts[0])}) == 5
    assert all(each.startswith(f"{NAME}-") and len(each) == len(NAME) + 33 for each in found)


def test_it_gives_no_secret_away() -> None:
    found = client_identifier(NAME, with_password("hunter2" * 5))
    assert "hunter2" not in found
    assert b"hunter2".hex() not in found


def test_a_key_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    key = tmp_path / "gone.key"
    key.write_bytes(b"key")
    settings = with_key(key)
    key.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        client_identifier(NAME, settings)
