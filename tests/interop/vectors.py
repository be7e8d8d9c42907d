"""One exchange with fixed keys, for implementers: writes vectors.json and the appendix of SPECIFICATION.md.

    python -m tests.interop.vectors

All that has no randomness of its own comes out the same each time; what HPKE seals does not.
"""

import json
from pathlib import Path
from typing import Any

from protocol.algorithms import ED25519, HPKE_3_KE, HPKE_XWING_KE
from protocol.attestation import report_data, sign_attestation_result
from protocol.cbor import encode
from protocol.channel import Channel
from protocol.cose import derive
from protocol.envelope import Address, seal_message, sign_message
from protocol.keys import KemPrivateKey, SigningKey
from protocol.messages import DOMAIN, digest, encode_message
from protocol.receipts import commitment, sign_receipts, signed_receipt_untrusted
from protocol.results import ResultSealer
from protocol.trust import confirmation
from schemas.attestation import (
    EAR_PROFILE,
    ENCLAVE_PROFILE,
    SIMULATED_MEDIA_TYPE,
    Appraisal,
    AttestationResult,
    Challenge,
    EnclaveClaims,
    LoadedModel,
    TrustVector,
    VerifierIdentity,
)
from schemas.base import Message
from schemas.kinds import Kind, Role, Tier
from schemas.reason import Reason
from schemas.session import InferenceRequest, InferenceResult, Receipt, ReceiptBundle, SessionAccept, SessionOpen
from schemas.status import Refusal
from schemas.topics import FleetTopics
from sealedge.operations.authority import Authority

HERE = Path(__file__).parent
FILE = HERE / "vectors.json"
SPECIFICATION = HERE.parents[1] / "SPECIFICATION.md"
START, END = "<!-- vectors -->\n", "<!-- /vectors -->"

NOW = 1_800_000_000
FLEET, AGENT, MODEL, SENSOR = "clinic", "agent-1", "scan", "sensor-1"
TOPICS = FleetTopics(FLEET)
TIERS = (Tier.SIMULATED,)
SEALED = ("session-open", "result")
"""Messages that HPKE makes different each time."""


def fixed(name: str, length: int = 32) -> bytes:
    """Bytes that anybody can make again: no secret, no randomness."""
    return derive(digest(b"sealedge test vectors"), name.encode(), length)


def signing_key(name: str) -> SigningKey:
    return SigningKey.generate(lambda length: fixed(f"{name} signing key", length), algorithm=ED25519)


AUTHORITY, VERIFIER, ENCLAVE, SENSOR_KEY = (signing_key(each) for each in ("authority", "verifier", "enclave", SENSOR))
ENCLAVE_KEM = KemPrivateKey.from_seed(HPKE_XWING_KE, fixed("enclave KEM key"))
CONSUMERS = {
    "consumer-1": KemPrivateKey.from_seed(HPKE_XWING_KE, fixed("consumer-1 KEM key")),
    "consumer-2": KemPrivateKey.from_seed(HPKE_3_KE, fixed("consumer-2 KEM key")),
}
SESSION, SECRET, REQUEST, SALT = fixed("session", 16), fixed("secret"), fixed("request", 16), fixed("salt")
READING, OUTPUT = b"systolic 142", b"\x00\x00\x40\x3f"
INBOX, RESULTS = TOPICS.inbox(Role.SENSOR, SENSOR), TOPICS.results(MODEL)


def build() -> dict[str, Any]:
    """The whole exchange, bytes in hex."""
    credentials = _credentials()
    result = sign_attestation_result(_attestation_result(), VERIFIER, credentials["verifier"])
    return {
        "fleet": FLEET,
        "model": MODEL,
        "now": NOW,
        "keys": _keys(),
        "credentials": _hex(credentials),
        "revocations": Authority(FLEET, AUTHORITY).revoke(1, (), now=NOW).hex(),
        "report_data": _report_data(),
        "attestation_result": result.hex(),
        "attestation_result_digest": digest(result).hex(),
        "session": _session(),
        "messages": _messages(credentials, result),
        "receipt_bundle": encode_message(_bundle(result)).hex(),
        "receipt_root": signed_receipt_untrusted(_signed(result))[1].payload.hex(),
    }


def _credentials() -> dict[str, bytes]:
    authority = Authority(FLEET, AUTHORITY)
    parties = [(Role.VERIFIER, "verifier", VERIFIER, None), (Role.SENSOR, SENSOR, SENSOR_KEY, None)]
    consumers = [(Role.CONSUMER, name, signing_key(name), key.public) for name, key in CONSUMERS.items()]
    return {
        name: authority.vouch(role, name, key.public, now=NOW, randomness=_named(name), kem=kem)
        for role, name, key, kem in (*parties, *consumers)
    }


def _named(name: str) -> Any:
    return lambda length: fixed(f"{name} credential identifier", length)


