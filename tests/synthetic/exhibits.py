"""One valid piece of synthetic evidence of every kind and shape (no hardware)."""

from collections.abc import Callable, Mapping
from typing import Final

from tests.synthetic.azure import azure
from tests.synthetic.cca import TOKEN_TAG, cca
from tests.synthetic.dcap import sgx, tdx
from tests.synthetic.ear import claims, cwt, ear
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.nitro import nitro
from tests.synthetic.psa import psa
from tests.synthetic.snp import snp
from tests.synthetic.tpm import tpm

EXHIBITS: Final[Mapping[str, Callable[[], Exhibit]]] = {
    "snp-v2": lambda: snp(version=2),
    "snp-v3-vlek": lambda: snp(kind="vlek"),
    "snp-v5-turin": lambda: snp("Turin", version=5),
    "sgx-v3": sgx,
    "tdx-v4": tdx,
    "tdx-v5": lambda: tdx(version=5),
    "nitro": nitro,
    "psa": psa,
    "cca-collection": cca,
    "cca-tag-399": lambda: cca(tag=TOKEN_TAG),
    "tpm": tpm,
    "azure-snp": azure,
    "azure-tdx": lambda: azure("tdx"),
    "ear-jwt": ear,
    "ear-cwt": lambda: ear(cwt(claims())),
}
