"""Intel SGX and TDX: ECDSA quotes of versions 3 to 5, and the collateral that rates their firmware (docs/adr/0022).

dcap_quote, dcap_body    the layout: what every byte is
dcap_pck                 root ─▶ PCK ─▶ quoting enclave ─▶ quote: whose word it is
dcap_collateral          what Intel signs beside it, in the forms it travels in
dcap_rating, dcap_tcb    revocation, identities, levels ─▶ TCB status
dcap_opinion             dcap-qvl, which must agree
dcap_claims              what a policy can ask
"""

import hashlib

from protocol.errors import Finding, UnsupportedError
from schemas.evidence import SGX, TDX, EvidenceFormat
from schemas.kinds import Tier
from verifier.evidence.ccel import verify_ccel
from verifier.evidence.certificates import common_name
from verifier.evidence.dcap_claims import claims_of, is_debug
from verifier.evidence.dcap_collateral import collateral_untrusted, completed, given_untrusted
from verifier.evidence.dcap_opinion import check_agreement
from verifier.evidence.dcap_pck import CA_NAMES, pck_path_untrusted, verify_quote
from verifier.evidence.dcap_quote import Quote, Tee, parse_quote_untrusted
from verifier.evidence.dcap_rating import rate, verify_collateral
from verifier.evidence.event_log import parse_event_log_untrusted
from verifier.evidence.examination import Examination
from verifier.evidence.interface import Endorsements, Parts, TeeClaims, required
from verifier.evidence.roots import INTEL, PINNED_ROOTS, Roots


class _DcapAppraiser:
    """Appraises quotes of one TEE. The status is undetermined where no collateral is given or held."""

    form: EvidenceFormat
    tier: Tier
    tee: Tee
    measurement: str

    def __init__(self, endorsements: Endorsements, roots: Roots = PINNED_ROOTS) -> None:
        self._endorsements = endorsements
        self._roots = roots[INTEL]

    def appraise_untrusted(self, parts: Parts, now: float, examination: Examination) -> TeeClaims:
        """Returns what the quote says: signed on a platform whose chain ends in a pinned root, all valid at `now`.

        Raises `MalformedError`, `UnsupportedError`, `AuthenticationError`, `FreshnessError`, and `AppraisalError` for
        a revoked certificate, and for a quoting enclave, TDX module or collateral that is not of this platform.
        """
        quote = self._parsed_untrusted(parts, examination)
        path = pck_path_untrusted(quote, parts)
        pieces = given_untrusted(parts)
        log = None if "eventlog" not in parts else parse_event_log_untrusted(parts["eventlog"])
        platform = verify_quote(quote, path, self._roots, now, examination)
        examination.signature = "valid"
        ca = CA_NAMES[common_name(path[1])]
        pieces = completed(pieces, self._endorsements, self.form.name, platform.fmspc.hex(), ca, now)
        collateral = collateral_untrusted(pieces)
        verify_collateral(collateral, path, now, examination)
        rating = rate(quote, platform, collateral, examination)
        check_agreement(quote, path, collateral, rating, now, examination)
        if self.tee == Tee.TDX:
            verify_ccel(log, quote.body, examination)
        return TeeClaims(
            tier=self.tier,
            chip=hashlib.sha256(platform.ppid).digest(),
            measurement=quote.body.field(self.measurement),
            report_data=quote.body.field("report_data"),
            debug=is_debug(quote),
            tcb_status=rating.status,
            advisories=rating.advisories,
            claims=claims_of(quote, platform, collateral, rating),
        )

    def _parsed_untrusted(self, parts: Parts, examination: Examination) -> Quote:
        quote = parse_quote_untrusted(required(parts, "quote"))
        finding = Finding("quote.tee-type", self.tee.name, quote.tee.name)
        if quote.tee != self.tee:
            raise UnsupportedError("a quote of the other TEE", finding=finding)
        examination.note("quote.version", "3, 4 or 5", quote.version)
        return quote


class SgxAppraiser(_DcapAppraiser):
    """Appraises quotes of SGX enclaves; the measurement is MRENCLAVE, 32 bytes."""

    form = SGX
    tier = Tier.SGX
    tee = Tee.SGX
    measurement = "mr_enclave"


class TdxAppraiser(_DcapAppraiser):
    """Appraises quotes of TDX trust domains; the measurement is MRTD, 48 bytes."""

    form = TDX
    tier = Tier.TDX
    tee = Tee.TDX
    measurement = "mr_td"
