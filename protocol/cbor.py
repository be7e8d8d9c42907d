"""The door to deterministic CBOR (RFC 8949 §4.2.1): every value has one encoding, and only that is accepted.

    encode(value)            protocol.cbor_encoding
    decode_untrusted(data)   protocol.cbor_decoding

`encode(decode_untrusted(b)) == b` for every b that is accepted. Why `cbor2` alone does not do: under its strictest
settings for integer keys it accepts unsorted maps, heads longer than needed, trailing bytes, NaN with a payload,
tags that turn into other types, and arrays as map keys, whose hashes anybody can make collide; its
`canonical=True` sorts shorter keys first, as RFC 7049 did. Only the type `cbor2.CBORTag` is shared with it.
"""

from cbor2 import CBORTag

from protocol.cbor_decoding import COSE_TAGS, MAX_DEPTH, MAX_MESSAGE, decode_untrusted
from protocol.cbor_encoding import CborValue, encode, encode_bstr

__all__ = [
    "COSE_TAGS",
    "MAX_DEPTH",
    "MAX_MESSAGE",
    "CBORTag",
    "CborValue",
    "decode_untrusted",
    "encode",
    "encode_bstr",
]
