/* Integer products along their depth, as dots.h has them of floats: eight numbers of 16 bits of a row and of a column meet
   in one instruction, and four partial sums of a column are added at the end.

   Left: rows, filled up with zeros to a multiple of eight numbers. Right: panels of eight columns, each as two halves
   [eighth of the depth][column][8], of int16 or of int8. */
#pragma once

#include "quantised.h"
#include "vectors.h"

enum { HALF = 4 };

INLINE int deep_width(int inner) { return (inner + 7) / 8 * 8; }

/* A row of bytes, its zero point taken off. Nothing behind `inner` is read. */
INLINE void pack_deep_row(int16_t *to, const uint8_t *row, int inner, int is_signed, int zero_point) {
    const h8 zero = h8_all(zero_point);
    int k = 0;
    ROLLED for (; k + 8 <= inner; k += 8) *(h8 *)(to + k) = widened(row + k, is_signed) - zero;
    ROLLED for (; k < deep_width(inner); k++) {
        const int x = k >= inner ? zero_point : is_signed ? (int8_t)row[k] : row[k];
        to[k] = (int16_t)(x - zero_point);
    }
}

/* The sum of each of four vectors. */
INLINE u4 u4_sums(const u4 x[4]) {
    const u4 a = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5) + __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7);
    const u4 b = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5) + __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
    return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
}

/* Eight numbers of each row times those of four columns. */
INLINE void deep_step(const int rows, u4 sums[2][HALF], const int16_t *a, const int stride, const uint8_t *b,
                      const int narrow) {
    h8 right[HALF];
    UNROLLED for (int c = 0; c < HALF; c++) right[c] = narrow ? widened(b + 8 * c, 1) : ((const h8 *)b)[c];
    UNROLLED for (int r = 0; r < rows; r++) {
        const h8 left = *(const h8 *)(a + r * stride);
        UNROLLED for (int c = 0; c < HALF; c++) sums[r][c] += dot_pairs(left, right[c]);
    }
}

/* The products of one or two rows, `stride` apart, and half a panel: each step is a block of its own, as in dots.h. */
INLINE void deep_products(const int rows, u4 made[2], const int16_t *a, const int stride, const uint8_t *b,
                          const int narrow) {
    u4 sums[2][HALF] = {{{0}}};
    int steps = stride / 8;
    const int size = narrow ? 8 * HALF : 16 * HALF;
    OPAQUE(steps);
    ROLLED for (;; a += 4 * 8, b += 4 * size) {
        const int16_t *row = a;
        const uint8_t *here = b;
        OPAQUE(row);
        OPAQUE(here);
        deep_step(rows, sums, row, stride, here, narrow);
        if (--steps == 0) break;
        deep_step(rows, sums, row + 8, stride, here + size, narrow);
        if (--steps == 0) break;
        deep_step(rows, sums, row + 16, stride, here + 2 * size, narrow);
        if (--steps == 0) break;
        deep_step(rows, sums, row + 24, stride, here + 3 * size, narrow);
        if (--steps == 0) break;
    }
    UNROLLED for (int r = 0; r < rows; r++) made[r] = u4_sums(sums[r]);
}

/* Adds to the sums of four rows and eight columns. */
INLINE void add_deep_tile(u4 sums[][2], const int16_t *a, const int16_t *b, const int width) {
    ROLLED for (int part = 0; part < 4; part++) {
        const int row = part & 2, half = part & 1;
        u4 made[2];
        deep_products(2, made, a + row * width, width, (const uint8_t *)(b + half * HALF * width), 0);
        sums[row][half] += made[0], sums[row + 1][half] += made[1];
    }
}

/* The same of one row; the panel as it is stored. */
INLINE void add_deep_row(u4 sums[2], const int16_t *a, const uint8_t *b, const int width, const int narrow) {
    ROLLED for (int half = 0; half < 2; half++) {
        u4 made[2];
        deep_products(1, made, a, width, b + half * HALF * width * (narrow ? 1 : 2), narrow);
        sums[half] += made[0];
    }
}
