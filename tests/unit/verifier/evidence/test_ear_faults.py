"""EAR: one fault each. What was refused, and whether the signature had been checked by then."""

import contextlib
import hmac
import json
import random
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import (
    AppraisalError,
    AuthenticationError,
    FreshnessError,
    MalformedError,
    RemoteError,
    UnsupportedError,
)
from schemas.reason import Reason
from tests.support.mutations import mutate
from tests.synthetic import ear as made
from tests.synthetic.ear import NOW, claims, cwt, ear, jwt, pem, submodule, unpadded
from tests.synthetic.exhibit import Exhibit
from verifier.evidence.ear_token import MAX_TOKEN
from verifier.evidence.examination import Examination


def refused(exhibit: Exhibit, error: type[RemoteError], signature: str = "valid") -> RemoteError:
    examination = Examination()
    with pytest.raises(error) as caught:
        exhibit.appraise(examination)
    assert examination.signature == signature
    return caught.value


@pytest.mark.parametrize("form", [jwt, cwt])
@pytest.mark.parametrize(
    "said",
    [
        {"eat_profile": None},
        {"eat_profile": "tag:example.com,2026:another"},
        {"iat": None},
        {"iat": "yesterday"},
        {"iat": True},
        {"exp": "never"},
        {"ear_verifier_id": None},
        {"ear_verifier_id": {"developer": "d"}},
        {"ear_verifier_id": {"developer": "d", "build": 7}},
        {"ear_verifier_id": "d"},
        {"submods": None},
        {"submods": {}},
        {"submods": []},
        {"submods": {"a": "b"}},
        {"submods": {str(each): {"ear_status": 2} for each in range(33)}},
        {"ear_status": "warning"},
        *(
            {"submods": submodule(ear_status=status)}
            for status in (None, "none", "warning", "contraindicated", 0, 32, 96, 3, True, "Affirming", [], {})
        ),
        *(
            {"submods": submodule(ear_trustworthiness_vector=vector)}
            for vector in ({"executables": 32}, {"hardware": 96}, {"x": -33}, {"x": 128}, {"x": "2"}, {}, [2], 2)
        ),
    ],
    ids=str,
)
def test_a_good_signature_is_not_enough(form: Any, said: dict[str, Any]) -> None:
    error = refused(ear(form(claims(**said))), AppraisalError)
    assert error.reason == Reason.EVIDENCE_INVALID


def test_empty_claims() -> None:
    refused(ear(jwt({})), AppraisalError)


@pytest.mark.parametrize("form", [jwt, cwt])
def test_times(form: Any) -> None:
    assert refused(ear(form(claims())).at(NOW + 300), FreshnessError).reason == Reason.EXPIRED
    assert refused(ear(form(claims(iat=NOW + 61))), FreshnessError).reason == Reason.NOT_YET_VALID
    assert refused(ear(form(claims(nbf=NOW + 61))), FreshnessError).reason == Reason.NOT_YET_VALID
    ear(form(claims(iat=NOW + 60, nbf=NOW + 60))).appraise()


@pytest.mark.parametrize("form", [jwt, cwt])
def test_keys(form: Any) -> None:
    other = ear(form(claims()), pem(key=made.OTHER_KEY))
    assert refused(other, AuthenticationError, "invalid").reason == Reason.SIGNATURE_INVALID
    none = ear(form(claims())).without("key")
    assert refused(none, AuthenticationError, "unchecked").reason == Reason.UNKNOWN_SIGNER
    refused(ear(form(claims()), pem("ES384")), AuthenticationError, "unchecked")
    refused(ear(form(claims()), b"no key"), MalformedError, "unchecked")


def test_a_key_in_the_header_counts_for_nothing() -> None:
    jwk = json.loads(made.get_default_algorithms()["ES256"].to_jwk(made.OTHER_KEY.public_key()))  # type: ignore[arg-type]
    token = jwt(claims(), key=made.OTHER_KEY, header={"alg": "ES256", "jwk": jwk})
    refused(ear(token), AuthenticationError, "invalid")
    refused(ear(token).without("key"), AuthenticationError, "unchecked")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512", "RS256", "PS256", "ES256K", "es256", ""])
