"""Why a model is not compiled."""

from protocol.errors import ConfigurationError, Finding


class UnsupportedError(ConfigurationError):
    """An operator, or a form of it, that this compiler does not know. The fallback may."""

    def __init__(self, operator: str, why: str, remedy: str) -> None:
        """`remedy` is what whoever trained the model can do about it."""
        super().__init__(f"the operator {operator} {why}; {remedy}", finding=Finding("operator", remedy, operator))
        self.operator = operator
