"""`python deploy/bytecode.py PACKAGE...`: import all of these, so that Python keeps the bytecode of what they need.

It goes where PYTHONPYCACHEPREFIX says. With a read-only file system, what has none is compiled at each start, and a
base image may come without that of Python's own library.
"""

import importlib
import pkgutil
import sys


def main(packages: list[str]) -> None:
    """Import every module but programs; one that needs a package that is not installed is of no use here."""
    for package in packages:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                _import(module.name)


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        sys.stdout.write(f"{name}: no {missing.name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
