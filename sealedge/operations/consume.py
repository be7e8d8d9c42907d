"""Receiving results, telling of each in one JSON line, and keeping its receipt."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol.messages import decode_message_untrusted
from protocol.party import Event
from protocol.receipts import signed_receipt_untrusted
from schemas.session import Receipt, ReceiptBundle
from sealedge.client.api import Consumer
from sealedge.client.events import ResultReceived
from sealedge.client.outcome import ReceivedResult
from sealedge.client.settings import ConsumerSettings
from sealedge.operations.send import content
from storage.files import write_private


def consume(
    settings: ConsumerSettings,
    say: Callable[[dict[str, Any]], None],
    listener: Callable[[Event], None],
    *,
    count: int | None,
    timeout: float | None,
    receipts: Path | None,
) -> int:
    """Receive until `count` results, or for `timeout` seconds, or for ever. Returns how many came.

    A receipt is on the disk before its result is told. Raises `TransportError` where the broker is not there,
    `ConfigurationError` where a receipt cannot be written.
    """
    until = None if timeout is None else time.monotonic() + timeout
    received = 0
    with Consumer(settings, watch=lambda event: _watch(event, listener)) as consumer:
        while count is None or received < count:
            result = consumer.receive(None if until is None else max(0.0, until - time.monotonic()))
            if result is None:
                break
            if receipts is not None:
                write_private(receipts / f"{result.request.hex()}.receipt", result.receipt)
            say(described(result))
            received += 1
    return received


def described(result: ReceivedResult) -> dict[str, Any]:
    """A verified result, for a line of JSON. `time` is the enclave's, out of the receipt."""
    bundle = decode_message_untrusted(ReceiptBundle, result.receipt)
    receipt = decode_message_untrusted(Receipt, signed_receipt_untrusted(bundle.receipt)[0])
    return {
        "request": result.request.hex(),
        "sender": result.sender,
        "sender_key": result.sender_key.hex(),
        "agent": result.agent,
        "model": result.model,
        "version": result.version,
        "tier": str(result.tier),
        "time": receipt.time,
        **content(result),
    }


def _watch(event: Event, listener: Callable[[Event], None]) -> None:
    if not isinstance(event, ResultReceived):
        listener(event)
