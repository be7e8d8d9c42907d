"""Trials of clients that leave, vanish, fall behind and come back."""

from typing import Final

from sealedge.operations.broker_conformance.client import Client
from sealedge.operations.broker_conformance.opening import Asked, Will
from sealedge.operations.broker_conformance.trial import SILENCE_SECONDS, Trial, Verdict, is_silent, wait

KEPT: Final = Asked(clean=False, session_expiry=60)
_COUNT: Final = 20


def session_is_resumed(trial: Trial) -> Verdict:
    """QoS 1 messages wait for a session whose client is away, and come in order, once (§4.1, §4.6)."""
    topic = trial.topic("session")
    trial.listener("session", topic, KEPT).leave()
    mouth = trial.client("session-mouth")
    for number in range(_COUNT):
        mouth.publish(topic, b"%d" % number)
    again = trial.client("session", KEPT)
    if not again.session_present:
        return Verdict(False, "a session is forgotten when its client leaves")
    heard = [each.payload for each in again.hear_all(_COUNT)]
    expected = [b"%d" % number for number in range(_COUNT)]
    if heard == expected and is_silent(again):
        return Verdict(True, f"{_COUNT} messages waited, each came once, in order")
    return Verdict(False, f"of {_COUNT} messages {len(set(heard))} came, in other order or number")


def unacknowledged_comes_again(trial: Trial) -> Verdict:
    """What a client had received and not acknowledged when it vanished (§4.4)."""
    topic = trial.topic("again")
    ear = trial.listener("again", topic, KEPT)
    ear.acknowledges = False
    trial.say(topic, b"precious")
    first = ear.hear()
    ear.vanish()
    second = trial.client("again", KEPT).hear()
    if first is None or second is None:
        return Verdict(False, "it does not come again")
    return Verdict(True, "it comes again" + ("" if second.duplicate else ", not flagged as duplicate"))


def receive_maximum_is_kept(trial: Trial) -> Verdict:
    """No more unacknowledged messages than the client asked for (§3.1.2.11.3)."""
    topic, most, sent = trial.topic("receive"), 2, 6
    ear = trial.listener("receive", topic, Asked(receive_maximum=most))
    ear.acknowledges = False
    mouth = trial.client("receive-mouth")
    for number in range(sent):
        mouth.publish(topic, b"%d" % number)
    heard = ear.hear_all(sent, 1.5)
    if len(heard) > most:
        return Verdict(False, f"{len(heard)} at once to a client that asked for {most}")
    ear.acknowledges = True
    for each in heard:
        ear.acknowledge(each)
    heard += ear.hear_all(sent - len(heard))
    holds = len(heard) == sent
    return Verdict(holds, f"at most {most} at once, as asked for" if holds else "what waited does not come")


def maximum_packet_is_kept(trial: Trial) -> Verdict:
    """No packet larger than the client asked for; what is smaller still comes (§3.1.2.11.4)."""
    topic = trial.topic("packet")
    ear = trial.listener("packet", topic, Asked(maximum_packet=1024))
    mouth = trial.client("packet-mouth")
    mouth.publish(topic, bytes(2048))
    mouth.publish(topic, b"small")
    heard = [len(each.payload) for each in ear.hear_all(2, 1.5)]
    if heard == [5]:
        return Verdict(True, "larger packets are kept back")
    return Verdict(False, "larger packets come" if 2048 in heard else "smaller packets do not come either")


def session_expires(trial: Trial) -> Verdict:
    """A session ends after its expiry (§3.1.2.11.2)."""
    asked = Asked(clean=False, session_expiry=1)
    trial.listener("ends", trial.topic("ends"), asked).leave()
    wait(2.2)
    ended = not trial.client("ends", asked).session_present
    return Verdict(ended, "ends when its time is over" if ended else "outlives its time")


def _vanished(trial: Trial, name: str, delay: int) -> Client:
    """Who listens to the will of a client that has just vanished."""
    watcher = trial.listener(f"{name}-watcher", trial.topic(name))
    will = Will(trial.topic(name), b"lost", delay)
    trial.client(name, Asked(clean=False, session_expiry=60, will=will)).vanish()
    return watcher


def will_is_published(trial: Trial) -> Verdict:
    """When a client vanishes, and not when it leaves (§3.1.2.5)."""
    leaves = trial.listener("leaves-watcher", trial.topic("leaves"))
    trial.client("leaves", Asked(will=Will(trial.topic("leaves"), b"lost"))).leave()
    if _vanished(trial, "will", 0).hear() is None:
        return Verdict(False, "nothing comes when a client vanishes")
    holds = is_silent(leaves)
    return Verdict(holds, "when a client vanishes" if holds else "also when a client leaves in order")


def will_is_delayed(trial: Trial) -> Verdict:
    """It waits for its delay, and is dropped where the client comes back in time (§3.1.3.2.2)."""
    watcher = _vanished(trial, "delay", 2)
    if watcher.hear(SILENCE_SECONDS) is not None:
        return Verdict(False, "it comes at once")
    back = _vanished(trial, "back", 1)
    trial.client("back", KEPT)
    if watcher.hear() is None:
        return Verdict(False, "it does not come at all")
    holds = back.hear(2 * SILENCE_SECONDS) is None
    return Verdict(holds, "as asked for" if holds else "it comes although the client came back in time")


def shared_is_divided(trial: Trial) -> Verdict:
    """Each message of a shared subscription goes to one of its members (§4.8.2)."""
    topic = trial.topic("shared")
    members = [trial.listener(f"shared-{number}", f"$share/doctor/{topic}") for number in range(2)]
    mouth = trial.client("shared-mouth")
    for number in range(_COUNT):
        mouth.publish(topic, b"%d" % number)
    heard = [each.payload for member in members for each in member.hear_all(_COUNT, 1.0)]
    once = len(heard) == len(set(heard)) == _COUNT
    return Verdict(once, "each to one member" if once else f"{_COUNT} messages were delivered {len(heard)} times")
