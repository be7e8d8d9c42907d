"""The real parties with their cryptographic primitives replaced by copying: the same pipeline in the clear.

`python -m bench.unsealed` takes `sealedge`'s commands. Every message has its usual form and length, and proves
nothing. No such switch exists in the product: this module reaches into it from outside, for the benchmark.
"""

import sys
from pathlib import Path

from protocol.cose_encrypt0 import AeadKey
from protocol.keys import SigningKey
from protocol.verifying_key import VerifyingKey

TAG, SIGNATURE = bytes(16), bytes(64)
ROOT = Path(__file__).parents[1]


def switch_off() -> None:
    """Replace signing, verifying, encrypting and decrypting in this process. HPKE stays: once a session."""
    SigningKey.sign = lambda _self, _data: SIGNATURE  # type: ignore[method-assign]  # on purpose
    VerifyingKey.verify = lambda _self, _signature, _data: None  # type: ignore[method-assign]  # on purpose
    AeadKey.encrypt = lambda _self, _nonce, plaintext, _aad: plaintext + TAG  # type: ignore[method-assign]  # on purpose
    AeadKey.decrypt_untrusted = lambda _self, _nonce, sealed, _aad: sealed[:-16]  # type: ignore[method-assign]  # on purpose


def main(arguments: list[str]) -> int:
    """Run an enclave, or any command of `sealedge`, without cryptography."""
    switch_off()
    if arguments[0] == "enclave":
        from edge_agent.enclave.__main__ import main as run_enclave  # noqa: PLC0415 - one of two programs

        return run_enclave(arguments[1:])
    from edge_agent.host import EnclaveProcess  # noqa: PLC0415 - one of two programs
    from sealedge.cli import main as run_command  # noqa: PLC0415

    # The host empties its child's environment, so the path to this module goes along in the command.
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from bench.unsealed import main; main(sys.argv[1:])"
    EnclaveProcess.__init__.__defaults__ = ((sys.executable, "-c", start, "enclave"), None)
    run_command(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
