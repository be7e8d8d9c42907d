"""What passes between an enclave and a model's publisher: the request for its key, and the grant."""

from collections.abc import Mapping

from protocol.attestation import Passport
from protocol.envelope import Address, sign_message
from protocol.errors import AuthenticationError, Finding
from protocol.keys import SigningKey
from protocol.party import Publication
from protocol.trust import Trust
from schemas.kinds import Kind, Role
from schemas.model import KeyGrant, KeyRequest, Manifest
from schemas.reason import Reason


def key_request(
    trust: Trust, passport: Passport, key: SigningKey, manifest: Manifest, named: bytes, identifier: bytes, now: float
) -> Publication:
    """Asks for the content key of the manifest of this digest. `identifier` is what the release will answer."""
    agent = passport.agent
    request = KeyRequest(
        fleet=trust.fleet,
        agent=agent,
        model=manifest.model,
        version=manifest.version,
        manifest=named,
        request=identifier,
        attestation_result=passport.document,
        issued=int(now),
    )
    topic = trust.topics.key(manifest.model)
    address = Address(topic, manifest.publisher, identifier)
    return Publication(
        topic,
        sign_message(Kind.KEY_REQUEST, request, key, address),
        expiry=60,
        response_topic=trust.topics.inbox(Role.AGENT, agent),
        correlation=identifier,
    )


def check_grant(grant: KeyGrant, manifest: Manifest, named: bytes, request: bytes, agent: str, publisher: str) -> None:
    """Raises `AuthenticationError` unless this grant is for exactly what was asked (wrapped-key substitution)."""
    expected: Mapping[str, object] = {
        "fleet": manifest.fleet,
        "agent": agent,
        "model": manifest.model,
        "version": manifest.version,
        "manifest": named,
        "request": request,
    }
    for claim, value in expected.items():
        if getattr(grant, claim) != value:
            raise AuthenticationError(
                "a key for something else",
                reason=Reason.BINDING_MISMATCH,
                finding=Finding(f"key-release.{claim}", "as asked", "another"),
            )
    if publisher != manifest.publisher:
        raise AuthenticationError(
            "a key from another publisher",
            reason=Reason.UNKNOWN_SIGNER,
            finding=Finding("publisher", manifest.publisher, publisher),
        )
