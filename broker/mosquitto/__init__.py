"""Production configurations of mosquitto, as plain files to read, copy and change."""

from importlib.resources import files
from typing import Literal

CONFIG_FOLDER, DATA_FOLDER = "/mosquitto/config", "/mosquitto/data"
"""Where the container image eclipse-mosquitto:2 looks; the files beside this one say so, too."""

PORT_LINE = "listener 8883"


def configuration(
    accounts: Literal["certificates", "passwords"],
    *,
    config_folder: str = CONFIG_FOLDER,
    data_folder: str = DATA_FOLDER,
    listener: str = "8883",
) -> str:
    """The text of `mosquitto.conf`, with other folders and another listener (`PORT` or `PORT ADDRESS`) where wanted."""
    text = files(__name__).joinpath(f"{accounts}.conf").read_text(encoding="utf-8")
    text = text.replace(CONFIG_FOLDER, config_folder).replace(DATA_FOLDER, data_folder)
    return text.replace(PORT_LINE, f"listener {listener}")
