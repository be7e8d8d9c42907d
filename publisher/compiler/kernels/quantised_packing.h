/* How the operands of integer products are packed: 16 bits each, their zero points taken off. quantised_product.h says
   in which order. */
#pragma once

#include "quantised_dots.h"

enum { LEFT = 4, RIGHT = 8, MOST_PLACES = 8 };
enum { TO_QUANTA, TO_SUMS, TO_REALS };
/* How the right operand lies: packed panels of int16, or of int8 with a zero point, or row-major bytes with one. */
enum { WIDE, NARROW, BYTES };

typedef struct {
    int rows, inner, columns;
    int left_signed;
    /* In elements from row to row, left and result. */
    int left_stride, stride;
    int right, right_signed;
    /* Both operands are packed along the inner dimension. */
    int deep;
    int to;
    Quanta quanta;
    /* How many rows are packed before the columns are gone through. */
    int block;
} Product;

INLINE int pairs_of(int inner) { return (inner + 1) / 2; }
/* Pairs of a left panel: packing writes eight numbers of a row at a time. */
INLINE int panel_pairs(int inner) { return (inner + 7) / 8 * 4; }

/* Numbers of a row of a left panel. */
INLINE int row_width(Product p) { return p.deep ? deep_width(p.inner) : 8 * panel_pairs(p.inner); }

/* Eight numbers of a row, as pairs that are there four times, LEFT vectors from one to the next. */
INLINE void repeat_pairs(u4 *to, u4 x) {
    to[0] = __builtin_shufflevector(x, x, 0, 0, 0, 0);
    to[LEFT] = __builtin_shufflevector(x, x, 1, 1, 1, 1);
    to[2 * LEFT] = __builtin_shufflevector(x, x, 2, 2, 2, 2);
    to[3 * LEFT] = __builtin_shufflevector(x, x, 3, 3, 3, 3);
}

/* Four rows of bytes become a panel. Nothing behind `inner` is read. */
INLINE void pack_rows(int16_t *panel, const uint8_t *const rows[LEFT], int inner, Product p, int zero_point) {
    const h8 zero = h8_all(zero_point);
    for (int row = 0; p.deep && row < LEFT; row++)
        pack_deep_row(panel + row * deep_width(inner), rows[row], inner, p.left_signed, zero_point);
    if (p.deep) return;
    u4 *to = (u4 *)panel;
    int k = 0;
    ROLLED for (; k + 8 <= inner; k += 8, to += 4 * LEFT) UNROLLED for (int row = 0; row < LEFT; row++)
        repeat_pairs(to + row, (u4)(widened(rows[row] + k, p.left_signed) - zero));
    ROLLED for (; k < inner; k += 2, to += LEFT) for (int row = 0; row < LEFT; row++) {
        int x[2] = {0, 0};
        for (int i = 0; i < 2 && k + i < inner; i++)
            x[i] = (p.left_signed ? (int8_t)rows[row][k + i] : rows[row][k + i]) - zero_point;
        to[row] = u4_all(((uint32_t)x[0] & 0xffff) | (uint32_t)x[1] << 16);
    }
}

/* One row: its numbers as they come. Returns their sum. */
INLINE int32_t pack_row(int16_t *panel, const uint8_t *row, int inner, int is_signed, int zero_point) {
    u4 sums = {0};
    int k = 0;
    for (; k + 8 <= inner; k += 8) {
        h8 x = widened(row + k, is_signed) - h8_all(zero_point);
        *(h8 *)(panel + k) = x;
        sums += dot_pairs(x, h8_all(1));
    }
    int32_t sum = (int32_t)(sums[0] + sums[1] + sums[2] + sums[3]);
    for (; k < inner; k++) sum += panel[k] = (int16_t)((is_signed ? (int8_t)row[k] : row[k]) - zero_point);
    for (; k < deep_width(inner); k++) panel[k] = 0;
    return sum;
}

/* A panel of eight columns of int8 made wide. */
INLINE void widen_panel(int16_t *panel, const uint8_t *from, int inner, int zero_point) {
    const h8 zero = h8_all(zero_point);
    int i = 0;
    ROLLED for (; i + 8 <= inner; i += 8) {
        const uint8_t *here = from + 8 * i;
        int16_t *to = panel + 8 * i;
        OPAQUE(here);
        OPAQUE(to);
        UNROLLED for (int j = 0; j < 8; j++) ((h8 *)to)[j] = widened(here + 8 * j, 1) - zero;
    }
    ROLLED for (; i < inner; i++) ((h8 *)panel)[i] = widened(from + 8 * i, 1) - zero;
}

/* A panel out of row-major bytes; columns behind the last are 0. */
INLINE void pack_columns(int16_t *panel, const uint8_t *from, Product p, int count, int zero_point) {
    for (int k = 0; k < p.inner; k += 2) {
        h8 rows[2] = {{0}, {0}};
        for (int half = 0; half < 2 && k + half < p.inner; half++) {
            const uint8_t *row = from + (int64_t)(k + half) * p.columns;
            if (count == RIGHT) rows[half] = widened(row, p.right_signed) - h8_all(zero_point);
            else for (int j = 0; j < count; j++)
                rows[half][j] = (int16_t)((p.right_signed ? (int8_t)row[j] : row[j]) - zero_point);
        }
        h8 *to = (h8 *)(panel + k * RIGHT);
        to[0] = __builtin_shufflevector(rows[0], rows[1], 0, 8, 1, 9, 2, 10, 3, 11);
        to[1] = __builtin_shufflevector(rows[0], rows[1], 4, 12, 5, 13, 6, 14, 7, 15);
    }
}
