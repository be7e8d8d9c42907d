"""The broker's own configuration in a fleet's folder: what `sealedge broker` and a production mosquitto read."""

from sealedge.operations import texts
from sealedge.operations.fleet import Fleet
from storage.files import write_private


def write(fleet: Fleet) -> None:
    """Write `broker.toml`, `mosquitto.conf` and `acl` for the parties that the fleet has now; they may exist."""
    address, folder = fleet.description.address, fleet.folder.broker
    trial = texts.table([("kind", "auto"), ("port", address.port), ("state_folder", "state")])
    write_private(folder / "broker.toml", f"# For `sealedge broker`: trials on this machine.\n{trial}".encode())
