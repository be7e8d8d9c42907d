"""One request inside an enclave, once the module has run: sign the receipt, seal the result to whoever may read it."""

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
from protocol.receipts import commitment, sign_receipt
from protocol.status import refusal_of
from schemas.kinds import Kind
from schemas.reason import Reason
from schemas.session import CarriedState, InferenceRequest, InferenceResult, Receipt

PAD = 256
"""Results are padded to a multiple of this many bytes where the request was padded (P1)."""


def answer(
    asked: Asked,
    output: bytes,
    running: Running,
    carried: Carried | None,
    passport: Passport,
    key: SigningKey,
    randomness: Randomness,
    now: float,
) -> Answer:
    """What is published: the sensor's reply, and the consumers' result where there are any.

    `output` is without the next state; `carried` is the state before.

    Raises `EnclaveError` (output-too-large) where it is more than a message may hold.
    """
    request, session = asked.request, asked.session
    _check_size("output", len(output))
    salt = randomness(32)
    receipt = Receipt(
        fleet=passport.result.fleet,
        agent=passport.agent,
        request=request.request,
        model=running.manifest.model,
        version=running.manifest.version,
        module=running.manifest.digest,
        input_commitment=commitment("input", salt, request.input),
        output_commitment=commitment("output", salt, output),
        sequence=asked.sequence,
        time=int(now),
        attestation_result=passport.digest,
        tier=passport.result.tier,
        session=session.terms.session,
        sender=session.sender.key.thumbprint,
        carried=None if carried is None else _committed(carried, salt),
        delivered=session.delivered,
    )
    result = InferenceResult(
        request=request.request,
        output=output,
        salt=salt,
        receipt=sign_receipt(receipt, key),
        attestation_result=passport.document,
        sender=session.sender.name,
    )
    found = _publications(session, request, padded(result, 0 if request.padding is None else PAD))
    if session.delivered is not None:
        session.delivered += 1
    return found


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
    for each in found:
        _check_size("reply", len(each.payload))
    return tuple(found)


def _check_size(what: str, size: int) -> None:
    """Whoever is answered with more than a message holds is not answered at all (P12)."""
    if size > MAX_MESSAGE:
        raise EnclaveError(
            "the result is larger than a message may be",
            reason=Reason.OUTPUT_TOO_LARGE,
            finding=Finding(f"{what} bytes", f"at most {MAX_MESSAGE}", str(size)),
        )
