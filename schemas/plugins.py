"""pydantic without its plugins.

A plugin is code of any package in the environment, which pydantic looks for when the first model is made. In an enclave
nothing runs that is not measured; and to look is to import Python's package metadata, mail and archives with it, into
processes that stay. Programs that import sealedge as a library keep their plugins: only our own processes call this.
"""

import os
import sys
from types import ModuleType


def without_plugins() -> None:
    """To be called before the first model is imported. The environment's switch alone would still import the search."""
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    search = ModuleType("pydantic.plugin._loader")
    search.get_plugins = tuple  # type: ignore[attr-defined]  # there are none
    sys.modules.setdefault(search.__name__, search)
