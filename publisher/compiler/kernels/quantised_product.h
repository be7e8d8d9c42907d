/* Products of integer matrices: int8 and uint8 times int8, exact sums in 32 bits, then quanta, floats or the sums.

   Both operands become 16 bits, their zero points taken off, and pairs along the inner dimension meet in one
   instruction (`dot_pairs`). Left: panels of four rows, [pair][row][2]. Right: panels of eight columns,
   [pair][column][2], packed when the model is compiled, where it is a constant. */
#pragma once

#include "quantised.h"
#include "vectors.h"

enum { LEFT = 4, RIGHT = 8 };
enum { TO_QUANTA, TO_SUMS, TO_REALS };
/* How the right operand lies: packed panels of int16, or of int8 with a zero point, or row-major bytes with one. */
enum { WIDE, NARROW, BYTES };

typedef struct {
    int rows, inner, columns;
    int left_signed;
    /* In elements from row to row, left and result. */
    int left_stride, stride;
    int right, right_signed;
    int to;
    Quanta quanta;
    /* How many rows are packed before the columns are gone through. */
    int block;
} Product;

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

INLINE int pairs_of(int inner) { return (inner + 1) / 2; }
/* Pairs of a left panel: packing writes eight numbers of a row at a time. */
INLINE int panel_pairs(int inner) { return (inner + 7) / 8 * 4; }

/* Four rows of bytes become a panel. Nothing behind `inner` is read. */
INLINE void pack_rows(int16_t *panel, const uint8_t *const rows[LEFT], int inner, int is_signed, int zero_point) {
    h8 zero = h8_all(zero_point);
    int k = 0;
    for (; k + 8 <= inner; k += 8) {
        u4 a = (u4)(widened(rows[0] + k, is_signed) - zero), b = (u4)(widened(rows[1] + k, is_signed) - zero);
        u4 c = (u4)(widened(rows[2] + k, is_signed) - zero), d = (u4)(widened(rows[3] + k, is_signed) - zero);
        u4 ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        u4 *to = (u4 *)(panel + k * LEFT);
        to[0] = __builtin_shufflevector(ab, cd, 0, 1, 4, 5), to[1] = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
        ab = __builtin_shufflevector(a, b, 2, 6, 3, 7), cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        to[2] = __builtin_shufflevector(ab, cd, 0, 1, 4, 5), to[3] = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
    }
    for (; k < 2 * pairs_of(inner); k++)
        for (int row = 0; row < LEFT; row++) {
            int x = k >= inner ? zero_point : is_signed ? (int8_t)rows[row][k] : rows[row][k];
            panel[(k / 2 * LEFT + row) * 2 + k % 2] = (int16_t)(x - zero_point);
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
    if (inner % 2) panel[inner] = 0;
    return sum;
}

/* A panel of eight columns of int8 made wide. */
INLINE void widen_panel(int16_t *panel, const uint8_t *from, int pairs, int zero_point) {
    for (int i = 0; i < 2 * pairs; i++) ((h8 *)panel)[i] = widened(from + 8 * i, 1) - h8_all(zero_point);
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

#define ROW_OF_TILE(row)                                           \
    {                                                              \
        h8 x = (h8)__builtin_shufflevector(left, left, row, row, row, row); \
        sums[row][0] += dot_pairs(x, right[0]);                    \
        sums[row][1] += dot_pairs(x, right[1]);                    \
    }

INLINE void add_tile(u4 sums[LEFT][2], const int16_t *a, const int16_t *b, int pairs) {
    for (int k = 0; k < pairs; k++) {
        const h8 right[2] = {((const h8 *)b)[2 * k], ((const h8 *)b)[2 * k + 1]};
        const u4 left = ((const u4 *)a)[k];
        ROW_OF_TILE(0) ROW_OF_TILE(1) ROW_OF_TILE(2) ROW_OF_TILE(3)
    }
}

/* The first row of a left panel alone. */
INLINE void add_first_row(u4 sums[2], const int16_t *a, const int16_t *b, int pairs) {
    for (int k = 0; k < pairs; k++) {
        const h8 x = (h8)u4_all(*(const pair_anywhere *)(a + 2 * LEFT * k));
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

/* Where the sums of `count` columns of up to `rows` rows go. `rows` is 1 or 4, `valid` of which count. */
INLINE void finish(u4 sums[][2], void *out, Product p, Columns by, int column, int row, int rows, int valid, int count) {
    f4 scale[2], bias[2] = {{0}, {0}};
    for (int half = 0; half < 2 && p.to != TO_SUMS; half++) {
        scale[half] = f4_load(by.scale + column + 4 * half) * by.factor;
        if (by.bias) bias[half] = f4_load(by.bias + column + 4 * half);
    }
    if (p.to == TO_QUANTA) {
        h8 quanta[LEFT];
        for (int i = 0; i < rows; i++)
            quanta[i] = quanta_of(__builtin_convertvector((i4)sums[i][0], f4) * scale[0],
                                  __builtin_convertvector((i4)sums[i][1], f4) * scale[1], p.quanta);
        for (int i = 0; i < rows; i += 2) {
            b16 bytes = quanta_bytes(quanta[i], quanta[rows > 1 ? i + 1 : i], p.quanta);
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

INLINE int64_t panel_at(Product p, int column) {
    return (int64_t)column * pairs_of(p.inner) * 2 * (p.right == WIDE ? 2 : 1);
}

/* Few rows: each is multiplied with the panels as they are stored. `panel` holds `inner` + 8 numbers. */
INLINE void few_rows(const uint8_t *a, int left_zero, const uint8_t *b, int right_zero, void *out, Product p, Columns by,
                     int16_t *panel) {
    for (int row = 0; row < p.rows; row++) {
        int32_t sum = pack_row(panel, a + (int64_t)row * p.left_stride, p.inner, p.left_signed, left_zero);
        u4 shift = u4_all((uint32_t)right_zero * (uint32_t)sum);
        for (int column = 0; column < p.columns; column += RIGHT) {
            u4 sums[1][2] = {{first_sums(by, column) - shift, first_sums(by, column + 4) - shift}};
            add_row(sums[0], panel, b + panel_at(p, column), pairs_of(p.inner), p.right == NARROW);
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
        else if (p.right == NARROW) widen_panel(wide, b + panel_at(p, column), pairs_of(p.inner), right_zero);
        else pack_columns(wide, b + column, p, width, right_zero);
        /* A last row by itself would have a tile of four. */
        const int single = p.rows % LEFT == 1 && count % LEFT == 1, tiles = count - single;
        for (int row = 0; row < tiles; row += LEFT) {
            u4 low = first_sums(by, column), high = first_sums(by, column + 4);
            u4 sums[LEFT][2] = {{low, high}, {low, high}, {low, high}, {low, high}};
            add_tile(sums, packed + row * panel_pairs(p.inner) * 2, right, pairs_of(p.inner));
            finish(sums, out, p, by, column, first + row, LEFT, count - row, width);
        }
        if (single) {
            u4 sums[1][2] = {{first_sums(by, column), first_sums(by, column + 4)}};
            add_first_row(sums[0], packed + tiles * panel_pairs(p.inner) * 2, right, pairs_of(p.inner));
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
            pack_rows(packed + row * panel_pairs(p.inner) * 2, rows, p.inner, p.left_signed, left_zero);
        }
        packed_rows(packed, first, count, b, right_zero, out, p, by, wide);
    }
}
