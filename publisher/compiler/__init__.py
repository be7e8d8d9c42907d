"""A trained model becomes one WebAssembly module that imports nothing: ONNX in, wasm32 out.

importing      bytes of anybody ─> `Graph`: every shape fixed, every constant known
open_length    likewise, with one dimension that each request chooses
planning       `Graph` ─> `Graph`: fusion, layout; then where each value lies in memory
operators      one file a family: a node ─> the C statements that compute it, which call
kernels        readable C, one file a family, with tests of its own
emission       all steps and weights ─> one C program with the ABI of guests/README.md
fallback       the same by tinygrad, for whole models that no family knows
toolchain      C ─> wasm32, the same bytes on every machine
compiling      all of it, one after the other

preprocessing, arranging    what is done to a model before: raw inputs, state last
check, reference            whether a module answers as onnxruntime does
cost, origin                what a model costs; what provenance and bill_of_materials say of a module

`sealedge.operations.build` puts the two halves together: only there is the enclave's runtime at hand.
"""
