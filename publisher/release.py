"""When a content key is lent, and to whom: the checks of a key request, and the grant that answers it (P3, P5, P6).

key request ─> authentic (passport, signature) ─> entitled (time, revocations, lease, policy, version) ─> grant

Only who has shown that it holds the passport's key is answered at all: a publisher that signed refusals for
strangers would let anybody write into any agent's inbox.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from protocol.attestation import Passport, PassportBook, open_past_attestation_result_untrusted
from protocol.cose import parse_sign1_untrusted
from protocol.envelope import Address, open_message_untrusted
from protocol.errors import AuthenticationError, Finding, FreshnessError, MalformedError
from protocol.messages import decode_message_untrusted, digest
from protocol.party import Delivery
from protocol.trust import Trust, check_times
from publisher.policy import ReleasePolicy
from publisher.shelf import ShelvedModel
from schemas.kinds import Kind, Role
from schemas.model import KeyGrant, KeyRequest
from schemas.reason import Reason

MAX_KEY_REQUEST = 2**17
"""Bytes of a key request: the attestation result inside has at most 65,536."""


@dataclass(frozen=True, slots=True)
class Asker:
    """An enclave that asks: it holds the passport's signing key and signed this request for this topic.

    The passport was signed by a verifier of the fleet and is not revoked. Whether its lease runs, and whether the
    request is for what it may have, is not yet known. `content` names what was signed, whatever the signature.
    """

    request: KeyRequest
    passport: Passport = field(repr=False)
    content: bytes

    @property
    def agent(self) -> str:
        """The agent that the verifier names, whatever the request says."""
        return self.passport.agent


def open_key_request_untrusted(delivery: Delivery, publisher: str, trust: Trust, now: float) -> Asker:
    """Returns who asks for what, authentic; it is entitled to nothing before `check_release`.

    Raises `MalformedError`, `AuthenticationError`, `FreshnessError`, `AppraisalError` (revoked).
    """
    if len(delivery.payload) > MAX_KEY_REQUEST:
        raise MalformedError(
            "a key request that is too large",
            reason=Reason.OVERSIZED,
            finding=Finding("key-request", f"at most {MAX_KEY_REQUEST} bytes", f"{len(delivery.payload)}"),
        )
    payload = parse_sign1_untrusted(delivery.payload).payload
    claimed = decode_message_untrusted(KeyRequest, payload)
    passport = open_past_attestation_result_untrusted(claimed.attestation_result, trust, now)
    address = Address(delivery.topic, publisher, claimed.request)
    request = open_message_untrusted(KeyRequest, delivery.payload, Kind.KEY_REQUEST, passport.signing_key, address)
    return Asker(request, passport, digest(payload))


def check_release(
    asker: Asker,
    model: ShelvedModel,
    policy: ReleasePolicy,
    trust: Trust,
    passports: PassportBook,
    response_topic: str | None,
    now: float,
) -> None:
    """Returns if the asker may hold the content key of this model now.

    `passports` remembers how far each agent's attestation results had come: an older one than seen before is
    refused even while its lease runs (P8). Raises `RemoteError`s that say which check failed.
    """
    _check_same("key-request", _named_in(asker, response_topic), _expected_of(asker, model, trust))
    check_times("key-request", asker.request.issued, asker.request.issued + policy.request_seconds, now)
    trust.revocations.check_live(now)
    trust.revocations.check("model", model.manifest.digest)
    passports.accept_untrusted(asker.passport.document, asker.agent, now)
    passport = passports.live(asker.agent, now)
    passport.check_tier(model.manifest.tiers, "manifest.tiers")
    policy.check(passport)
    _check_newest(asker.request, model)


def key_grant(asker: Asker, model: ShelvedModel, policy: ReleasePolicy, now: float) -> KeyGrant:
    """The content key on loan: until the policy's lease or the passport's ends, whichever is first."""
    request, issued = asker.request, int(now)
    return KeyGrant(
        fleet=model.manifest.fleet,
        agent=asker.agent,
        model=model.manifest.model,
        version=model.manifest.version,
        manifest=model.digest,
        request=request.request,
        content_key=model.content_key,
        issued=issued,
        expires=min(issued + policy.key_lease_seconds, asker.passport.result.expires),
    )


def _named_in(asker: Asker, response_topic: str | None) -> dict[str, str]:
    request = asker.request
    return {
        "fleet": request.fleet,
        "agent": request.agent,
        "model": request.model,
        "response-topic": (response_topic or "none")[:256],
    }


def _expected_of(asker: Asker, model: ShelvedModel, trust: Trust) -> dict[str, str]:
    return {
        "fleet": trust.fleet,
        "agent": asker.agent,
        "model": model.manifest.model,
        "response-topic": trust.topics.inbox(Role.AGENT, asker.agent),
    }


def _check_same(what: str, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    for claim, value in expected.items():
        if found[claim] != value:
            raise AuthenticationError(
                f"a {what} of another party or place",
                reason=Reason.MISADDRESSED,
                finding=Finding(f"{what}.{claim}", value, found[claim]),
            )


def _check_newest(request: KeyRequest, model: ShelvedModel) -> None:
    if request.version != model.manifest.version:
        raise FreshnessError(
            "not the newest version of this model",
            reason=Reason.STALE,
            finding=Finding("key-request.version", str(model.manifest.version), str(request.version)),
        )
    if request.manifest != model.digest:
        raise AuthenticationError(
            "a manifest that this publisher did not sign for this version",
            reason=Reason.BINDING_MISMATCH,
            finding=Finding("key-request.manifest", model.digest.hex()[:16], request.manifest.hex()[:16]),
        )
