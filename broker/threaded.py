"""A link in a thread of its own, for programs that have their own main loop."""

from threading import Event as Signal
from threading import Thread
from types import TracebackType

from broker.link import Link
from broker.notes import Note
from broker.settings import ConnectionSettings
from broker.stepping import Listener
from broker.submissions import Act
from protocol.errors import TransportError
from protocol.party import Event, Noted, Party
from schemas.reason import Reason


class ThreadedLink:
    """As a context manager: connected when the block begins, left in order when it ends.

    `listener` is called in the link's thread. What ends the link is raised by `submit` and `stop`.
    """

    def __init__(
        self,
        party: Party,
        settings: ConnectionSettings,
        *,
        listener: Listener | None = None,
        strict: bool = False,
        start_timeout: float = 10.0,
    ) -> None:
        self._listener = listener
        self._start_timeout = start_timeout
        self._changed = Signal()
        self._error: BaseException | None = None
        self._last_loss = ""
        self.link = Link(party, settings, listener=self._heard, strict=strict)
        self._thread = Thread(target=self._run, name=f"link {party.client_id}", daemon=True)

    def start(self) -> None:
        """Start the thread and wait until the broker has accepted the connection and was sent the subscriptions.

        Raises:
            TransportError: it has not within the start timeout; the link is stopped then.
        """
        self._thread.start()
        is_in_time = self._changed.wait(self._start_timeout)
        if self._error is not None or not is_in_time:
            # Twice: nothing can be flushed to a broker that was never reached.
            self.link.stop()
            self.stop()
            raise TransportError(self._last_loss or "the broker did not answer in time", reason=Reason.TRANSPORT_FAILED)

    def submit(self, act: Act, timeout: float | None = 30.0) -> None:
        """Call `act(party, now)` in the link's thread and wait until its events are queued for sending.

        Raises:
            TransportError: the link has stopped.
            TimeoutError: the party was busy for `timeout` seconds.
            Exception: whatever `act` raised.
        """
        self.link.submit(act).result(timeout)

    def stop(self, timeout: float | None = None) -> None:
        """Leave in order and wait for the thread.

        Raises:
            TransportError: the link had ended on its own; with `strict`, also what escaped the party.
        """
        self.link.stop()
        if self._thread.is_alive():
            self._thread.join(timeout)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        try:
            self.link.run()
        except Exception as error:
            # Kept for whoever waits: a thread has nobody to raise it to.
            self._error = error
        finally:
            self._changed.set()

    def _heard(self, event: Event) -> None:
        if isinstance(event, Noted) and event.what == Note.CONNECTED:
            self._changed.set()
        elif isinstance(event, Noted) and event.what == Note.DISCONNECTED:
            self._last_loss = str(event.detail.get("why", ""))
        if self._listener is not None:
            self._listener(event)

    def __enter__(self) -> "ThreadedLink":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
