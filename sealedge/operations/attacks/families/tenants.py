"""Another fleet on the same broker: an authority and credentials of its own, and the victim's names (P1, P2)."""

import json
import os
import time
from typing import Final

from protocol.attestation import sign_attestation_result
from protocol.cose import parse_sign1_untrusted
from protocol.envelope import open_document_untrusted, sign_document
from protocol.errors import RemoteError
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey
from protocol.messages import decode_message_untrusted, digest, encode_message
from protocol.party import Publication
from protocol.receipts import commitment, sign_receipts
from protocol.results import ResultOpener, ResultSealer
from protocol.trust import confirmation
from schemas.attestation import AttestationResult
from schemas.kinds import Kind, Role
from schemas.model import Manifest
from schemas.session import InferenceResult, Receipt
from sealedge.operations.attacks.families.delivery import said_by_broker_before
from sealedge.operations.attacks.insiders.machines import verifying_key
from sealedge.operations.attacks.insiders.session import Insider
from sealedge.operations.attacks.scenario import Attacker, Scenario, Verdict, judged
from sealedge.operations.attacks.stage import MASK, Stage, found_in
from sealedge.operations.attacks.targets.actors import Attacker as Client
from sealedge.operations.attacks.targets.modules import expected
from sealedge.operations.attacks.targets.names import AGENT, CONSUMER, MALLORY, MODEL, SENSOR
from sealedge.operations.attacks.targets.sealed import Sealed
from sealedge.operations.attacks.targets.usual_agent import RESULTS
from sealedge.operations.authority import Authority
from storage.key_files import read_kem_key

FAMILY: Final = "other fleets"


class Tenant:
    """An authority that calls itself as the victim's does, and vouches for whom it likes."""

    def __init__(self, fleet: Sealed) -> None:
        self.fleet = fleet
        self.authority = Authority(fleet.name, SigningKey.generate(os.urandom))
        self.signing, self.kem = SigningKey.generate(os.urandom), KemPrivateKey.generate(os.urandom)

    def credential(self, role: Role, name: str) -> bytes:
        """A credential for its own key, in any role and name."""
        key, now = self.signing.public, time.time()
        return self.authority.vouch(role, name, key, now=now, randomness=os.urandom, kem=self.kem.public)


def _asks_before(stage: Stage) -> Verdict:
    """A client of another tenant publishes a request on this one's topic."""
    reading = stage.reading()
    with Client(stage.broker.account("tenant-b"), RESULTS) as client:
        client.say(stage.usual.request(reading))
        told = client.hear(lambda each: found_in(each.payload, expected(reading, MASK)) > 0, seconds=3.0)
    return judged(told is not None, "another tenant was answered", "topic rules")


def _asks_now(stage: Stage) -> Verdict:
    fleet = stage.sealed
    tenant = Tenant(fleet)
    with Insider(fleet, Role.SENSOR, MALLORY) as client:
        session = client.session()
        by = session.say(session.opening(tenant.signing, tenant.credential(Role.SENSOR, MALLORY)))
    return judged(by is None, "the enclave took another fleet's sensor", by)


def _reads_before(stage: Stage) -> Verdict:
    reading = stage.reading()
    with Client(stage.broker.account("tenant-b"), "usual/#") as client:
        stage.usual.ask(reading)
        told = client.hear(lambda each: found_in(each.payload, reading) > 0, seconds=3.0)
    return judged(told is not None, "another tenant read the reading", "topic rules")


def _reads_now(stage: Stage) -> Verdict:
    """Its consumer has a KEM key, and hears the result: it is not sealed to it."""
    fleet, mark = stage.sealed, stage.broker.mark()
    fleet.ask(stage.reading())
    result = fleet.recorded(fleet.topics.results(MODEL), mark)[-1]
    try:
        ResultOpener(fleet.name, Tenant(fleet).kem).open_untrusted(
            result.payload, result.topic, result.correlation or b""
        )
    except RemoteError as error:
        return judged(False, "", str(error.reason))
    return judged(True, "another fleet's consumer opened the result", None)


