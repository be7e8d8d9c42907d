"""Checking a broker with the accounts that are at hand: what it says of itself, and what it really does."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from broker.settings import ConnectionSettings
from protocol.party import Randomness
from sealedge.operations.doctor import Check, check_broker, has_failed
from sealedge.operations.fleet import FleetFolder
from sealedge.operations.settings import access_of

NOBODY = "doctor"
"""The fleet in whose topics a broker without accounts is tried out."""

Account = tuple[ConnectionSettings, str]
"""A way into a broker, and the fleet that it belongs to."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """`own` looks at the broker, and tries it out where a person named it; `other` is an account of another fleet."""

    own: Account | None
    other: Account | None
    tries_out: bool

    @classmethod
    def of(cls, config: Path | None, fleet: Path | None, broker: str | None, other: Path | None) -> "Accounts":
        """The accounts that the command line means. Raises `ConfigurationError`."""
        file = config if fleet is None else config or FleetFolder(fleet).operator / "operator.toml"
        own = _account(file, broker) if file is not None else None
        if file is None and broker is not None:
            own = (ConnectionSettings(url=broker), NOBODY)
        return cls(own, None if other is None else _account(other, None), broker is not None)


def _account(file: Path, broker: str | None) -> Account:
    settings = access_of(file)
    connection = settings.connection
    return (connection if broker is None else replace(connection, url=broker)), settings.fleet


def check_accounts(accounts: Accounts, randomness: Randomness) -> Iterator[Check]:
    """What the broker says of itself; then what it does, and whether it keeps fleets apart, as far as asked for."""
    if accounts.own is None:
        return
    said = list(check_broker(accounts.own[0]))
    yield from said
    if said[0].level == "fail":
        return
    if accounts.tries_out and not has_failed(said):
        from sealedge.operations.broker_conformance.report import check_conformance  # noqa: PLC0415 - where asked for

        yield from check_conformance(*accounts.own, randomness)
    if accounts.other is not None:
        from sealedge.operations.broker_conformance.fleets import check_fleets  # noqa: PLC0415 - where asked for

        yield from check_fleets(accounts.own, accounts.other, randomness)
