"""A recipient whose key the attacker holds: it knows the result key of every session, and forges for the others.

Only what a sensor names as recipients can do this: consumer-1 against consumer-2, where there are two.
"""

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final

from protocol.attestation import sign_attestation_result
from protocol.cbor import encode
from protocol.cose import NO_BASE_IV, AeadKey, encrypt, parse_encrypt_untrusted
from protocol.errors import RemoteError
from protocol.messages import DOMAIN, decode_message_untrusted, digest, encode_message, message_aad
from protocol.party import Publication
from protocol.receipts import commitment, sign_receipts
from protocol.trust import confirmation
from schemas.attestation import AttestationResult
from schemas.kinds import Kind, Role
from schemas.session import InferenceResult
from simulation.acts import Doing
from simulation.attacks.outsider import recorded
from simulation.fleet import FLEET
from simulation.plan import Act
from simulation.wire import said, said_receipt, typ_of

if TYPE_CHECKING:
    from simulation.fleet import Fleet
    from simulation.world import World


class Opened:
    """A result as its recipient sees it, with the key to seal another in its place."""

    def __init__(self, fleet: "Fleet", original: Publication) -> None:
        """Raises `RemoteError` where the recipient cannot open it."""
        self.original, self._sealed = original, parse_encrypt_untrusted(original.payload)
        holder, self._session = fleet.holder(Role.CONSUMER, "consumer-1"), self._sealed.kid or b""
        info = encode([DOMAIN, "result", FLEET, self._session])
        self._key = AeadKey(self._sealed.unwrap(holder.kem, extra_info=info), NO_BASE_IV)
        aad = self._aad(original.correlation or b"")
        self.result = decode_message_untrusted(
            InferenceResult, self._sealed.open(self._key, typ=str(Kind.RESULT), external_aad=aad)
        )

    def _aad(self, correlation: bytes) -> bytes:
        return message_aad(Kind.RESULT, self.original.topic, self._session, "", correlation)

    def forged(self, result: InferenceResult, random: Random, correlation: bytes | None = None) -> Publication:
        """Another result, sealed as the enclave seals."""
        named = self.original.correlation or b"" if correlation is None else correlation
        payload = encrypt(
            self._key,
            encode_message(result),
            typ=str(Kind.RESULT),
            recipients=self._sealed.recipients,
            kid=self._session,
            iv=random.randbytes(12),
            external_aad=self._aad(named),
        )
        return replace(self.original, payload=payload, correlation=named, expiry=None)


def forge(world: "World", act: Act) -> None:
    """The next result on its way is taken, and a forged one delivered; then the true one, if it is still wanted.

    After the true one comes another under its signature, which whoever verified it remembers.
    """
    random = Random(act.number)
    done: list[bool] = []

    def swap(publication: Publication) -> list[Publication]:
        if done or typ_of(publication.payload) != Kind.RESULT:
            return [publication]
        try:
            opened = Opened(world.fleet, publication)
        except RemoteError:
            return [publication]
        done.append(True)
        forged = _FORGERIES[act.number % len(_FORGERIES)](world, opened, random)
        again = Opened(world.fleet, publication)  # whose key has sealed nothing yet: numbers under one key rise
        return [forged, publication, _another_request(again, random)] if act.seconds else [forged]

    world.interceptors.append(swap)


def _another_output(_world: "World", opened: Opened, random: Random) -> Publication:
    return opened.forged(opened.result.model_copy(update={"output": random.randbytes(32)}), random)


def _another_receipt(_world: "World", opened: Opened, random: Random) -> Publication:
    """The receipt commits to the forged output; the signature under it is the old one."""
    return opened.forged(_committed(opened, random.randbytes(32), None), random)


def _own_signature(world: "World", opened: Opened, random: Random) -> Publication:
    """The receipt is signed by a key that no attestation result names."""
    return opened.forged(_committed(opened, random.randbytes(32), world), random)


def _own_verifier(world: "World", opened: Opened, random: Random) -> Publication:
    """Receipt and attestation result fit together: the verifier is somebody else's."""
    found = said(AttestationResult, opened.result.attestation_result)
    if found is None:
        return opened.original
    mine = world.fleet.holder(Role.SENSOR, "sensor-mallory").signing
    liar = world.fleet.holder(Role.VERIFIER, "verifier", impostor=True)
    shown = found.model_copy(update={"confirmation": confirmation(mine.public, liar.kem.public)})
    document = sign_attestation_result(shown, liar.signing, liar.credential)
    return opened.forged(_committed(opened, random.randbytes(32), world, document), random)


def _another_exchange(world: "World", opened: Opened, random: Random) -> Publication:
    """The true result, as the answer to another request."""
    others = [each.correlation for each in recorded(world) if each.topic.endswith("/request") and each.correlation]
    return opened.forged(opened.result, random, random.choice(others) if others else random.randbytes(16))


def _another_request(opened: Opened, random: Random) -> Publication:
    """A request that nobody made, its receipt under the true one's signature."""
    request, output, salt = random.randbytes(16), random.randbytes(32), opened.result.salt
    about = {"request": request, "output_commitment": commitment("output", salt, output)}
    changed = {"request": request, "output": output, "receipt": _under_the_old_signature(opened, about)}
    return opened.forged(opened.result.model_copy(update=changed), random, request)


def _committed(opened: Opened, output: bytes, world: "World | None", document: bytes | None = None) -> InferenceResult:
    result = opened.result
    about = {"output_commitment": commitment("output", result.salt, output)}
    if document is not None:
        about["attestation_result"] = digest(document)
    if world is None:
        signed = _under_the_old_signature(opened, about)
    else:
        receipt = said_receipt(result.receipt).model_copy(update=about)
        [signed] = sign_receipts([receipt], world.fleet.holder(Role.SENSOR, "sensor-mallory").signing)
    changed = {"output": output, "receipt": signed, "attestation_result": document or result.attestation_result}
    return result.model_copy(update=changed)


def _under_the_old_signature(opened: Opened, about: Mapping[str, bytes]) -> bytes:
    """Same length, same place: the receipt is replaced where it stands, size, index, path and signature are not."""
    signed = opened.result.receipt
    old = said_receipt(signed)
    return signed.replace(encode_message(old), encode_message(old.model_copy(update=about)))


_FORGERIES = (_another_output, _another_receipt, _own_signature, _own_verifier, _another_exchange)

ATTACKS: Final[Mapping[str, Doing]] = {"forge": forge}
