/* Four floats at a time: what the kernels of products, convolution and pooling share. */
#pragma once

#include "vector_math.h"

/* Passes a value on unseen, so that the compiler takes nothing for granted about it. */
#ifdef __wasm__
#include <wasm_simd128.h>
#define OPAQUE(value) __asm__ volatile("" : "+r"(value))
#define OPAQUE_VECTOR(value) __asm__ volatile("" : "+r"(value))
#else
#define OPAQUE(value) __asm__ volatile("" : "+r"(value))
#define OPAQUE_VECTOR(value) __asm__ volatile("" : "+x"(value))
#endif
#define UNROLLED _Pragma("clang loop unroll(full)")
#define ROLLED _Pragma("clang loop unroll(disable) vectorize(disable)")

/* What becomes of four finished elements: a bias is added already; activations and the like follow. They are those at
   `at` in the output and belong to the channels from `channel` on, of which the first `count` are there. */
typedef f4 (*Finish)(f4 x, long at, int channel, int count);

/* a < b ? b : a, so NaN in a stays: one instruction. */
INLINE f4 f4_max(f4 a, f4 b) {
#ifdef __wasm__
    return (f4)wasm_f32x4_pmax((v128_t)a, (v128_t)b);
#else
    return f4_where(a < b, b, a);
#endif
}

/* b < a ? b : a. */
INLINE f4 f4_min(f4 a, f4 b) {
#ifdef __wasm__
    return (f4)wasm_f32x4_pmin((v128_t)a, (v128_t)b);
#else
    return f4_where(b < a, b, a);
#endif
}

/* The first `count` of four; 0 for the others, which are not read. */
INLINE f4 f4_load_first(const float *from, int count) {
    if (count >= 4)
        return f4_load(from);
    f4 x = f4_all(0);
    UNROLLED for (int i = 0; i < count; i++) x[i] = from[i];
    return x;
}

INLINE void f4_store_first(float *to, f4 x, int count) {
    if (count >= 4)
        f4_store(to, x);
    else
        UNROLLED for (int i = 0; i < count; i++) to[i] = x[i];
}

/* One float four times. A load of its own: what loads and repeats at once is slower in wasmtime. */
INLINE f4 f4_repeat(const float *from) {
    float x = *from;
    OPAQUE_VECTOR(x);
    return f4_all(x);
}

/* Lane `lane` of x, four times. */
INLINE f4 f4_lane(f4 x, int lane) {
    if (lane == 0)
        return __builtin_shufflevector(x, x, 0, 0, 0, 0);
    if (lane == 1)
        return __builtin_shufflevector(x, x, 1, 1, 1, 1);
    if (lane == 2)
        return __builtin_shufflevector(x, x, 2, 2, 2, 2);
    return __builtin_shufflevector(x, x, 3, 3, 3, 3);
}

/* Copies of some floats, which are too short for memcpy to pay. */
INLINE void copy_floats(float *to, const float *from, int count) {
    int i = 0;
    ROLLED for (; i + 4 <= count; i += 4) {
        f4 x = f4_load(from + i);
        OPAQUE_VECTOR(x);
        f4_store(to + i, x);
    }
    ROLLED for (; i < count; i++) {
        float x = from[i];
        OPAQUE_VECTOR(x);
        to[i] = x;
    }
}

INLINE void zero_floats(float *to, int count) {
    f4 zero = f4_all(0);
    OPAQUE_VECTOR(zero);
    int i = 0;
    ROLLED for (; i + 4 <= count; i += 4) f4_store(to + i, zero);
    ROLLED for (; i < count; i++) to[i] = zero[0];
}

/* A `Finish` that leaves everything as it is. */
INLINE f4 unchanged(f4 x, long at, int channel, int count) {
    (void)at, (void)channel, (void)count;
    return x;
}

/* out[row, channel] = finish(from[row, channel]); `out` may be `from`. */
INLINE void finish_rows(const float *from, float *out, const long rows, const int channels, const Finish finish) {
    ROLLED for (long at = 0; at < rows * channels; at += channels) {
        int c = 0;
        ROLLED for (; c + 16 <= channels; c += 16) UNROLLED for (int v = 0; v < 16; v += 4)
            f4_store(out + at + c + v, finish(f4_load(from + at + c + v), at + c + v, c + v, 4));
        ROLLED for (; c + 4 <= channels; c += 4) f4_store(out + at + c, finish(f4_load(from + at + c), at + c, c, 4));
        if (channels % 4)
            f4_store_first(out + at + c, finish(f4_load_first(from + at + c, channels % 4), at + c, c, channels % 4),
                           channels % 4);
    }
}