def _answers_before(stage: Stage) -> Verdict:
    """Another tenant's agent answers this one's consumer."""
    usual, forged = stage.usual, os.urandom(32).hex()
    mark = usual.consumer.mark()
    with Client(stage.broker.account("tenant-b")) as client:
        client.say(Publication(RESULTS, json.dumps({"id": "1", "result": forged}).encode()))
        told = usual.consumer.hear(lambda each: forged.encode() in each.payload, mark, 3.0)
    return judged(told is not None, "the consumer took another tenant's result", "topic rules")


def _answers_now(stage: Stage) -> Verdict:
    """Its verifier attests its enclave, which signs a receipt and seals to the victim's consumer: all of it fits."""
    fleet, topic = stage.sealed, stage.sealed.topics.results(MODEL)
    name = os.urandom(16)
    sealed = _result_of(Tenant(fleet), topic, name)
    consumer = fleet["consumer"]
    mark = consumer.mark()
    with Client(stage.broker.account("tenant-b")) as client:
        client.say(Publication(topic, sealed, correlation=name))
        by = consumer.refused(mark, topic)
    taken = fleet.result(name, mark, 0.1) is not None
    return judged(taken, "the consumer took another fleet's result", by)


def _result_of(tenant: Tenant, topic: str, name: bytes) -> bytes:
    fleet, output, salt, session = tenant.fleet, os.urandom(32), os.urandom(32), os.urandom(16)
    honest = fleet.recorded(fleet.topics.result(AGENT))[-1].payload
    shown = open_document_untrusted(AttestationResult, honest, Kind.ATTESTATION_RESULT, verifying_key(fleet))
    own = shown.model_copy(update={"confirmation": confirmation(tenant.signing.public, tenant.kem.public)})
    document = sign_attestation_result(own, tenant.signing, tenant.credential(Role.VERIFIER, "verifier"))
    receipt = Receipt(
        fleet=fleet.name,
        agent=AGENT,
        request=name,
        model=MODEL,
        version=fleet.version,
        module=os.urandom(32),
        input_commitment=os.urandom(32),
        output_commitment=commitment("output", salt, output),
        sequence=0,
        time=int(fleet.clock()),
        attestation_result=digest(document),
        tier=shown.tier,
        session=session,
        sender=tenant.signing.public.thumbprint,
        delivered=0,
    )
    result = InferenceResult(
        request=name,
        output=output,
        salt=salt,
        receipt=sign_receipts([receipt], tenant.signing)[0],
        attestation_result=document,
        sender=SENSOR,
    )
    victim = read_kem_key(fleet.folder.party(Role.CONSUMER, CONSUMER) / "kem.key").public
    return ResultSealer(fleet.name, session, [victim], os.urandom(32)).seal(encode_message(result), topic, name)


def _publishes_now(stage: Stage) -> Verdict:
    """Its publisher announces a later version of the victim's model, on the victim's topic."""
    fleet, topic = stage.sealed, stage.sealed.topics.manifest(MODEL)
    tenant, honest = Tenant(fleet), fleet.recorded(topic)[-1]
    shown = decode_message_untrusted(Manifest, parse_sign1_untrusted(honest.payload).payload)
    lie = shown.model_copy(update={"version": shown.version + 10, "digest": os.urandom(32)})
    document = sign_document(Kind.MANIFEST, lie, tenant.signing, tenant.credential(Role.PUBLISHER, "publisher"))
    mark = fleet["agent"].mark()
    with Client(stage.broker.account("tenant-b")) as client:
        client.say(Publication(topic, document, retain=True))
        by = fleet["agent"].refused(mark, topic)
    stage.broker.publish(honest)
    return judged(by is None, "the enclave took another fleet's manifest without a word", by)


SCENARIOS: Final = (
    Scenario(
        "cross-tenant-request", FAMILY, ("P2",), Attacker.TENANT, "have its reading computed", _asks_before, _asks_now
    ),
    Scenario(
        "cross-tenant-subscribe",
        FAMILY,
        ("P1",),
        Attacker.TENANT,
        "read what is not its own",
        _reads_before,
        _reads_now,
    ),
    Scenario(
        "cross-tenant-result", FAMILY, ("P2",), Attacker.TENANT, "have its result taken", _answers_before, _answers_now
    ),
    Scenario(
        "cross-tenant-model",
        FAMILY,
        ("P2",),
        Attacker.TENANT,
        "have its module announced",
        said_by_broker_before,
        _publishes_now,
    ),
)
