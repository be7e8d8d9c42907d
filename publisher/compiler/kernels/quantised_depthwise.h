/* Convolutions of bytes, channels last, each channel by itself.

   Products of 8 bits are added up in 16 bits for as long as no sum can leave them, which is known when the model is
   compiled: `whole` has a bit for each tap after which the sums move on to 32 bits. Images are signed here, unsigned
   ones having their sign bit turned; what that and the zero point add is in `start`. */
#pragma once

#include "quantised_convolution.h"

enum { MOST_TAPS = 64 };

/* Bytes of one padded row: `across` pixels of `channels`, rounded up to eight. */
INLINE int padded_channels(Window w) { return (w.channels + 7) / 8 * 8; }
INLINE int padded_width(Window w) { return (w.out_width - 1) * w.stride_x + (w.kernel_width - 1) * w.dilation_x + 1; }
INLINE int rows_kept(Window w) { return (w.kernel_height - 1) * w.dilation_y + 1; }

/* Row y of the image between its borders, as signed bytes. */
INLINE void keep_row(uint8_t *to, const uint8_t *image, Window w, int y, uint8_t zero, uint8_t turn) {
    const int wide = padded_channels(w), across = padded_width(w);
    if (y < 0 || y >= w.height) {
        fill_bytes(to, zero ^ turn, across * wide);
        return;
    }
    const int left = w.left < across ? w.left : across;
    const int count = across - left < w.width ? across - left : w.width;
    const uint8_t *from = image + (int64_t)y * w.width * w.pixel;
    uint8_t *at = to + left * wide;
    fill_bytes(to, zero ^ turn, left * wide);
    if (wide == w.channels) copy_bytes(at, from, count * wide, turn);
    else for (int x = 0; x < count; x++) copy_bytes(at + x * wide, from + x * w.channels, w.channels, turn);
    fill_bytes(at + count * wide, zero ^ turn, (across - left - count) * wide);
}

/* The sums of eight channels at one place. `rows` start where the kernel does; weights are [tap][8]. */
INLINE void add_taps(u4 sums[2], const uint8_t *const *rows, int at, const h8 *weights, Window w, uint64_t whole) {
    const int step = w.dilation_x * padded_channels(w);
    h8 some = {0};
    for (int ky = 0, tap = 0; ky < w.kernel_height; ky++)
        for (int kx = 0; kx < w.kernel_width; kx++, tap++) {
            some += widened(rows[ky] + at + kx * step, 1) * weights[tap];
            if (whole >> tap & 1) {
                sums[0] += low_half(some), sums[1] += high_half(some);
                some = (h8){0};
            }
        }
}

/* One row of the result. */
INLINE void depthwise_row(const uint8_t *const *rows, const int16_t *weights, uint8_t *out, Window w, Product p,
                          Columns by, uint64_t whole) {
    const int taps = w.kernel_height * w.kernel_width;
    for (int channel = 0; channel < w.channels; channel += 8)
        for (int x = 0; x < w.out_width; x++) {
            u4 sums[1][2] = {{u4_load(by.start + channel), u4_load(by.start + channel + 4)}};
            add_taps(sums[0], rows, x * w.stride_x * padded_channels(w) + channel,
                     (const h8 *)weights + channel / 8 * taps, w, whole);
            finish(sums, out, p, by, channel, x, 1, 1, w.channels - channel);
        }
}

/* One image. `kept` holds `rows_kept` padded rows; they go round. */
INLINE void quantised_depthwise(const uint8_t *image, uint8_t zero, const int16_t *weights, void *out, Product p,
                                Window w, Columns by, uint64_t whole, uint8_t *kept) {
    OPAQUE(weights);
    by = unseen(by);
    const int ring = rows_kept(w), row_bytes = padded_width(w) * padded_channels(w);
    const int item = p.to == TO_QUANTA ? 1 : 4;
    int next = -w.top;
    for (int y = 0; y < w.out_height; y++) {
        const int first = y * w.stride_y - w.top;
        for (next = next < first ? first : next; next < first + ring; next++)
            keep_row(kept + (next + w.top) % ring * row_bytes, image, w, next, zero, p.left_signed ? 0 : 0x80);
        const uint8_t *rows[MOST_TAPS];
        for (int ky = 0; ky < w.kernel_height; ky++)
            rows[ky] = kept + (first + w.top + ky * w.dilation_y) % ring * row_bytes;
        depthwise_row(rows, weights, (uint8_t *)out + (int64_t)y * w.out_width * p.stride * item, w, p, by, whole);
    }
}
