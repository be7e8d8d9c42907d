/* A row-major matrix times one that was packed (operators/packing.py). By depth as dots.h does it, where the depth allows;
   else by columns: 16 of them and two rows at a time.

   Then the packed matrix is a row of panels, 16 columns wide; what remains is in panels of 8 and 4, filled up with zeros.
   A panel holds its columns row after row.

   wasmtime's compiler loads all that a block of instructions loads before it computes the first sum of it. So each step
   along the depth is a block of its own: between two there is an exit, which only the last of all steps takes. Eight
   sums, four elements of a panel's row, two of the left matrix and what is in between fit into 16 registers. */
#pragma once

#include "dots.h"

#define MOST_ROWS 4
#define MOST_VECTORS 4

/* One step along the depth: adds left[r] * panel[v] to each sum. */
INLINE void gemm_step(const int rows, const int vectors, f4 sums[MOST_ROWS][MOST_VECTORS], const f4 *left,
                      const float *panel, const int lane) {
    f4 right[MOST_VECTORS];
    UNROLLED for (int v = 0; v < vectors; v++) right[v] = f4_load(panel + 4 * v);
    UNROLLED for (int r = 0; r < rows; r++) {
        f4 repeated = lane < 0 ? left[r] : f4_lane(left[r], lane);
        UNROLLED for (int v = 0; v < vectors; v++) sums[r][v] += repeated * right[v];
    }
}

/* All steps: four at a time, with one load of each row; then what remains of the depth. */
INLINE void gemm_steps(const int rows, const int vectors, f4 sums[MOST_ROWS][MOST_VECTORS], const float *a,
                       const long stride, const float *panel, const int depth) {
    const int width = 4 * vectors;
    f4 left[MOST_ROWS];
    int steps = depth & ~3;
    OPAQUE(steps);
    if (depth >= 4)
        ROLLED for (;; a += 4, panel += 4 * width) {
            UNROLLED for (int r = 0; r < rows; r++) left[r] = f4_load(a + r * stride);
            gemm_step(rows, vectors, sums, left, panel, 0);
            if (--steps == 0)
                break;
            gemm_step(rows, vectors, sums, left, panel + width, 1);
            if (--steps == 0)
                break;
            gemm_step(rows, vectors, sums, left, panel + 2 * width, 2);
            if (--steps == 0)
                break;
            gemm_step(rows, vectors, sums, left, panel + 3 * width, 3);
            if (--steps == 0) {
                a += 4, panel += 4 * width;
                break;
            }
        }
    ROLLED for (int k = 0; k < (depth & 3); k++, panel += width) {
        UNROLLED for (int r = 0; r < rows; r++) left[r] = f4_repeat(a + r * stride + k);
        gemm_step(rows, vectors, sums, left, panel, -1);
    }
}

/* rows x 4 * vectors elements of the product, of whose columns `valid` are there. */
INLINE void gemm_tile(const int rows, const int vectors, const float *a, const long stride, const float *panel,
                      const int depth, const float *bias, const Target to, const long at, const int channel,
                      const int valid, const Finish finish) {
    f4 sums[MOST_ROWS][MOST_VECTORS];
    UNROLLED for (int r = 0; r < rows; r++) UNROLLED for (int v = 0; v < vectors; v++) sums[r][v] =
        bias ? f4_load(bias + 4 * v) : f4_all(0);
    gemm_steps(rows, vectors, sums, a, stride, panel, depth);
    UNROLLED for (int r = 0; r < rows; r++) UNROLLED for (int v = 0; v < vectors; v++) {
        const int count = valid - 4 * v < 4 ? valid - 4 * v : 4;
        const long here = at + r * to.down + v * to.across;
        if (count > 0)
            f4_store_first(to.out + here, finish(sums[r][v], here, channel + 4 * v, count), count);
    }
}

/* One panel for all rows. */
INLINE void gemm_panel(const int at_once, const int vectors, const float *a, const long stride, const float *panel,
                       const int depth, const float *bias, const Target to, const long at, const int channel,
                       const int valid, const int rows, const Finish finish) {
    int row = 0;
    ROLLED for (; row + at_once <= rows; row += at_once)
        gemm_tile(at_once, vectors, a + row * stride, stride, panel, depth, bias, to, at + row * to.down, channel,
                  valid, finish);
    if (at_once > 1)
        ROLLED for (; row < rows; row++)
            gemm_tile(1, vectors, a + row * stride, stride, panel, depth, bias, to, at + row * to.down, channel,
                      valid, finish);
}

