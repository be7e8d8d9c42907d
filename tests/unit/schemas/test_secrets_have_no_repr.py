"""No field that can hold plaintext or a key shows in a repr, and no validation error quotes its input."""

import inspect

import pytest
from pydantic import ValidationError

import schemas.attestation
import schemas.model
import schemas.session
import schemas.status
from schemas.base import Message
from schemas.session import InferenceRequest

SECRET_NAMES = {"secret", "salt", "content_key", "keys", "input", "output", "padding"}
MODULES = (schemas.attestation, schemas.model, schemas.session, schemas.status)
MODELS = [
    each for module in MODULES for _, each in inspect.getmembers(module, inspect.isclass) if issubclass(each, Message)
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_secret_fields_are_not_shown(model: type[Message]) -> None:
    shown = [name for name, info in model.model_fields.items() if name in SECRET_NAMES and info.repr]
    assert shown == []


def test_a_reading_is_neither_in_the_repr_nor_in_an_error() -> None:
    reading = b"systolic 180, diastolic 120"
    request = InferenceRequest(request=bytes(16), input=reading, issued=1, expires=2)
    assert "systolic" not in repr(request) + str(request)
    with pytest.raises(ValidationError) as refused:
        InferenceRequest(request=reading, input=reading, issued=1, expires=2)
    assert "systolic" not in str(refused.value)
