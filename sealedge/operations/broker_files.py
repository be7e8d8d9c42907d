"""The broker's own files in a fleet's folder: what `sealedge broker` reads, and a mosquitto for other machines.

mosquitto.conf, acl and passwd (or ca.pem, server.pem and server.key) lie in one folder, and mosquitto is started in it.
"""

from typing import Final, Literal

from broker.acl import acl_file
from broker.mosquitto import configuration
from sealedge.operations import texts
from sealedge.operations.access import members
from sealedge.operations.fleet import Fleet, make_folder
from storage.files import write_private

_START: Final = """\
# Start it in this folder, as the user that the files belong to:
#   cd broker && mosquitto -c mosquitto.conf
# Started by root, mosquitto becomes the user `mosquitto`:  chown -R mosquitto broker  first.
#
"""

_PLAIN: Final = """\
# WITHOUT TLS: passwords and message sizes are open to the network. The messages themselves are not.
"""


def write(fleet: Fleet) -> None:
    """Write `broker.toml`, `mosquitto.conf` and `acl` for the parties that the fleet has now; they may exist."""
    folder, address = fleet.folder.broker, fleet.description.address
    trial = texts.table([("kind", "auto"), ("port", address.port), ("state", "state")])
    write_private(folder / "broker.toml", f"# For `sealedge broker`: trials on this machine.\n{trial}".encode())
    write_private(folder / "mosquitto.conf", mosquitto_conf(fleet).encode())
    write_private(folder / "acl", acl_file(fleet.name, members(fleet)).encode())
    make_folder(folder / "data")


def mosquitto_conf(fleet: Fleet) -> str:
    """The production configuration of `broker.mosquitto`, with this fleet's port and its kind of accounts."""
    address = fleet.description.address
    accounts: Literal["certificates", "passwords"] = "certificates" if fleet.description.certificates else "passwords"
    listener = f"{address.port} 127.0.0.1" if address.is_loopback else str(address.port)
    text = configuration(accounts, config_folder=".", data_folder="./data", listener=listener)
    if address.tls:
        return _START + text
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(("certfile", "keyfile"))]
    return _START + _PLAIN + "".join(lines)
