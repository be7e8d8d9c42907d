"""What arrives in a sensor's inbox: accepts, results and refusals, each believed only under its session's key.

COSE_Encrypt0 (tag 16)  inside a session: SessionAccept, InferenceResult, Refusal
COSE_Sign1 (tag 18)     outside of any: a refusal signed by the enclave
"""

from protocol.cose import parse_encrypt0_untrusted
from protocol.errors import AuthenticationError, Finding, RemoteError, UnexpectedError
from protocol.keys import VerifyingKey
from protocol.manifests import ManifestBook
from protocol.messages import decode_message_untrusted
from protocol.party import Delivery, Event, Noted
from protocol.status import StatusBoard
from schemas.kinds import Kind
from schemas.reason import Reason
from schemas.session import Receipt, SessionAccept
from schemas.status import Refusal
from sealedge.client.agents import Agents
from sealedge.client.dispatch import Dispatch
from sealedge.client.events import Answered, RequestRefused
from sealedge.client.outbox import Outbox
from sealedge.client.refusals import ELSEWHERE, LATER, open_refusal_untrusted
from sealedge.client.results import ResultCheck, VerifiedResult, correlation_untrusted
from sealedge.client.session import SensorSession, SessionTerms
from sealedge.client.sessions import Sessions
from sealedge.client.versions import ModelVersions

_SIGN1_START = 0xD2
"""The first byte of a COSE_Sign1 (RFC 9052 §2: tag 18)."""


