"""Settings from the environment, by pydantic-settings: imported where there are some, for what it brings along."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from sealedge.settings import FileSettings


def above_file(path: Path, settings: "type[FileSettings]", prefix: str, nested: str) -> dict[str, Any]:
    """What the environment has for these settings, as their file would have it. Raises `ConfigurationError`.

    SEALEDGE_FOLDER is none of it: it would move every relative path.
    """
    source = EnvSettingsSource(cast("type[BaseSettings]", settings), env_prefix=prefix, env_nested_delimiter=nested)
    try:
        return {name: value for name, value in source().items() if name != "folder"}
    except SettingsError as error:
        # Lists and tables are JSON in the environment. The message names the field, never its value.
        raise ConfigurationError(f"{path}: the environment is not JSON where it must be: {error}") from None
