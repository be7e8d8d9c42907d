"""Which topic filter matches which topic name (MQTT 5 §4.7, §4.8.2)."""

from functools import lru_cache

SHARED_PREFIX = "$share/"


@lru_cache(maxsize=65536)
def matches(topic_filter: str, topic: str) -> bool:
    """Whether a plain (not shared) filter matches a topic name (MQTT 5 §4.7.1).

    A filter that starts with a wildcard never matches a topic that starts with `$` (§4.7.2).
    """
    if topic.startswith("$") and not topic_filter.startswith("$"):
        return False
    levels = topic.split("/")
    wanted = topic_filter.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(levels) or level not in ("+", levels[position]):
            return False
    return len(wanted) == len(levels)


def shared(topic_filter: str) -> tuple[str | None, str]:
    """Split `$share/<name>/<filter>` into (name, filter); (None, filter) for a plain one (MQTT 5 §4.8.2)."""
    if not topic_filter.startswith(SHARED_PREFIX):
        return None, topic_filter
    name, _, rest = topic_filter[len(SHARED_PREFIX) :].partition("/")
    return name, rest


def is_valid_filter(topic_filter: str) -> bool:
    """Whether the string is a legal topic filter, shared or not (MQTT 5 §4.7.1, §4.7.3, §4.8.2)."""
    name, plain = shared(topic_filter)
    if name is not None and (not name or "+" in name or "#" in name):
        return False
    if not plain or not _is_utf8_string(topic_filter):
        return False
    levels = plain.split("/")
    alone = all(len(level) == 1 for level in levels if "+" in level or "#" in level)
    return alone and "#" not in levels[:-1]


def is_valid_topic(topic: str) -> bool:
    """Whether the string is a legal topic name to publish to (MQTT 5 §3.3.2.1, §4.7.3)."""
    return bool(topic) and "+" not in topic and "#" not in topic and _is_utf8_string(topic)


def _is_utf8_string(text: str) -> bool:
    """Whether MQTT can carry the text: at most 65,535 bytes, no null, no surrogate (MQTT 5 §1.5.4)."""
    try:
        return "\0" not in text and len(text.encode("utf-8")) <= 65535
    except UnicodeEncodeError:
        return False
