"""Requests inside an enclave, once the module has run: sign receipts, seal results to whoever may read them.

What is ready in one turn is signed together. Nothing waits for more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_agent.enclave.answers import Answer
from edge_agent.enclave.loading import Carried, Running
from edge_agent.enclave.sessions import Session
from edge_agent.enclave.waiting import RETRY_SECONDS, Asked
from protocol.attestation import Passport
from protocol.cbor import MAX_MESSAGE
from protocol.errors import EnclaveError, Finding, RemoteError
from protocol.keys import SigningKey
from protocol.messages import encode_message
from protocol.padding import padded
from protocol.party import Publication, Randomness
from protocol.receipts import commitment, sign_receipts
from protocol.status import refusal_of
from schemas.kinds import Kind
from schemas.reason import Reason
from schemas.session import CarriedState, InferenceRequest, InferenceResult, Receipt

PAD = 256
"""Results are padded to a multiple of this many bytes where the request was padded (P1)."""

SURROUNDING = 2**14
"""Bytes of a result besides output and attestation result: padding, receipt, and the keys wrapped for 8 recipients."""


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """A request whose module has run. `output` is without the next state; `carried` is the state before."""

    asked: Asked
    output: bytes = field(repr=False)
    running: Running
    carried: Carried | None
    passport: Passport


def check_room(output: bytes, passport: Passport) -> None:
    """Raises `EnclaveError` (output-too-large) where a message would not hold it, with all that stands around it.

    Whoever is answered with more than a message holds is not answered at all (P12).
    """
    room = MAX_MESSAGE - len(passport.document) - SURROUNDING
    if len(output) > room:
        raise EnclaveError(
            "the result is larger than a message may be",
            reason=Reason.OUTPUT_TOO_LARGE,
            finding=Finding("output bytes", f"at most {room}", str(len(output))),
        )


def answers(computed: Sequence[Computed], key: SigningKey, randomness: Randomness, now: float) -> list[Answer]:
    """What is published, in the same order: each sensor's reply, and the consumers' result where there are any.

    All receipts are signed together. Each output must have passed `check_room`.
    """
    salts = [randomness(32) for _ in computed]
    receipts = [_receipt(each, salt, now) for each, salt in zip(computed, salts, strict=True)]
    signed = sign_receipts(receipts, key)
    return [_answer(*each) for each in zip(computed, salts, signed, strict=True)]


def _receipt(computed: Computed, salt: bytes, now: float) -> Receipt:
    """Of several results of one session, each counts those before it as delivered."""
    request, session, passport = computed.asked.request, computed.asked.session, computed.passport
    running, carried, delivered = computed.running, computed.carried, session.delivered
    if delivered is not None:
        session.delivered = delivered + 1
    return Receipt(
        fleet=passport.result.fleet,
        agent=passport.agent,
        request=request.request,
        model=running.manifest.model,
        version=running.manifest.version,
        module=running.manifest.digest,
        input_commitment=commitment("input", salt, request.input),
        output_commitment=commitment("output", salt, computed.output),
        sequence=computed.asked.sequence,
        time=int(now),
        attestation_result=passport.digest,
        tier=passport.result.tier,
        session=session.terms.session,
        sender=session.sender.key.thumbprint,
        carried=None if carried is None else _committed(carried, salt),
        delivered=delivered,
    )


def _answer(computed: Computed, salt: bytes, receipt: bytes) -> Answer:
    request, session = computed.asked.request, computed.asked.session
    result = InferenceResult(
        request=request.request,
        output=computed.output,
        salt=salt,
        receipt=receipt,
        attestation_result=computed.passport.document,
        sender=session.sender.name,
    )
    return _publications(session, request, padded(result, 0 if request.padding is None else PAD))


def refuse(session: Session, error: RemoteError | EnclaveError, correlation: bytes, now: float) -> Publication:
    """A refusal inside the session: only the sensor reads it."""
    terms = session.terms
    retry_after = RETRY_SECONDS if error.reason is Reason.BUSY else None
    plaintext = encode_message(refusal_of(error, now, retry_after))
    payload = session.channel.seal(Kind.REFUSAL, plaintext, terms.reply_to, session.sender.name, correlation)
    return Publication(terms.reply_to, payload, correlation=correlation, expiry=60)


def _committed(carried: Carried, salt: bytes) -> CarriedState:
    return CarriedState(step=carried.steps, commitment=commitment("state", salt, carried.data))


def _publications(session: Session, request: InferenceRequest, result: InferenceResult) -> Answer:
    terms, correlation = session.terms, request.request
    own = result if terms.return_result else result.model_copy(update={"output": None, "padding": None})
    reply = session.channel.seal(Kind.REPLY, encode_message(own), terms.reply_to, session.sender.name, correlation)
    found = [Publication(terms.reply_to, reply, correlation=correlation)]
    if session.sealer is not None and terms.deliver_to is not None:
        sealed = session.sealer.seal(encode_message(result), terms.deliver_to, correlation)
        found.insert(0, Publication(terms.deliver_to, sealed, correlation=correlation))
    return tuple(found)
