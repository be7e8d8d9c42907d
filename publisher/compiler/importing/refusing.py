"""One clear line about a model that cannot be taken; what it quotes of the model is harmless to print."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from protocol.errors import ConfigurationError, Finding

QUOTED: Final = 80
SENTENCE: Final = 300


def refused(message: str, claim: str = "", expected: object = "", found: object = "") -> ConfigurationError:
    """The error for a model; `expected` and `found` are printed when given."""
    finding = Finding(claim, str(expected), str(found)) if claim else None
    return ConfigurationError(message, finding=finding)


def quoted(name: str) -> str:
    """A name from a model: printable ASCII, short."""
    text = "".join(each if each.isprintable() and each.isascii() else "?" for each in name[:QUOTED])
    return f"'{text}'" if len(name) <= QUOTED else f"'{text}…' ({len(name)} characters)"


def one_line(words: str) -> str:
    """What a library said about a model, which it quotes: printable ASCII, short, on one line."""
    words = " ".join(words[: 4 * SENTENCE].split())
    text = "".join(each if " " <= each <= "~" else "?" for each in words)
    return text if len(text) <= SENTENCE else text[:SENTENCE] + " ..."


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Whatever a library raises about a model becomes one line that begins with `what`.

    Its readers raise what they like for bytes they do not like (also `RuntimeError`, `KeyError`, classes of C++).
    """
    try:
        yield
    except ConfigurationError:
        raise
    except MemoryError:
        raise refused(f"{what}: it needs more memory than an import may use") from None
    except RecursionError:
        raise refused(f"{what}: it is nested too deeply") from None
    except Exception as fault:
        raise refused(f"{what}: {one_line(str(fault) or type(fault).__name__)}") from None
