/* Convolutions of bytes, channels last, each channel by itself.

   Rows of the image are kept two by two, byte beside byte and with their borders, so that one instruction takes in two
   taps of four channels (`dot_pairs`). Weights are [channel / 8][pair of taps][8][2], pairs being one above the other;
   the last row of an uneven kernel has zeros below it. Where such a kernel goes down row by row, its weights come twice,
   the second time with the zeros above its first row: so every second row of the result has the pairs of the one before. */
#pragma once

#include "quantised_convolution.h"

enum { MOST_TAPS = 64 };

INLINE int padded_channels(Window w) { return (w.channels + 7) / 8 * 8; }
INLINE int padded_width(Window w) { return (w.out_width - 1) * w.stride_x + (w.kernel_width - 1) * w.dilation_x + 1; }
INLINE int rows_kept(Window w) { return (w.kernel_height - 1) * w.dilation_y + 1; }
INLINE int row_pairs(Window w) { return (w.kernel_height + 1) / 2; }
INLINE int weights_twice(Window w) { return w.kernel_height % 2 && w.stride_y == 1 && w.dilation_y == 1; }

/* Sixteen bytes of each of two rows, one of each in turn. */
INLINE void sixteen_in_turn(uint8_t *to, const uint8_t *from_a, const uint8_t *from_b) {
    const b16 a = *(const b16_anywhere *)from_a, b = *(const b16_anywhere *)from_b;
    *(b16_anywhere *)to = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *(b16_anywhere *)(to + 16) =
        __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/* `count` bytes of two rows, one of each in turn. A row that is not there stands still: `steps` are 0 or 1. */
INLINE void in_turn(uint8_t *to, const uint8_t *const rows[2], const int steps[2], int count) {
    int i = 0;
    if (steps[0] && steps[1]) ROLLED for (; i + 64 <= count; i += 64) {
        const uint8_t *a = rows[0] + i, *b = rows[1] + i;
        uint8_t *here = to + 2 * i;
        OPAQUE(a);
        OPAQUE(b);
        OPAQUE(here);
        UNROLLED for (int v = 0; v < 64; v += 16) sixteen_in_turn(here + 2 * v, a + v, b + v);
    }
    for (; i + 16 <= count; i += 16) sixteen_in_turn(to + 2 * i, rows[0] + i * steps[0], rows[1] + i * steps[1]);
    for (; i < count; i++) to[2 * i] = rows[0][i * steps[0]], to[2 * i + 1] = rows[1][i * steps[1]];
}

/* Rows `y` and `below` of the image, with their borders. `zeros` are sixteen zero points. */
INLINE void keep_rows(uint8_t *to, const uint8_t *image, Window w, int y, int below, const uint8_t *zeros) {
    const int wide = padded_channels(w), across = padded_width(w);
    const int left = w.left < across ? w.left : across;
    const int count = across - left < w.width ? across - left : w.width;
    const int steps[2] = {y >= 0 && y < w.height, below >= 0 && below < w.height};
    const uint8_t *rows[2] = {zeros, zeros};
    if (steps[0]) rows[0] = image + (int64_t)y * w.width * w.pixel;
    if (steps[1]) rows[1] = image + (int64_t)below * w.width * w.pixel;
    fill_bytes(to, *zeros, 2 * left * wide);
    fill_bytes(to + 2 * (left + count) * wide, *zeros, 2 * (across - left - count) * wide);
    to += 2 * left * wide;
    if (wide == w.pixel) in_turn(to, rows, steps, count * wide);
    else for (int x = 0; x < count; x++, to += 2 * wide) {
        in_turn(to, rows, steps, w.channels);
        rows[0] += w.pixel * steps[0], rows[1] += w.pixel * steps[1];
    }
}

/* Four channels, half of eight, at places beside one another: what lies under several of them is read once. */
INLINE void add_columns(u4 sums[MOST_PLACES][2], const uint8_t *const *rows, const h8 *weights, Window w, Product p, int at,
                        int half, const int abreast) {
    const int wide = 2 * padded_channels(w), last = w.kernel_width + (abreast - 1) * w.stride_x - 1;
    /* Every second step ends a block, as in dots.h: more would be loaded at once than there are registers. */
    int left = INT32_MAX;
    OPAQUE(left);
    /* Unrolled further, weights are kept for later. */
    ROLLED for (int pair = 0; pair < row_pairs(w); pair++) {
        const uint8_t *from = rows[pair] + at + 8 * half;
        const h8 *own = weights + pair * w.kernel_width * 2 + half;
        OPAQUE(from);
        OPAQUE(own);
        UNROLLED for (int column = 0; column < w.kernel_width + (abreast - 1) * w.stride_x; column++) {
            const h8 x = widened(from + column * wide, p.left_signed);
            UNROLLED for (int i = 0; i < abreast; i++) {
                const int tap = column - i * w.stride_x;
                if (tap >= 0 && tap < w.kernel_width) sums[i][half] += dot_pairs(x, own[2 * tap]);
            }
            if (column % 2 && column < last && --left == 0) return;
        }
    }
}

/* Both halves, tap by tap. */
INLINE void add_taps(u4 sums[MOST_PLACES][2], const uint8_t *const *rows, const h8 *weights, Window w, Product p, int at,
                     const int abreast) {
    const int wide = 2 * padded_channels(w);
    ROLLED for (int pair = 0; pair < row_pairs(w); pair++)
        ROLLED for (int kx = 0; kx < w.kernel_width; kx++)
            UNROLLED for (int half = 0; half < 2; half++)
                UNROLLED for (int i = 0; i < abreast; i++) {
                    const uint8_t *from = rows[pair] + at + (i * w.stride_x + kx * w.dilation_x) * wide + 8 * half;
                    sums[i][half] += dot_pairs(widened(from, p.left_signed),
                                               weights[(pair * w.kernel_width + kx) * 2 + half]);
                }
}

/* Eight channels at places beside one another. `rows` start where the kernel does. */
INLINE void depthwise_eight(const uint8_t *const *rows, const h8 *weights, void *out, Window w, Product p, Columns by,
                            int channel, int x, const int abreast) {
    const int at = 2 * (x * w.stride_x * padded_channels(w) + channel);
    u4 sums[MOST_PLACES][2];
    for (int i = 0; i < abreast; i++)
        sums[i][0] = u4_load(by.start + channel), sums[i][1] = u4_load(by.start + channel + 4);
    if (w.stride_x <= 2 && w.dilation_x == 1 && w.kernel_width <= 8) {
        add_columns(sums, rows, weights, w, p, at, 0, abreast);
        add_columns(sums, rows, weights, w, p, at, 1, abreast);
    } else add_taps(sums, rows, weights, w, p, at, abreast);
    finish(sums, out, p, by, channel, x, abreast, abreast, w.channels - channel);
}

/* One row of the result. */
INLINE void depthwise_row(const uint8_t *const *rows, const int16_t *weights, uint8_t *out, Window w, Product p,
                          Columns by, const int abreast) {
    const int taps = row_pairs(w) * w.kernel_width;
    for (int channel = 0; channel < w.channels; channel += 8) {
        const h8 *own = (const h8 *)weights + channel / 8 * taps * 2;
        for (int x = 0; x < w.out_width; x += abreast) {
            /* The last places may be computed twice. */
            const int last = w.out_width - abreast;
            depthwise_eight(rows, own, out, w, p, by, channel, x < last ? x : last, abreast);
        }
    }
}

/* One image, `abreast` places of a row at a time. `kept` holds `rows_kept` pairs of rows; they go round. */
INLINE void quantised_depthwise(const uint8_t *image, uint8_t zero, const int16_t *weights, void *out, Product p,
                                Window w, Columns by, uint8_t *kept, const int abreast) {
    OPAQUE(weights);
    by = unseen(by);
    const int ring = rows_kept(w), bytes = 2 * padded_width(w) * padded_channels(w), item = p.to == TO_QUANTA ? 1 : 4;
    b16 zeros = (b16){0} + zero;
    int held[MOST_TAPS];
    for (int i = 0; i < ring && i < MOST_TAPS; i++) held[i] = INT32_MIN;
    for (int y = 0; y < w.out_height; y++) {
        const uint8_t *rows[MOST_TAPS];
        const int second = weights_twice(w) && y % 2;
        for (int pair = 0; pair < row_pairs(w); pair++) {
            const int row = y * w.stride_y - second - w.top + 2 * pair * w.dilation_y, slot = (row + w.top) % ring;
            if (held[slot] != row) keep_rows(kept + slot * bytes, image, w, row, row + w.dilation_y,
                                           (const uint8_t *)&zeros);
            held[slot] = row;
            rows[pair] = kept + slot * bytes;
        }
        const int16_t *own = weights + second * 2 * row_pairs(w) * w.kernel_width * padded_channels(w);
        depthwise_row(rows, own, (uint8_t *)out + (int64_t)y * w.out_width * p.stride * item, w, p, by, abreast);
    }
}
