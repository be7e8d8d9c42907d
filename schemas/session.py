"""Sessions, requests, results and receipts."""

from typing import Annotated

from pydantic import Field

from schemas.attestation import TierName
from schemas.base import (
    Counter,
    Digest,
    Document,
    Identifier,
    Message,
    Name,
    Secret,
    Time,
    Topic,
    at,
)

Payload = Annotated[bytes, Field(max_length=2**24)]
"""A module's input or output: plaintext, so every field of this type is declared with `repr=False`."""


class InferenceRequest(Message):
    """One reading. `request` is the idempotency key: the same one is computed once (P7)."""

    request: Identifier = at(1)
    input: Payload = at(2, repr=False)
    issued: Time = at(3)
    expires: Time = at(4)
    padding: Payload | None = at(5, None, repr=False)


class SessionOpen(Message):
    """The plaintext of a session opening: a fresh secret, and who shall read the results.

    `recipients` are credentials of consumers with KEM keys; each result goes once to `deliver_to` sealed to all
    of them. The sensor itself is always answered on `reply_to`: with the result if `return_result`, with the
    receipt alone otherwise. With `request`, this is the one-shot form and no session remains.
    """

    session: Identifier = at(1)
    secret: Secret = at(2, repr=False)
    fleet: Name = at(3)
    agent: Name = at(4)
    model: Name = at(5)
    minimum_version: Counter = at(6)
    reply_to: Topic = at(7)
    deliver_to: Topic | None = at(8, None)
    recipients: tuple[Document, ...] = at(9, (), max_length=8)
    return_result: bool = at(10)
    tiers: tuple[TierName, ...] = at(11, min_length=1, max_length=16)
    attestation_result: Digest = at(12)
    issued: Time = at(13)
    expires: Time = at(14)
    request: InferenceRequest | None = at(15, None)


class SessionAccept(Message):
    """The enclave's answer under the new session's key: it holds the KEM key that the passport names."""

    session: Identifier = at(1)
    model: Name = at(2)
    version: Counter = at(3)
    manifest: Digest = at(4)
    attestation_result: Digest = at(5)
    expires: Time = at(6)
    window: int = at(7, ge=1, le=4096)


class CarriedState(Message):
    """What a request of a model with state started from: the state after `step` others of its session, 0 for zeros."""

    step: Counter = at(1)
    commitment: Digest = at(2)


class Receipt(Message):
    """Signed by the enclave: what was computed, from what, by which module, under which attestation result.

    Inputs and outputs stand as salted commitments, so that a receipt shown to others gives neither away. `carried`
    is there where the model's manifest has `state`, `delivered` where a session has recipients: how many of its
    results they were sent before this one.
    """

    fleet: Name = at(1)
    agent: Name = at(2)
    request: Identifier = at(3)
    model: Name = at(4)
    version: Counter = at(5)
    module: Digest = at(6)
    input_commitment: Digest = at(7)
    output_commitment: Digest = at(8)
    sequence: Counter = at(9)
    time: Time = at(10)
    attestation_result: Digest = at(11)
    tier: TierName = at(12)
    session: Identifier = at(13)
    sender: Digest = at(14)
    carried: CarriedState | None = at(15, None)
    delivered: Counter | None = at(16, None)


class InferenceResult(Message):
    """The plaintext of a reply or result: the output, and all that proves it without asking anyone.

    `output` is absent in the reply to a sensor that asked for the receipt alone. `salt` opens the commitments.
    """

    request: Identifier = at(1)
    output: Payload | None = at(2, None, repr=False)
    salt: Secret = at(3, repr=False)
    receipt: Document = at(4)
    attestation_result: Document = at(5)
    sender: Name = at(6)
    padding: Payload | None = at(7, None, repr=False)


class ReceiptBundle(Message):
    """A receipt with all that is needed to check it offline, as a file: `sealedge receipt verify`.

    `salt` opens the commitments; leave it out to prove that a computation took place and nothing of its content.
    """

    attestation_result: Document = at(1)
    receipt: Document = at(2)
    salt: Secret | None = at(3, None, repr=False)