def _keys() -> dict[str, Any]:
    signing = {"authority": AUTHORITY, "verifier": VERIFIER, "enclave": ENCLAVE, SENSOR: SENSOR_KEY}
    return {
        "signing": {
            name: _public(key.public) | {"seed": fixed(f"{name} signing key").hex()} for name, key in signing.items()
        },
        "kem": {
            name: _public(key.public) | {"algorithm": key.algorithm, "seed": key.seed_bytes().hex()}
            for name, key in {"enclave": ENCLAVE_KEM, **CONSUMERS}.items()
        },
    }


def _public(key: Any) -> dict[str, Any]:
    return {"cose_key": encode(key.to_cose_key()).hex(), "thumbprint": key.thumbprint.hex()}


def _attestation_result() -> AttestationResult:
    affirmed = Appraisal(status=2, vector=TrustVector(instance_identity=2), policies=("vectors",))
    return AttestationResult(
        verifier="verifier",
        agent=AGENT,
        fleet=FLEET,
        expires=NOW + 300,
        issued=NOW,
        confirmation=confirmation(ENCLAVE.public, ENCLAVE_KEM.public),
        nonce=fixed("nonce"),
        profile=EAR_PROFILE,
        submodules={"tee": affirmed},
        status=2,
        verifier_identity=VerifierIdentity(developer="sealedge", build="test vectors"),
        tier=Tier.SIMULATED,
        sequence=NOW * 1000,
        measurement=fixed("measurement"),
        configuration=fixed("configuration"),
        models=(LoadedModel(model=MODEL, version=3, digest=fixed("module")),),
        chip=fixed("chip"),
    )


def _report_data() -> dict[str, str]:
    challenge = Challenge(
        fleet=FLEET,
        agent=AGENT,
        verifier="verifier",
        nonce=fixed("nonce"),
        issued=NOW,
        expires=NOW + 60,
        purpose="birth",
        algorithms=(-65801, -19, -9, 49),
        formats=(SIMULATED_MEDIA_TYPE,),
    )
    claims = EnclaveClaims(
        agent=AGENT,
        fleet=FLEET,
        issued=NOW,
        confirmation=confirmation(ENCLAVE.public, ENCLAVE_KEM.public),
        nonce=challenge.nonce,
        profile=ENCLAVE_PROFILE,
        configuration=fixed("configuration"),
        models=(),
        boot=fixed("boot", 16),
    )
    document = encode_message(claims)
    found = report_data(challenge, document, ENCLAVE.public, ENCLAVE_KEM.public)
    return _hex({"challenge": encode_message(challenge), "claims": document, "report_data": found})


def _session() -> dict[str, str]:
    keys = {each: derive(SECRET, encode([DOMAIN, "session", SESSION, each]), 44) for each in ("request", "reply")}
    return _hex({"session": SESSION, "secret": SECRET, **keys})


def _receipt(result: bytes) -> Receipt:
    return Receipt(
        fleet=FLEET,
        agent=AGENT,
        request=REQUEST,
        model=MODEL,
        version=3,
        module=fixed("module"),
        input_commitment=commitment("input", SALT, READING),
        output_commitment=commitment("output", SALT, OUTPUT),
        sequence=0,
        time=NOW + 2,
        attestation_result=digest(result),
        tier=Tier.SIMULATED,
        session=SESSION,
        sender=SENSOR_KEY.public.thumbprint,
        delivered=0,
    )


def _signed(result: bytes) -> bytes:
    """The middle one of three that were ready together."""
    receipt = _receipt(result)
    others = [receipt.model_copy(update={"request": fixed(f"request {each}", 16)}) for each in (1, 2)]
    return sign_receipts([others[0], receipt, others[1]], ENCLAVE)[1]


def _bundle(result: bytes) -> ReceiptBundle:
    return ReceiptBundle(attestation_result=result, receipt=_signed(result), salt=SALT)


def _opening(credentials: dict[str, bytes], result: bytes) -> SessionOpen:
    return SessionOpen(
        session=SESSION,
        secret=SECRET,
        fleet=FLEET,
        agent=AGENT,
        model=MODEL,
        minimum_version=1,
        reply_to=INBOX,
        deliver_to=RESULTS,
        recipients=tuple(credentials[name] for name in CONSUMERS),
        return_result=True,
        tiers=TIERS,
        attestation_result=digest(result),
        issued=NOW + 1,
        expires=NOW + 3601,
    )


