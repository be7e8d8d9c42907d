"""The MQTT client identifier: on brokers that bind it to no account, whoever uses another's takes over its session."""

from broker.settings import ConnectionSettings
from protocol.cose import derive
from protocol.errors import ConfigurationError

SECRET_BYTES = 16

LEAST = 32
"""Bytes of a password that may be derived from: client identifiers stand in brokers' logs, where a short one could be
guessed from what was. The passwords that sealedge makes are that long."""


def client_identifier(name: str, settings: ConnectionSettings) -> str:
    """`name`, followed by what only the holder of the account's password or private key can know (RFC 5869).

    The same for as long as the account has this key, so that its session is found again. Without an account, or with a
    password shorter than `LEAST`, the name alone.

    Raises:
        ConfigurationError: the password or key file cannot be read.
    """
    secret = _secret(settings)
    if secret is None:
        return name
    return f"{name}-{derive(secret, f'sealedge client identifier {name}'.encode(), SECRET_BYTES).hex()}"


def _secret(settings: ConnectionSettings) -> bytes | None:
    if settings.key_file is None:
        password = (settings.read_password() or "").encode()
        return password if len(password) >= LEAST else None
    try:
        return settings.key_file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the key file {settings.key_file} cannot be read") from error