def test_algorithms_that_are_not_accepted(algorithm: str) -> None:
    header = unpadded(json.dumps({"alg": algorithm}).encode())
    rest = jwt(claims()).partition(b".")[2]
    refused(ear(header + b"." + rest), UnsupportedError, "unchecked")


def test_a_mac_under_the_public_key_is_refused() -> None:
    """The oldest attack on JWT: HS256 with the public key's text as secret."""
    signed = unpadded(b'{"alg":"HS256"}') + b"." + unpadded(json.dumps(claims()).encode())
    token = signed + b"." + unpadded(hmac.digest(pem(), signed, "sha256"))
    refused(ear(token), UnsupportedError, "unchecked")


@pytest.mark.parametrize(
    "token",
    [
        jwt(claims()) + b".",
        jwt(claims()) + b".AAAA",
        jwt(claims()).rpartition(b".")[0],
        jwt(claims()) + b"=",
        jwt(claims()) + b"\n",
        jwt(claims()).replace(b".", b"..", 1),
        jwt(b"[1]"),
        jwt(b"7"),
        jwt(b'{"iat":1,"iat":2}'),
        jwt(b'{"iat":NaN}'),
        jwt(b'{"iat":18446744073709551616}'),
        jwt(b'{"a":' * 1000 + b"1" + b"}" * 1000),
        jwt(b'{"a":"\\ud800"}'),
        jwt(b'{"ear.status":"none","ear_status":"affirming"}'),
        jwt(b"{" + b" " * MAX_TOKEN + b"}"),
        jwt(claims(), header=["ES256"]),
        jwt(claims(), header={"typ": "JWT"}),
        jwt(claims(), header={"alg": 7}),
        cwt(claims()) + b"\0",
        cwt(claims())[:-1],
        b"",
        b"ey",
    ],
    ids=lambda token: str(token[:12]) + str(len(token)),
)
def test_malformed(token: bytes) -> None:
    refused(ear(token), MalformedError, "unchecked")


@pytest.mark.parametrize("name", ["crit", "b64"])
def test_critical_headers(name: str) -> None:
    refused(ear(jwt(claims(), header={"alg": "ES256", name: ["x"]})), UnsupportedError, "unchecked")


@pytest.mark.slow
def test_every_flipped_bit_of_a_jwt_is_refused() -> None:
    token = jwt(claims())
    for at in range(len(token)):
        for bit in (0, 3, 5):
            changed = token[:at] + bytes((token[at] ^ 1 << bit,)) + token[at + 1 :]
            with pytest.raises(RemoteError):
                ear(changed).appraise()


def test_every_flipped_bit_of_what_a_cwt_signs_is_refused() -> None:
    """Tag, heads and the unprotected header stand outside: nothing is read from them but a hint at the key."""
    token = cwt(claims())
    protected, _, payload, signature = cbor2.loads(token).value
    for part in (protected, payload, signature):
        start = token.index(part)
        for at in range(start, start + len(part)):
            changed = token[:at] + bytes((token[at] ^ 4,)) + token[at + 1 :]
            with pytest.raises(RemoteError):
                ear(changed).appraise()


@pytest.mark.parametrize("form", [jwt, cwt])
def test_random_damage_never_changes_what_is_said(form: Any) -> None:
    genuine, rng = form(claims()), random.Random(7)
    said = ear(genuine).appraise()
    for _ in range(400):
        try:
            found = ear(mutate(genuine, rng).data).appraise()
        except RemoteError:
            continue
        assert form is cwt
        assert found == said


@given(token=st.binary(max_size=200), key=st.binary(max_size=200))
def test_arbitrary_bytes(token: bytes, key: bytes) -> None:
    with pytest.raises(RemoteError):
        ear(token, key).appraise()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(name=st.sampled_from([*made.LABELS, "ear_raw_evidence", "ear_teep_claims"]), value=json_values)
def test_arbitrary_signed_claims(name: str, value: object) -> None:
    """Whatever a pinned verifier signs: claims, or a refusal of ours."""
    for said in (claims(**{name: value}), claims(submods=submodule(**{name: value}))):
        with contextlib.suppress(RemoteError):
            ear(jwt(said)).appraise()


def test_nesting() -> None:
    deep: Any = 1
    for _ in range(20):
        deep = {"a": deep}
    refused(ear(jwt(claims(extra=deep))), MalformedError, "unchecked")
