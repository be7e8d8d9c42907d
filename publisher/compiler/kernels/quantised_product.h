/* Products of integer matrices: int8 and uint8 times int8, exact sums in 32 bits, then quanta, floats or the sums.

   Both operands become 16 bits, their zero points taken off, and pairs along the inner dimension meet in one
   instruction (`dot_pairs`). Left: panels of four rows, [pair][row][4][2], each pair four times, for it meets four columns
   at once: repeated when it is loaded, it would take the place of a product each time. Right: panels of eight columns,
   [pair][column][2], packed when the model is compiled, where it is a constant; then, where the inner dimension is long,
   both are as quantised_dots.h has them. */
#pragma once

#include "quantised_packing.h"

/* What is added to and multiplied with the sums of a column; `start` and `bias` may be null. */
typedef struct {
    const int32_t *start;
    const float *scale, *bias;
    /* Multiplied with every column's scale. */
    float factor;
} Columns;

/* The compiler knows the weights, and would write code for each of them. */
INLINE Columns unseen(Columns by) {
    if (by.start) OPAQUE(by.start);
    if (by.scale) OPAQUE(by.scale);
    if (by.bias) OPAQUE(by.bias);
    return by;
}

/* One pair of each row against eight columns. */
INLINE void step_of_tile(u4 sums[LEFT][2], const int16_t *a, const int16_t *b) {
    const h8 right[2] = {((const h8 *)b)[0], ((const h8 *)b)[1]};
    UNROLLED for (int row = 0; row < LEFT; row++) {
        const h8 x = ((const h8 *)a)[row];
        sums[row][0] += dot_pairs(x, right[0]);
        sums[row][1] += dot_pairs(x, right[1]);
    }
}

/* Each step is a block of its own, and pointers are hidden, as in dots.h. */
INLINE void add_tile(u4 sums[LEFT][2], const int16_t *a, const int16_t *b, int pairs) {
    OPAQUE(pairs);
    ROLLED for (;; a += 4 * 8 * LEFT, b += 4 * 2 * RIGHT) {
        const int16_t *left = a, *right = b;
        OPAQUE(left);
        OPAQUE(right);
        step_of_tile(sums, left, right);
        if (--pairs == 0) break;
        step_of_tile(sums, left + 8 * LEFT, right + 2 * RIGHT);
        if (--pairs == 0) break;
        step_of_tile(sums, left + 16 * LEFT, right + 4 * RIGHT);
        if (--pairs == 0) break;
        step_of_tile(sums, left + 24 * LEFT, right + 6 * RIGHT);
        if (--pairs == 0) break;
    }
}

/* The first row of a left panel alone. */
INLINE void add_first_row(u4 sums[2], const int16_t *a, const int16_t *b, int pairs) {
    for (int k = 0; k < pairs; k++) {
        const h8 x = *(const h8 *)(a + 8 * LEFT * k);
        sums[0] += dot_pairs(x, ((const h8 *)b)[2 * k]);
        sums[1] += dot_pairs(x, ((const h8 *)b)[2 * k + 1]);
    }
}

/* One row, and right panels as they are stored. */
INLINE void add_row(u4 sums[2], const int16_t *a, const uint8_t *b, int pairs, int narrow) {
    for (int k = 0; k < pairs; k++) {
        const h8 x = (h8)u4_all(*(const pair_anywhere *)(a + 2 * k));
        sums[0] += dot_pairs(x, narrow ? widened(b + 16 * k, 1) : ((const h8 *)b)[2 * k]);
        sums[1] += dot_pairs(x, narrow ? widened(b + 16 * k + 8, 1) : ((const h8 *)b)[2 * k + 1]);
    }
}

/* Where the sums of `count` columns of `rows` rows go, at most MOST_PLACES, `valid` of which count. */
INLINE void finish(u4 sums[][2], void *out, Product p, Columns by, int column, int row, int rows, int valid, int count) {
    f4 scale[2], bias[2] = {{0}, {0}};
    for (int half = 0; half < 2 && p.to != TO_SUMS; half++) {
        scale[half] = f4_load(by.scale + column + 4 * half) * by.factor;
        if (by.bias) bias[half] = f4_load(by.bias + column + 4 * half);
    }
    if (p.to == TO_QUANTA) {
        h8 quanta[MOST_PLACES];
        for (int i = 0; i < rows; i++)
            quanta[i] = quanta_of(__builtin_convertvector((i4)sums[i][0], f4) * scale[0],
                                  __builtin_convertvector((i4)sums[i][1], f4) * scale[1], p.quanta);
        for (int i = 0; i < rows; i += 2) {
            b16 bytes = quanta_bytes(quanta[i], quanta[i + 1 < rows ? i + 1 : i], p.quanta);
            uint8_t *to = (uint8_t *)out + (int64_t)(row + i) * p.stride + column;
            if (i < valid) store_bytes(to, bytes, 0, count);
            if (i + 1 < valid) store_bytes(to + p.stride, bytes, 1, count);
        }
        return;
    }
    for (int i = 0; i < rows; i++) {
        if (i >= valid) return;
        int32_t *to = (int32_t *)out + (int64_t)(row + i) * p.stride + column;
        for (int half = 0; half < 2; half++) {
            u4 x = sums[i][half];
            if (p.to == TO_REALS) x = (u4)(__builtin_convertvector((i4)x, f4) * scale[half] + bias[half]);
            if (count >= 4 * half + 4) *(sums_anywhere *)(to + 4 * half) = x;
            else for (int j = 4 * half; j < count; j++) to[j] = (int32_t)x[j - 4 * half];
        }
    }
}

