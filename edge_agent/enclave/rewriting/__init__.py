"""WebAssembly modules, read and rewritten before they run, so that the enclave can stop them and put them back."""