INLINE void gemm_by_columns(const float *a, const long stride, const float *packed, const float *bias,
                            const Target to, const long at, const int channel, const int rows, const int columns,
                            const int depth, const Finish finish) {
    const int rest = columns % 16, whole = rest > 12 ? columns - rest + 16 : columns - rest;
    int column = 0;
    ROLLED for (; column + 16 <= columns; column += 16)
        gemm_panel(2, 4, a, stride, packed + (long)column * depth, depth, bias ? bias + column : 0, to,
                   at + column / 4 * to.across, channel + column, 16, rows, finish);
    if (rest > 12)
        gemm_panel(2, 4, a, stride, packed + (long)column * depth, depth, bias ? bias + column : 0, to,
                   at + column / 4 * to.across, channel + column, rest, rows, finish);
    if (rest > 4 && rest <= 12)
        gemm_panel(4, 2, a, stride, packed + (long)whole * depth, depth, bias ? bias + whole : 0, to,
                   at + whole / 4 * to.across, channel + whole, rest < 8 ? rest : 8, rows, finish);
    const int narrow = rest <= 4 ? whole : whole + 8;
    if ((rest > 0 && rest <= 4) || (rest > 8 && rest <= 12))
        gemm_panel(4, 1, a, stride, packed + (long)narrow * depth, depth, bias ? bias + narrow : 0, to,
                   at + narrow / 4 * to.across, channel + narrow, rest <= 4 ? rest : rest - 8, rows, finish);
}

/* Element (row, column) of the product becomes finish(bias[column] + a[row * stride + k] * packed(k, column) over k).

   `bias`, filled up to whole panels, or 0. `channel` is what finish calls column 0, and `at` where it goes. */
INLINE void gemm_to(const float *a, const long stride, const float *packed, const float *bias, const Target to,
                    const long at, const int channel, const int rows, const int columns, const int depth,
                    const Finish finish) {
    if (is_by_depth(depth))
        gemm_by_depth(a, stride, packed, bias, to, at, channel, rows, columns, depth, finish);
    else
        gemm_by_columns(a, stride, packed, bias, to, at, channel, rows, columns, depth, finish);
}

/* The same to whole rows, `out_stride` apart. */
INLINE void gemm(const float *a, const long stride, const float *packed, const float *bias, float *out,
                 const long out_stride, const long at, const int channel, const int rows, const int columns,
                 const int depth, const Finish finish) {
    gemm_to(a, stride, packed, bias, (Target){out, out_stride, 4}, at, channel, rows, columns, depth, finish);
}

/* The same, `block` rows of the left matrix at a time, which stay near while all panels pass by. */
INLINE void gemm_by_blocks(const float *a, const long stride, const float *packed, const float *bias, float *out,
                           const long out_stride, const long at, const int channel, const int rows,
                           const int columns, const int depth, const int block, const Finish finish) {
    ROLLED for (int row = 0; row < rows; row += block)
        gemm(a + row * stride, stride, packed, bias, out, out_stride, at + row * out_stride, channel,
             rows - row < block ? rows - row : block, columns, depth, finish);
}

/* Packs a matrix that is computed: element (k, column) of it is at b[k * down + column * across]. */
INLINE void pack_panels(const float *b, const long down, const long across, const int depth, const int columns,
                        float *to) {
    if (is_by_depth(depth)) {
        pack_dots(b, down, across, depth, columns, to);
        return;
    }
    int column = 0;
    while (column < columns) {
        const int rest = columns - column;
        const int width = rest > 12 ? 16 : rest > 4 ? 8 : 4;
        ROLLED for (int k = 0; k < depth; k++, to += width) {
            if (rest >= width && across == 1)
                ROLLED for (int j = 0; j < width; j += 4) f4_store(to + j, f4_load(b + k * down + column + j));
            else
                ROLLED for (int j = 0; j < width; j++) to[j] = j < rest ? b[k * down + (column + j) * across] : 0;
        }
        column += width;
    }
}
