/* Reals to quanta and back, and what is computed between tensors of quanta. */
#pragma once

#include "quantised.h"

/* round(x / scale) + zero point, for a whole tensor. */
INLINE void quantise(uint8_t *to, const float *from, long count, float scale, Quanta quanta) {
    long i = 0;
    for (; i + 8 <= count; i += 8) {
        h8 wide = quanta_of(f4_load(from + i) / scale, f4_load(from + i + 4) / scale, quanta);
        store_bytes(to + i, quanta_bytes(wide, wide, quanta), 0, 8);
    }
    for (; i < count; i++) to[i] = quantum(from[i] / scale, quanta);
}

/* One element of a type of 16 bits at most; NaN becomes the lowest. */
INLINE int32_t quantum_of(float x, int zero_point, int low, int high) {
    float least = (float)(low - zero_point), most = (float)(high - zero_point);
    x = x > least ? x : least;
    return (int32_t)rintf(x < most ? x : most) + zero_point;
}

/* ONNX DynamicQuantizeLinear: the range always holds 0. */
INLINE void quantise_by_range(uint8_t *to, const float *from, long count, float *scale, uint8_t *zero_point) {
    f4 low = {0}, high = {0};
    long i = 0;
    for (; i + 4 <= count; i += 4) {
        f4 x = f4_load(from + i);
        low = f4_where(x < low, x, low), high = f4_where(x > high, x, high);
    }
    float least = 0, most = 0;
    for (int lane = 0; lane < 4; lane++) {
        least = low[lane] < least ? low[lane] : least;
        most = high[lane] > most ? high[lane] : most;
    }
    for (; i < count; i++) {
        least = from[i] < least ? from[i] : least;
        most = from[i] > most ? from[i] : most;
    }
    *scale = least == most ? 1.0f : (most - least) / 255.0f;
    *zero_point = (uint8_t)quantum_of(-least / *scale, 0, 0, 255);
    quantise(to, from, count, *scale, (Quanta){*zero_point, 0, 0, 255, 1});
}

INLINE void looked_up(uint8_t *to, const uint8_t *from, long count, const uint8_t *table) {
    for (long i = 0; i < count; i++) to[i] = table[from[i]];
}

/* Two tensors' quanta, each with what a quantum is worth in quanta of the result. */
typedef struct {
    int signed_a, signed_b, zero_a, zero_b;
    float scale_a, scale_b;
} Operands;

INLINE f4 reals(const uint8_t *from, int is_signed, int zero_point, int half) {
    h8 x = widened(from, is_signed) - h8_all(zero_point);
    return __builtin_convertvector((i4)(half ? high_half(x) : low_half(x)), f4);
}

/* Eight elements; `a` or `b` may be one element that meets all of the other. */
#define QUANTISED_MAP(name, expression)                                                                      \
    INLINE h8 name##_eight(const uint8_t *at, const uint8_t *bt, Operands o, Quanta quanta) {                  \
        f4 made[2];                                                                                            \
        for (int half = 0; half < 2; half++) {                                                                 \
            f4 a = reals(at, o.signed_a, o.zero_a, half), b = reals(bt, o.signed_b, o.zero_b, half);           \
            made[half] = (expression);                                                                         \
        }                                                                                                      \
        return quanta_of(made[0], made[1], quanta);                                                            \
    }                                                                                                          \
    INLINE void name(uint8_t *to, const uint8_t *at, const uint8_t *bt, int step_a, int step_b, long count,    \
                     Operands o, Quanta quanta) {                                                              \
        uint8_t a[8], b[8];                                                                                    \
        if (!step_a) __builtin_memset(a, *at, 8);                                                              \
        if (!step_b) __builtin_memset(b, *bt, 8);                                                              \
        for (long i = 0; i < count; i += 8) {                                                                  \
            long left = count - i;                                                                             \
            if (left < 8 && step_a) for (int j = 0; j < 8; j++) a[j] = j < left ? at[i + j] : 0;               \
            if (left < 8 && step_b) for (int j = 0; j < 8; j++) b[j] = j < left ? bt[i + j] : 0;               \
            h8 x = name##_eight(step_a && left >= 8 ? at + i : a, step_b && left >= 8 ? bt + i : b, o, quanta); \
            store_bytes(to + i, quanta_bytes(x, x, quanta), 0, left < 8 ? (int)left : 8);                      \
        }                                                                                                      \
    }
QUANTISED_MAP(quantised_add, a * o.scale_a + b * o.scale_b)
QUANTISED_MAP(quantised_multiply, a * b * o.scale_a)

/* The mean of each channel, channels last. */
INLINE void quantised_means(uint8_t *to, const uint8_t *from, int places, int channels, int is_signed, int zero_point,
                            float scale, int32_t *sums, Quanta quanta) {
    for (int c = 0; c < channels; c++) sums[c] = -zero_point * places;
    for (int place = 0; place < places; place++, from += channels)
        for (int c = 0; c < channels; c++) sums[c] += is_signed ? (int8_t)from[c] : from[c];
    for (int c = 0; c < channels; c++) to[c] = quantum((float)sums[c] * scale, quanta);
}
