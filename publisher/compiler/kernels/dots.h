/* A row-major matrix times one that was packed, both along their depth: a vector holds four elements of a row or of a
   column, and a sum is four partial ones until the end. So nothing has to be repeated along a vector.

   The packed matrix is a row of panels of four columns, filled up with zeros: the first four elements of each of its
   columns, then the next four.

   Each step is a block of its own, as in gemm.h. Where pointers begin is hidden at each turn: what is behind it then
   becomes part of the load, which has room for it, instead of an addition. */
#pragma once

#include "vectors.h"

#define LEAST_DEPTH 40

/* From here on what it takes to add up partial sums is less than what is gained; operators/packing.py agrees. */
INLINE int is_by_depth(const int depth) { return depth % 4 == 0 && depth >= LEAST_DEPTH; }

/* Where a product goes: its element (row, column) to out[at + row * down + column / 4 * across + column % 4]. `across` is 4
   where rows are whole. */
typedef struct {
    float *out;
    long down, across;
} Target;

/* The sum of each of four vectors. */
INLINE f4 f4_sums(const f4 x[4]) {
    const f4 a = __builtin_shufflevector(x[0], x[1], 0, 4, 1, 5) + __builtin_shufflevector(x[0], x[1], 2, 6, 3, 7);
    const f4 b = __builtin_shufflevector(x[2], x[3], 0, 4, 1, 5) + __builtin_shufflevector(x[2], x[3], 2, 6, 3, 7);
    return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
}

/* Four elements of each row times those of four columns. */
INLINE void dots_step(const int rows, f4 sums[2][4], const float *a, const long stride, const float *panel) {
    f4 right[4];
    UNROLLED for (int c = 0; c < 4; c++) right[c] = f4_load(panel + 4 * c);
    UNROLLED for (int r = 0; r < rows; r++) {
        const f4 left = f4_load(a + r * stride);
        UNROLLED for (int c = 0; c < 4; c++) sums[r][c] += left * right[c];
    }
}

INLINE void dots_steps(const int rows, f4 sums[2][4], const float *a, const long stride, const float *panel,
                       const int depth) {
    int steps = depth / 4;
    OPAQUE(steps);
    ROLLED for (;; a += 16, panel += 64) {
        const float *row = a, *here = panel;
        OPAQUE(row);
        OPAQUE(here);
        dots_step(rows, sums, row, stride, here);
        if (--steps == 0)
            break;
        dots_step(rows, sums, row + 4, stride, here + 16);
        if (--steps == 0)
            break;
        dots_step(rows, sums, row + 8, stride, here + 32);
        if (--steps == 0)
            break;
        dots_step(rows, sums, row + 12, stride, here + 48);
        if (--steps == 0)
            break;
    }
}

/* Rows x 4 elements of the product, of whose columns `valid` are there; written at `at` in the output. */
INLINE void dots_tile(const int rows, const float *a, const long stride, const float *panel, const int depth,
                      const float *bias, const Target to, const long at, const int channel, const int valid,
                      const Finish finish) {
    f4 sums[2][4];
    UNROLLED for (int r = 0; r < rows; r++) UNROLLED for (int c = 0; c < 4; c++) sums[r][c] = f4_all(0);
    dots_steps(rows, sums, a, stride, panel, depth);
    UNROLLED for (int r = 0; r < rows; r++) {
        const long here = at + r * to.down;
        const f4 sum = f4_sums(sums[r]);
        f4_store_first(to.out + here, finish(bias ? sum + f4_load(bias) : sum, here, channel, valid), valid);
    }
}

/* One panel for all rows. */
INLINE void dots_panel(const float *a, const long stride, const float *panel, const int depth, const float *bias,
                       const Target to, const long at, const int channel, const int valid, const int rows,
                       const Finish finish) {
    int row = 0;
    ROLLED for (; row + 2 <= rows; row += 2)
        dots_tile(2, a + row * stride, stride, panel, depth, bias, to, at + row * to.down, channel, valid, finish);
    if (row < rows)
        dots_tile(1, a + row * stride, stride, panel, depth, bias, to, at + row * to.down, channel, valid, finish);
}

/* As `gemm` in gemm.h. */
INLINE void gemm_by_depth(const float *a, const long stride, const float *packed, const float *bias, const Target to,
                          const long at, const int channel, const int rows, const int columns, const int depth,
                          const Finish finish) {
    int column = 0;
    ROLLED for (; column + 4 <= columns; column += 4)
        dots_panel(a, stride, packed + (long)column * depth, depth, bias ? bias + column : 0, to,
                   at + column / 4 * to.across, channel + column, 4, rows, finish);
    if (columns % 4)
        dots_panel(a, stride, packed + (long)column * depth, depth, bias ? bias + column : 0, to,
                   at + column / 4 * to.across, channel + column, columns % 4, rows, finish);
}

/* As `pack_panels` in gemm.h. */
INLINE void pack_dots(const float *b, const long down, const long across, const int depth, const int columns,
                      float *to) {
    ROLLED for (int first = 0; first < columns; first += 4) ROLLED for (int k = 0; k < depth; k += 4)
        ROLLED for (int column = first; column < first + 4; column++, to += 4) {
        const float *from = b + k * down + column * across;
        const int is_there = column < columns;
        f4_store(to, is_there ? (f4){from[0], from[down], from[2 * down], from[3 * down]} : f4_all(0));
    }
}
