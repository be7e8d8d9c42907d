"""The door to COSE (RFC 9052): signed, encrypted under a shared key, encrypted to recipients.

    sign1     parse_sign1_untrusted     -> Sign1.verify                     protocol.cose_sign
    seal0     parse_encrypt0_untrusted  -> Encrypt0.open                    protocol.cose_encrypt0
    encrypt   parse_encrypt_untrusted   -> Encrypt.unwrap, Encrypt.open     protocol.cose_encrypt

Each `parse_..._untrusted` gives a value of which nothing is trusted but its form; its method gives the payload,
which is authentic. All encodings are deterministic, and no other is accepted.
"""

from protocol.cose_encrypt import MAX_RECIPIENTS, Encrypt, Recipient, encrypt, parse_encrypt_untrusted, wrap_key
from protocol.cose_encrypt0 import NO_BASE_IV, AeadKey, Encrypt0, parse_encrypt0_untrusted, seal0
from protocol.cose_sign import Sign1, parse_sign1_untrusted, sign1
from protocol.cose_structure import MAX_PARTIAL_IV
from protocol.hpke import derive

__all__ = [
    "MAX_PARTIAL_IV",
    "MAX_RECIPIENTS",
    "NO_BASE_IV",
    "AeadKey",
    "Encrypt",
    "Encrypt0",
    "Recipient",
    "Sign1",
    "derive",
    "encrypt",
    "parse_encrypt0_untrusted",
    "parse_encrypt_untrusted",
    "parse_sign1_untrusted",
    "seal0",
    "sign1",
    "wrap_key",
]