INLINE u4 first_sums(Columns by, int column) { return by.start ? u4_load(by.start + column) : (u4){0}; }

/* Numbers of a column of a right panel. */
INLINE int column_width(Product p) { return p.deep ? deep_width(p.inner) : 2 * pairs_of(p.inner); }

INLINE int64_t panel_at(Product p, int column) {
    return (int64_t)column * column_width(p) * (p.right == WIDE ? 2 : 1);
}

/* Few rows: each is multiplied with the panels as they are stored. `panel` holds `inner` + 8 numbers. */
INLINE void few_rows(const uint8_t *a, int left_zero, const uint8_t *b, int right_zero, void *out, Product p, Columns by,
                     int16_t *panel) {
    for (int row = 0; row < p.rows; row++) {
        int32_t sum = pack_row(panel, a + (int64_t)row * p.left_stride, p.inner, p.left_signed, left_zero);
        u4 shift = u4_all((uint32_t)right_zero * (uint32_t)sum);
        for (int column = 0; column < p.columns; column += RIGHT) {
            u4 sums[1][2] = {{first_sums(by, column) - shift, first_sums(by, column + 4) - shift}};
            if (p.deep) add_deep_row(sums[0], panel, b + panel_at(p, column), column_width(p), p.right == NARROW);
            else add_row(sums[0], panel, b + panel_at(p, column), pairs_of(p.inner), p.right == NARROW);
            finish(sums, out, p, by, column, row, 1, 1, p.columns - column);
        }
    }
}

/* The columns, against `count` rows that are packed already. `wide` holds one right panel. */
INLINE void packed_rows(const int16_t *packed, int first, int count, const uint8_t *b, int right_zero, void *out,
                        Product p, Columns by, int16_t *wide) {
    for (int column = 0; column < p.columns; column += RIGHT) {
        int left = p.columns - column, width = left < RIGHT ? left : RIGHT;
        const int16_t *right = wide;
        if (p.right == WIDE) right = (const int16_t *)(b + panel_at(p, column));
        else if (p.right == NARROW) widen_panel(wide, b + panel_at(p, column), column_width(p), right_zero);
        else pack_columns(wide, b + column, p, width, right_zero);
        /* A last row by itself would have a tile of four. */
        const int single = p.rows % LEFT == 1 && count % LEFT == 1, tiles = count - single;
        for (int row = 0; row < tiles; row += LEFT) {
            u4 low = first_sums(by, column), high = first_sums(by, column + 4);
            u4 sums[LEFT][2] = {{low, high}, {low, high}, {low, high}, {low, high}};
            const int16_t *tile = packed + row * row_width(p);
            if (p.deep) add_deep_tile(sums, tile, right, column_width(p));
            else add_tile(sums, tile, right, pairs_of(p.inner));
            finish(sums, out, p, by, column, first + row, LEFT, count - row, width);
        }
        if (single) {
            u4 sums[1][2] = {{first_sums(by, column), first_sums(by, column + 4)}};
            const int16_t *last = packed + tiles * row_width(p);
            if (p.deep) add_deep_row(sums[0], last, (const uint8_t *)right, column_width(p), 0);
            else add_first_row(sums[0], last, right, pairs_of(p.inner));
            finish(sums, out, p, by, column, first + tiles, 1, 1, width);
        }
    }
}

/* a · b. `packed` holds `block` rows of panels (`panel_pairs`), `wide` one right panel. */
INLINE void quantised_product(const uint8_t *a, int left_zero, const uint8_t *b, int right_zero, void *out, Product p,
                              Columns by, int16_t *packed, int16_t *wide) {
    OPAQUE(b);
    by = unseen(by);
    if (p.rows < LEFT && p.right != BYTES) {
        few_rows(a, left_zero, b, right_zero, out, p, by, packed);
        return;
    }
    for (int first = 0; first < p.rows; first += p.block) {
        int count = p.rows - first < p.block ? p.rows - first : p.block;
        for (int row = 0; row < count; row += LEFT) {
            const uint8_t *rows[LEFT];
            for (int i = 0; i < LEFT; i++)
                rows[i] = a + (int64_t)(first + (row + i < count ? row + i : count - 1)) * p.left_stride;
            pack_rows(packed + row * row_width(p), rows, p.inner, p, left_zero);
        }
        packed_rows(packed, first, count, b, right_zero, out, p, by, wide);
    }
}
