"""Manifests: who may sign one, for what, and that versions never go back (P8)."""

import pytest

from protocol.envelope import sign_document
from protocol.errors import AppraisalError, AuthenticationError, FreshnessError, RemoteError, StoreError
from protocol.keys import SigningKey
from protocol.manifests import ManifestBook, open_manifest_untrusted
from protocol.messages import digest
from schemas.kinds import Kind, Role
from schemas.model import CarriedTensor, Manifest
from schemas.reason import Reason
from tests.support.world import MODEL, START, World


class Press:
    """Publishes manifests of every kind."""

    def __init__(self) -> None:
        self.world = World()
        self.store = self.world.holder(Role.SENSOR, "reader").store
        self.trust = self.world.trust(self.store)
        self.template = self.world.package().manifest
        self.book = ManifestBook(self.trust, self.store)

    def manifest(
        self, version: int = 1, key: SigningKey | None = None, holder: str = "publisher", **changes: object
    ) -> bytes:
        found = self.world.holder(Role.PUBLISHER, holder)
        changes = {"version": version, "publisher": holder, **changes}
        return sign_document(
            Kind.MANIFEST, self.template.model_copy(update=changes), key or found.signing, found.credential
        )

    def reason(self, data: bytes, model: str = MODEL, now: float = START) -> Reason | None:
        try:
            self.book.accept_untrusted(data, model, now)
        except RemoteError as error:
            return error.reason
        return None


@pytest.fixture
def press() -> Press:
    return Press()


def test_a_manifest_is_opened_with_its_digest(press: Press) -> None:
    data = press.manifest()
    manifest, name = open_manifest_untrusted(data, press.trust, MODEL, START)
    assert isinstance(manifest, Manifest)
    assert (manifest.version, name) == (1, digest(data))


def test_newer_versions_are_taken_and_the_one_held_changes_nothing(press: Press) -> None:
    first, third = press.manifest(1), press.manifest(3)
    assert press.book.accept_untrusted(first, MODEL, START) is not None
    assert press.book.accept_untrusted(first, MODEL, START) is None
    assert press.book.accept_untrusted(third, MODEL, START) is not None
    assert press.book.newest(MODEL)[1] == digest(third)


def test_versions_never_go_back_also_not_after_a_restart(press: Press) -> None:
    first, second, other = press.manifest(1), press.manifest(2), press.manifest(2, issued=int(START) - 1)
    assert press.reason(second) is None
    for again in (False, True):
        if again:
            press.store = press.store.crash()
            press.book = ManifestBook(press.world.trust(press.store), press.store)
        assert press.reason(first) is Reason.STALE
        assert press.reason(other) is Reason.STALE
        assert press.reason(second) is None


def test_what_was_forgotten_is_still_remembered_by_its_version(press: Press) -> None:
    press.reason(press.manifest(2))
    press.book.forget(MODEL)
    with pytest.raises(AppraisalError, match="no manifest"):
        press.book.newest(MODEL)
    assert press.reason(press.manifest(1)) is Reason.STALE


def test_a_model_belongs_to_its_first_publisher(press: Press) -> None:
    assert press.reason(press.manifest(1)) is None
    assert press.reason(press.manifest(2, holder="mallory")) is Reason.ROLE_NOT_ALLOWED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fleet": "other"}, Reason.MISADDRESSED),
        ({"model": "other"}, Reason.MISADDRESSED),
        ({"publisher": "other"}, Reason.MISADDRESSED),
        ({"issued": int(START) + 3600}, Reason.NOT_YET_VALID),
    ],
)
def test_a_manifest_for_something_else_is_refused(press: Press, changes: dict[str, object], reason: Reason) -> None:
    assert press.reason(press.manifest(**changes)) is reason


def test_only_a_publisher_signs_manifests(press: Press) -> None:
    assert press.reason(press.manifest(key=SigningKey.generate())) is Reason.UNKNOWN_SIGNER
    sensor = press.world.holder(Role.SENSOR, "sensor-1")
    signed = sign_document(Kind.MANIFEST, press.template, sensor.signing, sensor.credential)
    assert press.reason(signed) is Reason.ROLE_NOT_ALLOWED
    holder = press.world.holder(Role.PUBLISHER, "publisher")
    bare = sign_document(Kind.MANIFEST, press.template, holder.signing)
    assert press.reason(bare) is Reason.UNKNOWN_SIGNER
    as_receipt = sign_document(Kind.RECEIPT, press.template, holder.signing, holder.credential)
    assert press.reason(as_receipt) is Reason.UNEXPECTED


def test_a_publisher_whose_credential_has_ended_is_refused(press: Press) -> None:
    with pytest.raises(FreshnessError):
        open_manifest_untrusted(press.manifest(), press.trust, MODEL, START + 366 * 86_400)


def test_a_revoked_module_is_refused_and_given_up(press: Press) -> None:
    assert press.reason(press.manifest(1)) is None
    press.world.revoke("model", press.template.digest)
    press.trust.revocations.accept_untrusted(press.world.revocations)
    with pytest.raises(AppraisalError, match="revoked"):
        press.book.newest(MODEL)
    assert press.reason(press.manifest(2)) is Reason.REVOKED


def test_books_are_bounded(press: Press) -> None:
    book = ManifestBook(press.trust, press.store, limit=2)
    for name in ("a", "b"):
        book.accept_untrusted(press.manifest(model=name), name, START)
    with pytest.raises(AppraisalError, match="too many"):
        book.accept_untrusted(press.manifest(model="c"), "c", START)
    assert book.accept_untrusted(press.manifest(2, model="a"), "a", START) is not None
    assert sorted(manifest.model for manifest, _ in book) == ["a", "b"]


def test_a_store_that_holds_something_else_is_named_as_the_fault(press: Press) -> None:
    for value in (b"", b"\xf6", b"\x81\x01"):
        press.store.write("manifests", MODEL.encode(), value)
        with pytest.raises(StoreError):
            press.book.accept_untrusted(press.manifest(), MODEL, START)


def test_a_flipped_bit_is_noticed_wherever_it_is(press: Press) -> None:
    data = press.manifest()
    for at in range(0, len(data), 37):
        flipped = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
        with pytest.raises((RemoteError, AuthenticationError)):
            open_manifest_untrusted(flipped, press.trust, MODEL, START)


def test_state_that_does_not_fit_its_tensors_is_refused_and_not_remembered(press: Press) -> None:
    assert press.reason(press.manifest(5, state=(CarriedTensor(before="in", after="out"),))) is Reason.MALFORMED
    assert press.reason(press.manifest(1)) is None
