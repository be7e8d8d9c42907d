"""One mosquitto for several fleets that do not trust each other.

Every fleet has a listener with its own port, CA and mount point: mosquitto puts the mount point before all topics of
those who come in there. A certificate that one fleet's CA issues, whatever name it bears, opens that fleet's topics.
Accounts bear their fleet's name: MQTT client identifiers are the broker's, not the listener's, and mosquitto looks at
the account alone before it hands over what waits for one. A hostile CA could issue another fleet's names, and with an
identifier that is no secret to it (`broker.identifier`) take that session over; fleets that fear this need brokers of
their own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker.mosquitto import configuration
from protocol.errors import ConfigurationError
from sealedge.operations.fleet import FleetDescription, FleetFolder, make_folder, read_description
from storage.files import read_bytes, read_text, write_private

_USER: Final = re.compile(r"^user (.+)$", re.MULTILINE)
_TOPIC: Final = re.compile(r"^(topic (?:read|write|readwrite)) ", re.MULTILINE)
_LISTENER: Final = re.compile(r"^listener ", re.MULTILINE)
_BY_COMMON_NAME, _BY_SUBJECT = "use_identity_as_username true", "use_subject_as_username true"
_CERTIFICATES: Final = ("ca.pem", "server.pem", "server.key")


@dataclass(frozen=True, slots=True)
class _Guest:
    folder: FleetFolder
    description: FleetDescription

    @property
    def mount(self) -> str:
        return self.description.fleet

    @property
    def listener(self) -> str:
        address = self.description.address
        place = f"{address.port} 127.0.0.1" if address.is_loopback else str(address.port)
        text = configuration("certificates", config_folder=f"./{self.mount}", listener=place)
        listener = text[_start_of_listener(text) :].replace(_BY_COMMON_NAME, _BY_SUBJECT)
        if _BY_SUBJECT not in listener:
            raise ConfigurationError("the configuration of mosquitto names no accounts by certificates")
        return f"{listener}mount_point {self.mount}/\n"

    @property
    def acl(self) -> str:
        # The subject as RFC 2253 writes it: the last name first.
        text = _USER.sub(lambda found: f"user CN={found[1]},O={self.mount}", read_text(self.folder.broker / "acl"))
        return _TOPIC.sub(lambda found: f"{found[1]} {self.mount}/", text)


def share(target: Path, fleets: Sequence[Path]) -> None:
    """Write `mosquitto.conf`, `acl` and each fleet's certificates into `target`; what is there is replaced.

    The fleets' folders are read, and need no authority in them. Again after each `sealedge enrol`.

    Raises:
        ConfigurationError: a folder that is no fleet, a fleet without certificates, or two of one name or port.
    """
    guests = [_guest(directory) for directory in fleets]
    _check_distinct(guests)
    head = configuration("certificates", config_folder=".", data_folder="./data")
    text = head[: _start_of_listener(head)] + "\n".join(guest.listener for guest in guests)
    for guest in guests:
        for name in _CERTIFICATES:
            write_private(target / guest.mount / name, read_bytes(guest.folder.broker / name))
    write_private(target / "mosquitto.conf", text.encode())
    write_private(target / "acl", "\n".join(guest.acl for guest in guests).encode())
    make_folder(target / "data")


def _guest(directory: Path) -> _Guest:
    folder = FleetFolder(directory)
    guest = _Guest(folder, read_description(folder))
    if not guest.description.certificates:
        raise ConfigurationError(f"{directory}: a broker of several fleets needs certificates: `sealedge init --tls`")
    return guest


def _check_distinct(guests: Sequence[_Guest]) -> None:
    for what, values in (
        ("name", [guest.mount for guest in guests]),
        ("port", [str(guest.description.address.port) for guest in guests]),
    ):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ConfigurationError(f"two fleets have the {what} {twice[0]}: on one broker they need their own")


def _start_of_listener(text: str) -> int:
    """Where the settings of all listeners end. Raises `ConfigurationError`."""
    found = _LISTENER.search(text)
    if found is None:
        raise ConfigurationError("the configuration of mosquitto has no listener")
    return found.start()
