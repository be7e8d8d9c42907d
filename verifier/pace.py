"""How often something may happen: at most once in so many seconds for each name, in bounded memory."""

from collections import OrderedDict


class Pace:
    """Remembers when each of the last `limit` names passed. A forgotten name may pass again at once."""

    def __init__(self, seconds: float, limit: int = 4096) -> None:
        self._seconds, self._limit = seconds, limit
        self._passed: OrderedDict[str, float] = OrderedDict()

    def passes(self, name: str, now: float) -> bool:
        """Whether `name` may pass at `now`; if so, that is remembered."""
        last = self._passed.get(name)
        if last is not None and now < last + self._seconds:
            return False
        self._passed[name] = now
        self._passed.move_to_end(name)
        if len(self._passed) > self._limit:
            self._passed.popitem(last=False)
        return True

    def forget(self, name: str) -> None:
        """Let `name` pass the next time."""
        self._passed.pop(name, None)
