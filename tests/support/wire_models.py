"""Every model that is said, and hypothesis strategies for its instances, from the models' own constraints."""

import functools
import inspect
import types
from collections.abc import Callable, Iterable
from enum import Enum
from random import Random
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

import schemas.attestation
import schemas.model
import schemas.session
import schemas.status
from edge_agent.enclave.configuration import EnclaveLimits, Measured
from protocol.algorithms import ED25519, ESP256, HPKE_3_KE, HPKE_XWING_KE
from protocol.envelope import sign_document
from protocol.keys import KemPrivateKey, SigningKey
from protocol.messages import encode_message
from protocol.receipts import sign_receipts
from schemas.attestation import AttestationResult, Credential, EnclaveClaims
from schemas.base import Message
from schemas.kinds import Kind
from schemas.session import Receipt

Strategy = st.SearchStrategy[Any]

MODULES = (schemas.attestation, schemas.model, schemas.session, schemas.status)
SENT = [
    each
    for module in MODULES
    for _, each in inspect.getmembers(module, inspect.isclass)
    if issubclass(each, Message) and each.__module__ == module.__name__
]
HASHED = [EnclaveLimits, Measured]
MODELS: list[type[Message]] = [*SENT, *HASHED]

_RANDOM = Random(8610).randbytes
SIGNING = [SigningKey.generate(_RANDOM, algorithm=each) for each in (ESP256, ED25519)]
KEMS = [KemPrivateKey.generate(_RANDOM, algorithm=each).public for each in (HPKE_XWING_KE, HPKE_3_KE)]
KEY_FIELDS = {"kem_key": KEMS, "signing_key": SIGNING, "chip_key": SIGNING, "authority": SIGNING}


@functools.cache
def instances(model: type[Message], *, full: bool = False) -> Strategy:
    """Instances of a model; with `full`, all optional fields are there."""
    fields = {name: _field(model, name, info, full) for name, info in model.model_fields.items()}
    return st.builds(model, **fields)


@functools.cache
def smallest(model: type[Message]) -> Any:
    """One instance with all optional fields, always the same."""
    found: list[Any] = []

    @settings(max_examples=1, database=None, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None)
    @given(instances(model, full=True))
    def first(value: Any) -> None:
        found.append(value)

    first()
    return found[0]


def credential() -> bytes:
    """A document of this kind."""
    return sign_document(Kind.CREDENTIAL, smallest(Credential), SIGNING[0])


@functools.cache
def attestation_result() -> bytes:
    """A document of this kind, with a credential beside it."""
    return sign_document(Kind.ATTESTATION_RESULT, smallest(AttestationResult), SIGNING[0], credential())


@functools.cache
def receipt() -> bytes:
    """A document of this kind: one of three that were signed together."""
    return sign_receipts([smallest(Receipt)] * 3, SIGNING[0])[1]


DOCUMENT_FIELDS: dict[tuple[str, str], Callable[[], bytes]] = {
    ("Evidence", "claims"): lambda: encode_message(smallest(EnclaveClaims)),
    ("Evidence", "enrolment"): credential,
    ("KeyRequest", "attestation_result"): attestation_result,
    ("SessionOpen", "recipients"): credential,
    ("InferenceResult", "receipt"): receipt,
    ("InferenceResult", "attestation_result"): attestation_result,
    ("ReceiptBundle", "receipt"): receipt,
    ("ReceiptBundle", "attestation_result"): attestation_result,
}
"""Fields that hold a document of a known kind: the grammar looks inside, the model does not."""


def _field(model: type[Message], name: str, info: FieldInfo, full: bool) -> Strategy:
    document = DOCUMENT_FIELDS.get((model.__name__, name))
    if document is not None:
        one = st.builds(document)
        return st.lists(one, max_size=2).map(tuple) if name == "recipients" else one
    if name in KEY_FIELDS:
        keys = [getattr(key, "public", key).to_cose_key() for key in KEY_FIELDS[name]]
        found: Strategy = st.sampled_from(keys)
    else:
        found = _of(info.annotation, info.metadata, full)
    optional = type(None) in get_args(info.annotation)
    return st.none() | found if optional and not full else found


def _of(annotation: Any, metadata: Iterable[Any], full: bool) -> Strategy:
    """A strategy for a type under constraints."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of(arguments[0], [*metadata, *_constraints(arguments[1:])], full)
    if origin in (Union, types.UnionType):
        return _of(next(each for each in arguments if each is not type(None)), metadata, full)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return _tuple(arguments, metadata, full)
    if origin is dict:
        return st.dictionaries(st.text(max_size=8), _of(arguments[1], [], full), **_sizes(metadata, 8))
    return _scalar(annotation, metadata, full)


def _tuple(arguments: tuple[Any, ...], metadata: Iterable[Any], full: bool) -> Strategy:
    if arguments[-1] is not Ellipsis:
        return st.tuples(*(_of(each, [], full) for each in arguments))
    return st.lists(_of(arguments[0], [], full), **_sizes(metadata, 3)).map(tuple)


def _scalar(kind: Any, metadata: Iterable[Any], full: bool) -> Strategy:
    if isinstance(kind, type) and issubclass(kind, Message):
        return instances(kind, full=full)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if kind is bool:
        return st.booleans()
    if kind is int:
        return _integers(metadata)
    if kind is bytes:
        return st.binary(**_sizes(metadata, 64))
    pattern = next((getattr(each, "pattern", None) for each in metadata if getattr(each, "pattern", None)), None)
    if pattern:
        return st.from_regex(pattern.rstrip("$") + r"\Z").filter(lambda text: 1 <= len(text) <= 256)
    return st.text(**_sizes(metadata, 256))


def _integers(metadata: Iterable[Any]) -> Strategy:
    low, high = -(2**63), 2**63
    for each in metadata:
        low = each.ge if isinstance(each, annotated_types.Ge) else low
        high = each.le if isinstance(each, annotated_types.Le) else high
        high = each.lt - 1 if isinstance(each, annotated_types.Lt) else high
    return st.integers(low, high) | st.sampled_from([low, high])


def _sizes(metadata: Iterable[Any], most: int) -> dict[str, int]:
    """Lengths, no longer than `most` unless a longer one is asked for."""
    low, high = 0, most
    for each in metadata:
        low = each.min_length if isinstance(each, annotated_types.MinLen) else low
        high = min(most, each.max_length) if isinstance(each, annotated_types.MaxLen) else high
    return {"min_size": low, "max_size": max(low, high)}


def _constraints(metadata: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for each in metadata:
        found += each.metadata if isinstance(each, FieldInfo) else _unpacked(each)
    return found


def _unpacked(constraint: Any) -> list[Any]:
    return list(constraint) if isinstance(constraint, annotated_types.GroupedMetadata) else [constraint]
