"""Why a model is not compiled."""

from typing import ClassVar

from protocol.errors import ConfigurationError, Finding, SealedgeError
from schemas.reason import Reason


class UnsupportedError(ConfigurationError):
    """An operator, or a form of it, that this compiler does not know. The fallback may."""

    def __init__(self, operator: str, why: str, remedy: str) -> None:
        """`remedy` is what whoever trained the model can do about it."""
        super().__init__(f"the operator {operator} {why}; {remedy}", finding=Finding("operator", remedy, operator))
        self.operator, self.why = operator, why

    @property
    def diagnostics(self) -> str:
        """One line. The message says all that the finding does."""
        return " ".join(f"{self.reason.value}: {self}".split())


class MismatchError(SealedgeError):
    """The compiled model does not answer as the model does: nobody's input is wrong, and nothing is written."""

    default_reason: ClassVar[Reason] = Reason.MODEL_INVALID
