/* What every module needs: types, the ABI of guests/README.md (fixed buffers), and the word for impossible input. */
#pragma once

#include <math.h>
#include <stdint.h>

#define ALIGNED __attribute__((aligned(64)))
#define NOINLINE __attribute__((noinline))
#define INLINE static inline __attribute__((always_inline))
/* Before a loop none of whose iterations reads what another writes. Not every such loop can become vectors. */
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed"

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(#name)))
#else
#define EXPORT(name) __attribute__((visibility("default")))
#endif

/* Set by a step that finds its input impossible: the module then answers -1, input-invalid. */
static int invalid;

/* Whether this is the first pass over a sequence that is computed part by part. */
static int first = 1;
