/* Convolutions of bytes, channels last: the product of kernels and of what lies under them. */
#pragma once

#include "quantised_product.h"

/* One group's view of an image; `pixel` is how many channels the image has in all. */
typedef struct {
    int height, width, channels, pixel;
    int out_height, out_width;
    int kernel_height, kernel_width;
    int stride_y, stride_x, dilation_y, dilation_x;
    int top, left;
} Window;

/* Bytes from one place to another, or one byte many times. The compiler would call its library, or write each store. */
INLINE void copy_bytes(uint8_t *to, const uint8_t *from, int count) {
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        b16 x = *(const b16_anywhere *)(from + i);
        OPAQUE_VECTOR(x);
        *(b16_anywhere *)(to + i) = x;
    }
    if (count >= 16 && i < count) *(b16_anywhere *)(to + count - 16) = *(const b16_anywhere *)(from + count - 16);
    if (count < 16 && count >= 8) {
        *(eight_bytes *)to = *(const eight_bytes *)from;
        *(eight_bytes *)(to + count - 8) = *(const eight_bytes *)(from + count - 8);
    }
    if (count < 8) for (; i < count; i++) to[i] = from[i];
}
INLINE void fill_bytes(uint8_t *to, uint8_t with, int count) {
    b16 x = (b16){0} + with;
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        OPAQUE_VECTOR(x);
        *(b16_anywhere *)(to + i) = x;
    }
    for (; i < count; i++) {
        int last = with;
        OPAQUE(last);
        to[i] = (uint8_t)last;
    }
}

/* The bytes under the kernel at one place of the result; those outside the image are the zero point. */
INLINE void gather(uint8_t *to, const uint8_t *image, Window w, int place, uint8_t zero) {
    int top = place / w.out_width * w.stride_y - w.top, left = place % w.out_width * w.stride_x - w.left;
    int run = w.kernel_width * w.channels;
    for (int ky = 0; ky < w.kernel_height; ky++, to += run) {
        int y = top + ky * w.dilation_y;
        int inside = y >= 0 && y < w.height;
        if (inside && w.dilation_x == 1 && w.pixel == w.channels && left >= 0 && left + w.kernel_width <= w.width) {
            copy_bytes(to, image + ((int64_t)y * w.width + left) * w.pixel, run);
            continue;
        }
        for (int kx = 0; kx < w.kernel_width; kx++) {
            int x = left + kx * w.dilation_x;
            if (inside && x >= 0 && x < w.width)
                copy_bytes(to + kx * w.channels, image + ((int64_t)y * w.width + x) * w.pixel, w.channels);
            else fill_bytes(to + kx * w.channels, zero, w.channels);
        }
    }
}

/* Kernels that are computed: [columns][channels][taps] to panels, each column's zero point taken off. */
INLINE void pack_kernels(int16_t *panels, const uint8_t *from, int columns, int channels, int taps, int is_signed,
                         const uint8_t *zeros, int zero_step) {
    const int inner = channels * taps, pairs = pairs_of(inner);
    for (int column = 0; column < (columns + 7) / 8 * 8; column++)
        for (int k = 0; k < 2 * pairs; k++) {
            int tap = k / channels, channel = k % channels, x = 0;
            if (column < columns && k < inner) {
                uint8_t byte = from[(column * channels + channel) * taps + tap], zero = zeros[column * zero_step];
                x = is_signed ? (int8_t)byte - (int8_t)zero : byte - zero;
            }
            panels[((column / 8 * pairs + k / 2) * 8 + column % 8) * 2 + k % 2] = (int16_t)x;
        }
}

/* Rows that are gathered before they are packed: what is read soon after parts of it were written has to wait. */
enum { GATHERED = 32 };

/* One group of one image. `gathered` holds GATHERED rows, each as long as packing reads them. */
INLINE void quantised_convolution(const uint8_t *image, int zero, const uint8_t *b, int right_zero, void *out,
                                  Product p, Window w, Columns by, int16_t *packed, int16_t *wide,
                                  uint8_t *gathered) {
    OPAQUE(b);
    by = unseen(by);
    const int full = 2 * panel_pairs(p.inner);
    fill_bytes(gathered, (uint8_t)zero, GATHERED * full);
    for (int first = 0; first < p.rows; first += p.block) {
        int count = p.rows - first < p.block ? p.rows - first : p.block;
        for (int from = 0; from < count; from += GATHERED) {
            for (int i = 0; i < GATHERED && from + i < count; i++)
                gather(gathered + i * full, image, w, first + from + i, (uint8_t)zero);
            for (int row = 0; row < GATHERED && from + row < count; row += LEFT) {
                const uint8_t *rows[LEFT];
                for (int i = 0; i < LEFT; i++) rows[i] = gathered + (row + i) * full;
                pack_rows(packed + (from + row) * row_width(p), rows, full, p, zero);
            }
        }
        packed_rows(packed, first, count, b, right_zero, out, p, by, wide);
    }
}