def _messages(credentials: dict[str, bytes], result: bytes) -> dict[str, dict[str, str]]:
    opening = _opening(credentials, result)
    accept = SessionAccept(
        session=SESSION,
        model=MODEL,
        version=3,
        manifest=fixed("manifest"),
        attestation_result=digest(result),
        expires=opening.expires,
        window=64,
    )
    request = InferenceRequest(request=REQUEST, input=READING, issued=NOW + 2, expires=NOW + 62)
    found = InferenceResult(
        request=REQUEST,
        output=OUTPUT,
        salt=SALT,
        receipt=_signed(result),
        attestation_result=result,
        sender=SENSOR,
    )
    sensor, enclave = Channel.of_sensor(SESSION, SECRET), Channel.of_enclave(SESSION, SECRET)
    busy = Refusal(reason=Reason.BUSY, time=NOW + 2, retry_after=1)
    unknown = Refusal(reason=Reason.SESSION_UNKNOWN, time=NOW + 2, claim="session")
    address = Address(TOPICS.session(AGENT), AGENT, SESSION)
    sealed = seal_message(
        Kind.SESSION_OPEN, opening, SENSOR_KEY, ENCLAVE_KEM.public, address, _once(), credentials[SENSOR]
    )
    keys = [key.public for key in CONSUMERS.values()]
    delivered = ResultSealer(FLEET, SESSION, keys, fixed("result key")).seal(encode_message(found), RESULTS, REQUEST)
    outside = sign_message(Kind.REFUSAL, unknown, ENCLAVE, Address(INBOX, "", REQUEST))
    asked = TOPICS.request(AGENT)
    return {
        "session-open": _message(address.topic, SESSION, opening, sealed),
        "session-accept": _inside(enclave, Kind.SESSION_ACCEPT, accept, INBOX, SENSOR, SESSION),
        "request": _inside(sensor, Kind.REQUEST, request, asked, AGENT, REQUEST),
        "reply": _inside(enclave, Kind.REPLY, found, INBOX, SENSOR, REQUEST),
        "refusal-in-a-session": _inside(enclave, Kind.REFUSAL, busy, INBOX, SENSOR, REQUEST),
        "refusal": _message(INBOX, REQUEST, unknown, outside),
        "result": _message(RESULTS, REQUEST, found, delivered),
    }


def _once() -> Any:
    """Content key, then IV."""
    return lambda length: fixed(f"sealing {length}", length)


def _inside(
    channel: Channel, kind: Kind, message: Message, topic: str, recipient: str, correlation: bytes
) -> dict[str, str]:
    payload = channel.seal(kind, encode_message(message), topic, recipient, correlation)
    return _message(topic, correlation, message, payload)


def _message(topic: str, correlation: bytes, message: Message, payload: bytes) -> dict[str, str]:
    return {
        "topic": topic,
        **_hex({"correlation": correlation, "plaintext": encode_message(message), "payload": payload}),
    }


def _hex(values: dict[str, bytes]) -> dict[str, str]:
    return {name: value.hex() for name, value in values.items()}


def appendix(vectors: dict[str, Any]) -> str:
    """The short ones, as SPECIFICATION.md shows them."""
    keys, messages = vectors["keys"], vectors["messages"]
    aad = Address(TOPICS.request(AGENT), AGENT, REQUEST).aad(Kind.REQUEST, SESSION)
    shown = {
        "authority, COSE_Key": keys["signing"]["authority"]["cose_key"],
        "authority, thumbprint": keys["signing"]["authority"]["thumbprint"],
        "sensor, thumbprint": keys["signing"][SENSOR]["thumbprint"],
        "enclave KEM key (X-Wing), seed": keys["kem"]["enclave"]["seed"],
        "enclave KEM key (X-Wing), thumbprint": keys["kem"]["enclave"]["thumbprint"],
        "consumer-2 KEM key (X25519), COSE_Key": keys["kem"]["consumer-2"]["cose_key"],
        "consumer-2 KEM key (X25519), thumbprint": keys["kem"]["consumer-2"]["thumbprint"],
        "sensor's credential": vectors["credentials"][SENSOR],
        "report data": vectors["report_data"]["report_data"],
        "attestation result, digest": vectors["attestation_result_digest"],
        "session id": vectors["session"]["session"],
        "session secret": vectors["session"]["secret"],
        "request direction: key and Base IV": vectors["session"]["request"],
        "reply direction: key and Base IV": vectors["session"]["reply"],
        f"request {REQUEST.hex()}, plaintext": messages["request"]["plaintext"],
        "its external_aad": aad.hex(),
        "its message, sequence 0": messages["request"]["payload"],
        "salt": SALT.hex(),
        f"commitment to input {READING.hex()}": commitment("input", SALT, READING).hex(),
        f"commitment to output {OUTPUT.hex()}": commitment("output", SALT, OUTPUT).hex(),
        "receipt": encode_message(_receipt(bytes.fromhex(vectors["attestation_result"]))).hex(),
        "receipt, the second of three that are signed together": _signed(
            bytes.fromhex(vectors["attestation_result"])
        ).hex(),
        "root of the three": vectors["receipt_root"],
        "session accept, sequence 0": messages["session-accept"]["payload"],
    }
    return "\n" + "\n".join(f"    {name}\n{_wrapped(value)}" for name, value in shown.items()) + "\n\n"


def _wrapped(text: str) -> str:
    return "\n".join(f"        {text[start : start + 96]}" for start in range(0, len(text), 96))


def with_appendix(specification: str, vectors: dict[str, Any]) -> str:
    """The specification with this appendix in place of its own."""
    before, _, rest = specification.partition(START)
    return before + START + appendix(vectors) + END + rest.partition(END)[2]


def main() -> None:
    made = build()
    FILE.write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    SPECIFICATION.write_text(with_appendix(SPECIFICATION.read_text("utf-8"), made), "utf-8")


if __name__ == "__main__":
    main()