class Replies:
    """Opens what the enclaves answer to the sensor `name` with signing key `key`, and acts on it."""

    def __init__(
        self,
        name: str,
        key: VerifyingKey,
        terms: SessionTerms,
        sessions: Sessions,
        dispatch: Dispatch,
        outbox: Outbox,
        agents: Agents,
        manifests: ManifestBook,
        check: ResultCheck,
        versions: ModelVersions,
        board: StatusBoard,
        retry_seconds: float,
    ) -> None:
        self._name, self._key, self._terms, self._sessions = name, key, terms, sessions
        self._dispatch, self._outbox, self._agents = dispatch, outbox, agents
        self._manifests, self._check, self._versions, self._board = manifests, check, versions, board
        self._retry_seconds = retry_seconds

    def receive_untrusted(self, delivery: Delivery, now: float) -> list[Event]:
        """Take one delivery from the inbox. Raises `RemoteError`: then the request goes on waiting."""
        correlation = correlation_untrusted(delivery.correlation)
        if delivery.payload[:1] == bytes((_SIGN1_START,)):
            return self._refused_outside(delivery, correlation, now)
        message = parse_encrypt0_untrusted(delivery.payload)
        session = self._sessions.find(message.kid)
        if session is None:
            raise UnexpectedError(
                "an answer in a session that is not open",
                reason=Reason.SESSION_UNKNOWN,
                finding=Finding("kid", "an open session", message.kid.hex()[:16]),
            )
        kind = _KINDS.get(message.typ)
        if kind is None:
            raise UnexpectedError("a message of another type", finding=Finding("typ", "an answer", message.typ[:64]))
        plaintext = session.channel.open_untrusted(message, kind, delivery.topic, self._name, correlation)
        session.heard_at = now
        return self._opened_untrusted(kind, plaintext, session, correlation, now)

    def _opened_untrusted(
        self, kind: Kind, plaintext: bytes, session: SensorSession, correlation: bytes, now: float
    ) -> list[Event]:
        """The peer of the session sealed this. What it says is still to be checked."""
        try:
            if kind is Kind.SESSION_ACCEPT:
                return self._accepted(decode_message_untrusted(SessionAccept, plaintext), session, now)
            if correlation != session.identifier and correlation not in self._outbox:
                self._board.count("repeated")
                return []
            if kind is Kind.REPLY:
                return self._answered(plaintext, session, correlation, now)
            refusal = decode_message_untrusted(Refusal, plaintext)
            return self._refused(refusal, session, correlation, now)
        except RemoteError as error:
            self._sessions.obstacle = error.reason
            raise

    def _accepted(self, accept: SessionAccept, session: SensorSession, now: float) -> list[Event]:
        if session.accepted is not None:
            self._board.count("repeated")
            return []
        self._check_manifest(accept)
        session.accept(accept, self._terms.model)
        self._sessions.obstacle = None
        opened = Noted("session-opened", {"agent": session.agent, "model": accept.model, "version": accept.version})
        return [opened, *self._dispatch.pump(now)]

    def _check_manifest(self, accept: SessionAccept) -> None:
        """Raises `AuthenticationError` where enclave and sensor hold different manifests of one version."""
        for manifest, name in self._manifests:
            if manifest.version == accept.version and name != accept.manifest:
                raise AuthenticationError(
                    "the enclave's manifest is not the one known here",
                    reason=Reason.BINDING_MISMATCH,
                    finding=Finding("session-accept.manifest", name.hex()[:16], accept.manifest.hex()[:16]),
                )

    def _answered(self, plaintext: bytes, session: SensorSession, request: bytes, now: float) -> list[Event]:
        verified = self._check.open_untrusted(plaintext, request, now)
        self._check_bound(verified, session)
        verified.check_input(self._outbox.entry(request).input)
        if self._terms.return_result and verified.result.output is None:
            raise UnexpectedError("a reply without the result", finding=Finding("result.output", "present", "absent"))
        self._accept_version(verified.receipt)
        self._agents.answered(session.agent)
        self._dispatch.end(request)
        self._sessions.obstacle = None
        self._board.count("answered")
        receipt = verified.receipt
        answered = Answered(
            request=request,
            output=verified.result.output,
            bundle=verified.bundle,
            agent=receipt.agent,
            model=receipt.model,
            version=receipt.version,
            tier=receipt.tier,
            step=verified.step,
        )
        return [answered, *self._dispatch.pump(now)]

    def _accept_version(self, receipt: Receipt) -> None:
        self._versions.check(receipt.model, receipt.version)
        self._versions.accepted(receipt.model, receipt.version)
        self._sessions.minimum_version = max(self._sessions.minimum_version, receipt.version)

    def _check_bound(self, verified: VerifiedResult, session: SensorSession) -> None:
        """Raises `AuthenticationError` unless this enclave made the receipt for this sensor in this session."""
        receipt, ours = verified.receipt, session.passport
        for claim, expected, found in (
            ("key", ours.signing_key.thumbprint, verified.passport.signing_key.thumbprint),
            ("agent", ours.agent.encode(), receipt.agent.encode()),
            ("session", session.identifier, receipt.session),
            ("model", self._terms.model.encode(), receipt.model.encode()),
            ("sender", self._key.thumbprint, receipt.sender),
        ):
            if expected != found:
                raise AuthenticationError(
                    "the receipt belongs to another session",
                    reason=Reason.BINDING_MISMATCH,
                    finding=Finding(f"receipt.{claim}", expected.hex()[:32], found.hex()[:32]),
                )

    def _refused_outside(self, delivery: Delivery, correlation: bytes, now: float) -> list[Event]:
        session = self._sessions.find(correlation) or self._dispatch.session_of(correlation)
        if session is None:
            raise UnexpectedError("a refusal of nothing that waits here", reason=Reason.SESSION_UNKNOWN)
        newest = self._agents.known(session.agent) or session.passport
        keys = (session.passport.signing_key, newest.signing_key)
        refusal = open_refusal_untrusted(delivery, keys, correlation)
        return self._refused(refusal, session, correlation, now)

    def _refused(self, refusal: Refusal, session: SensorSession, correlation: bytes, now: float) -> list[Event]:
        """Wait, go elsewhere, or give up: see `sealedge.client.refusals`."""
        wait = refusal.retry_after or (0.0 if refusal.reason is Reason.SESSION_UNKNOWN else self._retry_seconds)
        self._sessions.obstacle = refusal.reason
        if refusal.reason in LATER and session.accepted is not None:
            self._dispatch.postpone(correlation, now + wait)
            return []
        if correlation == session.identifier or refusal.reason in LATER | ELSEWHERE:
            events = self._dispatch.lose(session, refusal.reason, now, wait)
            return [*events, *self._dispatch.pump(now)]
        self._dispatch.end(correlation)
        self._board.count("refused-by-enclave")
        return [RequestRefused(correlation, session.agent, refusal), *self._dispatch.pump(now)]


_KINDS = {str(kind): kind for kind in (Kind.SESSION_ACCEPT, Kind.REPLY, Kind.REFUSAL)}
