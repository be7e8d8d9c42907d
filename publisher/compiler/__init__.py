"""A trained model becomes one WebAssembly module that imports nothing: ONNX in, wasm32 out.

importing   bytes of anybody ─> `Graph`: every shape fixed, every constant known
open_length one dimension that is left open up to a maximum: a batch, or the length of a sequence
planning    `Graph` ─> `Graph`: fusion, layout; then where each value lies in memory
operators   one file a family: a node ─> the C statements that compute it, which call
kernels     readable C, one file a family, with tests of its own
emission    all steps and weights ─> one C program with the ABI of guests/README.md
toolchain   C ─> wasm32, the same bytes on every machine
"""
