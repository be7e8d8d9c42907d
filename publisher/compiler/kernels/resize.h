/* An axis of another length: each element is a sum of a few elements along the axis. */
#pragma once

#include "module.h"

/* `rows` blocks of `length` times `inner` elements become `made` times `inner`: with `taps` weights each, and for each
   the place of an element, in elements. */
#define RESIZED(type)                                                                                              \
    INLINE void resized_##type(type *to, const type *from, const type *weights, const int32_t *places, int rows,    \
                               int length, int made, int inner, int taps) {                                        \
        for (int row = 0; row < rows; row++)                                                                       \
            for (int i = 0; i < made; i++) {                                                                       \
                const int32_t *const at = places + i * taps;                                                       \
                const type *const weight = weights + i * taps;                                                     \
                type *const out = to + (row * made + i) * inner;                                                   \
                const type *const block = from + row * length * inner;                                             \
                if (taps == 2) {                                                                                   \
                    const type *const a = block + at[0], *const b = block + at[1], u = weight[0], v = weight[1];   \
                    INDEPENDENT                                                                                    \
                    for (int j = 0; j < inner; j++) out[j] = a[j] * u + b[j] * v;                                  \
                    continue;                                                                                      \
                }                                                                                                  \
                INDEPENDENT                                                                                        \
                for (int j = 0; j < inner; j++) {                                                                  \
                    type sum = 0;                                                                                  \
                    for (int k = 0; k < taps; k++) sum += block[at[k] + j] * weight[k];                            \
                    out[j] = sum;                                                                                  \
                }                                                                                                  \
            }                                                                                                      \
    }
RESIZED(float)
RESIZED(double)
