"""The appraisal policy: from TOML to a frozen model, and its name in attestation results.

Types are not guessed: a number in quotes or a yes for a true is an error, and so is a key that nothing reads,
since a misspelt line of a policy is a line that does not hold.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pydantic import ValidationError

from protocol.cbor import encode
from protocol.errors import ConfigurationError, Finding, RemoteError
from protocol.messages import digest
from schemas.policy import AppraisalPolicy, PolicyText, ReferenceValues
from schemas.reference_values import ReferenceDocument
from verifier.corim import read_corim_untrusted
from verifier.evidence.public_keys import public_key_untrusted
from verifier.evidence.roots import AMD, AWS, INTEL, PINNED_ROOTS, Roots

MAX_POLICY = 1 << 20
"""Characters of a policy file."""

_MAX_NAME = 128


def load_policy(text: str, files: Mapping[str, bytes] | None = None) -> AppraisalPolicy:
    """The policy that a TOML text holds, with the reference values of the files that it names.

    `files` holds what `named_files` says is needed. Raises `ConfigurationError`, one line, naming what is at fault.
    """
    said = _parsed(text)
    held = {name: getattr(said, name) for name in PolicyText.model_fields}
    return AppraisalPolicy(**held, documents=_documents(said.reference_values, files or {}))


def named_files(text: str) -> tuple[str, ...]:
    """The files that a policy names, each once. Raises `ConfigurationError` as `load_policy` does."""
    values = _parsed(text).reference_values
    return tuple(dict.fromkeys((*values.corim, *values.corim_unsigned, *values.corim_keys)))


def _parsed(text: str) -> PolicyText:
    if len(text) > MAX_POLICY:
        raise ConfigurationError(f"the policy is longer than {MAX_POLICY} characters")
    try:
        # Through JSON, because pydantic's strict mode takes lists for tuples and words for enums only there.
        return PolicyText.model_validate_json(json.dumps(tomllib.loads(text)), strict=True)
    except ValidationError as error:
        raise _explained(error) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the policy is not TOML: {error}") from None
    except TypeError:
        raise ConfigurationError("the policy holds a date or a time, and no line of it is one") from None


def _documents(values: ReferenceValues, files: Mapping[str, bytes]) -> tuple[ReferenceDocument, ...]:
    keys = []
    for name in values.corim_keys:
        with _named(name, files) as data:
            keys.append(public_key_untrusted(data, name))
    documents = []
    for names, trusted in ((values.corim, keys), (values.corim_unsigned, None)):
        for name in names:
            with _named(name, files) as data:
                documents.append(read_corim_untrusted(data, name, trusted, values.corim_profiles))
    return tuple(documents)


@contextmanager
def _named(name: str, files: Mapping[str, bytes]) -> Iterator[bytes]:
    """A file that the policy names: what is wrong with it is a fault of the configuration."""
    if name not in files:
        raise ConfigurationError(f"{name}: the policy names this file, and it was not read")
    try:
        yield files[name]
    except RemoteError as error:
        raise ConfigurationError(f"{name}: {error}", finding=error.finding) from None


def policy_id(policy: AppraisalPolicy) -> str:
    """`name@sha256:…`, the policy id of EAR's appraisals: 16 hex digits over all that the policy says."""
    text = policy.model_dump(mode="json", exclude={"documents"})
    said = digest(encode([text, [document.digest for document in policy.documents]])).hex()[:16]
    return f"{policy.name[:_MAX_NAME]}@sha256:{said}"


def roots_of(policy: AppraisalPolicy, pinned: Roots = PINNED_ROOTS) -> Roots:
    """The vendors' pinned roots, and beside them those of the policy's [roots]. For whoever builds the appraisers."""
    further = {AMD: policy.roots.amd, INTEL: policy.roots.intel, AWS: policy.roots.aws}
    vendors = {*pinned, *further}
    return {
        vendor: pinned.get(vendor, frozenset()) | {bytes.fromhex(each) for each in further.get(vendor, ())}
        for vendor in vendors
    }


def _explained(error: ValidationError) -> ConfigurationError:
    first = error.errors(include_url=False, include_context=False)[0]
    line = "policy." + ".".join(str(part) for part in first["loc"])
    found = repr(first["input"])[:80]
    if first["type"] == "extra_forbidden":
        finding = Finding(line, "a line that the policy knows", line.rpartition(".")[2])
        return ConfigurationError("the policy has a line that nothing reads", finding=finding)
    return ConfigurationError("the policy has a wrong value", finding=Finding(line, first["msg"], found))
