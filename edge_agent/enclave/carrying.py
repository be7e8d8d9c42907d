"""State of recurrent models: carried from one request of a session to the next, and nowhere else (SPECIFICATION §9).

    request's input + state ─> module ─> output + next state

The state is kept when the request's answer is made, and with it: a request that is refused leaves it as it was, and one
that is repeated is answered and not computed.
"""

from typing import Final

from edge_agent.enclave.loading import Carried, Running
from edge_agent.enclave.sessions import Session, SessionTable
from edge_agent.enclave.waiting import Asked
from protocol.carried import sent_inputs, shown_outputs, state_bytes, tensor_bytes
from protocol.errors import AppraisalError, EnclaveError, Finding, FreshnessError
from schemas.model import TensorSpec
from schemas.reason import Reason

MAX_CARRIED_BYTES: Final = 2**26
"""State of all sessions together."""


class Carrying:
    """Which state a request starts from, and which it leaves."""

    def __init__(self, sessions: SessionTable) -> None:
        self._sessions = sessions

    def before(self, asked: Asked, running: Running) -> Carried | None:
        """The state that a request starts from; None where the model has none.

        Zeros for the first request of a session and for a one-shot, and where the state is another version's, or of
        a module that was erased meanwhile. Room for it is taken from here on.

        Raises `FreshnessError` (replayed) for a request that was carried before, or comes behind a later one;
        `EnclaveError` (input-invalid) where its input is not as long as the inputs without the state;
        `AppraisalError` (session-limit).
        """
        if running.manifest.state is None:
            return None
        _check_sent(asked.request.input, running)
        zeros = Carried(running, bytes(state_bytes(running.manifest)), 0)
        session = asked.session
        if session.is_one_shot:
            return zeros
        _check_next(asked)
        if session.carried is None or session.carried.by is not running:
            session.carried = None
            self._check_room(len(zeros.data))
            session.carried = zeros
        return session.carried

    def after(self, asked: Asked, before: Carried, data: bytes) -> None:
        """The request was answered: its session's next one starts from `data`. A one-shot leaves nothing."""
        session = asked.session
        if session.is_one_shot:
            return
        session.carried = Carried(before.by, data, before.steps + 1)
        session.carried_sequence = asked.sequence
        session.carried_requests.append(asked.request.request)

    def _check_room(self, size: int) -> None:
        if (found := self._sessions.carried_bytes + size) > MAX_CARRIED_BYTES:
            raise AppraisalError(
                "the sessions' state takes all the room there is",
                reason=Reason.SESSION_LIMIT,
                finding=Finding("state.bytes", f"<= {MAX_CARRIED_BYTES}", str(found)),
            )


def joined(asked: Asked, before: Carried | None) -> bytes:
    """What the module sees: the request's input, then the state."""
    return asked.request.input if before is None else asked.request.input + before.data


def cut(output: bytes, before: Carried | None) -> tuple[bytes, bytes]:
    """What the module gave: the output that is shown, and the next state.

    Raises `EnclaveError` (guest-trap) where the module's output is not as long as its outputs.
    """
    if before is None:
        return output, b""
    shown = len(output) - len(before.data)
    expected = _fixed_bytes(shown_outputs(before.by.manifest))
    if shown < 0 or (expected is not None and shown != expected):
        raise EnclaveError("the module's output does not fit its manifest")
    return output[:shown], output[shown:]


def _check_next(asked: Asked) -> None:
    session: Session = asked.session
    if asked.request.request in session.carried_requests:
        raise FreshnessError("this request was carried before, and its answer is kept no more", reason=Reason.REPLAYED)
    if asked.sequence < session.carried_sequence:
        raise FreshnessError(
            "a later request of this session was carried before this one came",
            reason=Reason.REPLAYED,
            finding=Finding("sequence", f"> {session.carried_sequence}", str(asked.sequence)),
        )


def _check_sent(data: bytes, running: Running) -> None:
    """After a shorter input a module could read state where input should be."""
    expected = _fixed_bytes(sent_inputs(running.manifest))
    if expected is not None and len(data) != expected:
        raise EnclaveError(
            "the input does not fit the manifest",
            reason=Reason.INPUT_INVALID,
            finding=Finding("input bytes", str(expected), str(len(data))),
        )


def _fixed_bytes(specs: tuple[TensorSpec, ...]) -> int | None:
    """How many bytes these have; None where a dimension is open."""
    return None if any(each.open for each in specs) else sum(map(tensor_bytes, specs))
