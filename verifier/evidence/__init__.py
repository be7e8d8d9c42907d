"""The kinds of TEE evidence that the verifier can read: one file a kind, chosen by media type.

That a kind can be read does not make it good enough: the policy names the tiers that it accepts.
"""

from collections.abc import Iterable, Mapping

from protocol.cmw import unwrap_untrusted
from protocol.errors import Finding, UnsupportedError
from verifier.evidence.azure import AzureAppraiser
from verifier.evidence.cca import CcaAppraiser
from verifier.evidence.dcap import SgxAppraiser, TdxAppraiser
from verifier.evidence.ear import EarAppraiser
from verifier.evidence.examination import Examination
from verifier.evidence.interface import Appraiser, Endorsements, TeeClaims
from verifier.evidence.nitro import NitroAppraiser
from verifier.evidence.psa import PsaAppraiser
from verifier.evidence.roots import PINNED_ROOTS, Roots
from verifier.evidence.simulated import SimulatedAppraiser
from verifier.evidence.snp import SnpAppraiser
from verifier.evidence.tpm import TpmAppraiser

__all__ = [
    "DEFAULT_APPRAISERS",
    "Appraiser",
    "Appraisers",
    "TeeClaims",
    "appraiser_untrusted",
    "appraisers",
    "by_media_type",
    "examine_untrusted",
]

Appraisers = Mapping[str, Appraiser]
"""Media type to appraiser."""


def by_media_type(appraisers: Iterable[Appraiser]) -> Appraisers:
    """The registry of these appraisers; a later one replaces an earlier one of its media type."""
    return {appraiser.form.media_type: appraiser for appraiser in appraisers}


def appraisers(endorsements: Endorsements, roots: Roots = PINNED_ROOTS) -> Appraisers:
    """Every kind, with the verifier's own endorsements and the roots where chains must end."""
    snp, tdx = SnpAppraiser(endorsements, roots), TdxAppraiser(endorsements, roots)
    return by_media_type(
        [
            SimulatedAppraiser(),
            snp,
            SgxAppraiser(endorsements, roots),
            tdx,
            NitroAppraiser(roots),
            PsaAppraiser(endorsements),
            CcaAppraiser(endorsements),
            TpmAppraiser(endorsements),
            AzureAppraiser(snp, tdx),
            EarAppraiser(endorsements),
        ]
    )


class _NoEndorsements:
    def find(self, name: str) -> bytes | None:  # noqa: ARG002 - there is none of any name
        return None


DEFAULT_APPRAISERS: Appraisers = appraisers(_NoEndorsements())
"""Every kind, where all endorsements travel with the evidence."""


def appraiser_untrusted(appraisers: Appraisers, media_type: str) -> Appraiser:
    """The appraiser of this kind. Raises `UnsupportedError` where there is none."""
    appraiser = appraisers.get(media_type)
    if appraiser is None:
        finding = Finding("evidence.media-type", " or ".join(sorted(appraisers)), media_type[:128])
        raise UnsupportedError("no appraiser for this kind of evidence", finding=finding)
    return appraiser


def examine_untrusted(
    appraisers: Appraisers, media_type: str, evidence: bytes, now: float, examination: Examination
) -> TeeClaims:
    """Returns the claims of a CMW record, authentic by their own chain; see `Appraiser.appraise_untrusted`."""
    appraiser = appraiser_untrusted(appraisers, media_type)
    return appraiser.appraise_untrusted(unwrap_untrusted(appraiser.form, evidence), now, examination)
