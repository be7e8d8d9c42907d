"""The leases that run: what was issued, when the agent is to be challenged again, and what ends a lease early.

A lease is renewed from its half on: the agent is challenged then, and again every eighth of the lease until it
answers or the lease ends. The schedule is remade from the store at a restart.
"""

import heapq
from collections.abc import Iterator, Sequence

from protocol.errors import AppraisalError
from protocol.messages import encode_message
from protocol.party import Store
from protocol.revocation import Revocations
from verifier.records import LastSequence, Lease, read_record

BUCKET = "verifier-leases"
SEQUENCES = "verifier-sequences"
RETRIES = 8
"""A renewal is tried again after this part of the lease."""


class Leases:
    """The newest lease of each agent, durable, and the sequence numbers that outlive them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[str, Lease] = {}
        self._due: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []
        for _, value in store.items(BUCKET):
            self._hold(read_record(Lease, value, BUCKET))

    def next_sequence(self, agent: str, now: float) -> int:
        """A number above all that this agent's results ever had, milliseconds of the clock where that is higher."""
        value = self._store.read(SEQUENCES, agent.encode())
        last = -1 if value is None else read_record(LastSequence, value, SEQUENCES).sequence
        return max(last + 1, int(now * 1000))

    def grant(self, lease: Lease, sequence: int) -> None:
        """Keep a lease in place of the agent's last. Durable together with its sequence number, or not at all."""
        with self._store.transaction():
            self._store.write(SEQUENCES, lease.agent.encode(), encode_message(LastSequence(sequence=sequence)))
            self._store.write(BUCKET, lease.agent.encode(), encode_message(lease))
        self._hold(lease)

    def end(self, agent: str) -> None:
        """Forget a lease; its sequence number stays."""
        self._store.delete(BUCKET, agent.encode())
        self._held.pop(agent, None)
        self._due.pop(agent, None)

    def live(self, agent: str, now: float) -> Lease | None:
        """The agent's lease, if it runs at `now`."""
        lease = self._held.get(agent)
        return lease if lease is not None and now < lease.expires else None

    def due(self, now: float) -> Sequence[Lease]:
        """The leases that want attention at `now`: each is put off until its next try, or has ended."""
        found = []
        while self._queue and self._queue[0][0] <= now:
            due, agent = heapq.heappop(self._queue)
            # An entry that a renewal or an end has overtaken stays in the queue until it comes up.
            if self._due.get(agent) == due:
                del self._due[agent]
                found.append(self._held[agent])
        for lease in found:
            if now < lease.expires:
                self._schedule(lease.agent, min(now + (lease.expires - lease.issued) / RETRIES, lease.expires))
        return found

    @property
    def deadline(self) -> float | None:
        """When `due` has something next, or None."""
        while self._queue and self._due.get(self._queue[0][1]) != self._queue[0][0]:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def revoked(self, revocations: Revocations) -> Sequence[tuple[Lease, AppraisalError]]:
        """The leases whose chip, measurement, signing key or enrolment is revoked, with the reason of each."""
        found = []
        for lease in self:
            try:
                _check_not_revoked(lease, revocations)
            except AppraisalError as error:
                found.append((lease, error))
        return found

    def __iter__(self) -> Iterator[Lease]:
        return iter(tuple(self._held.values()))

    def __len__(self) -> int:
        return len(self._held)

    def _hold(self, lease: Lease) -> None:
        self._held[lease.agent] = lease
        self._schedule(lease.agent, lease.issued + (lease.expires - lease.issued) / 2)

    def _schedule(self, agent: str, due: float) -> None:
        self._due[agent] = due
        heapq.heappush(self._queue, (due, agent))


def _check_not_revoked(lease: Lease, revocations: Revocations) -> None:
    revocations.check("credential", lease.enrolment)
    revocations.check("measurement", lease.measurement)
    revocations.check("key", lease.signing_key)
    if lease.chip is not None:
        revocations.check("chip", lease.chip)
