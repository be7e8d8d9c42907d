/* Convolution of each channel alone, channels last: four channels of a few neighbours in a row at a time. */
#pragma once

#include "vectors.h"

/* `side` is how many channels lie between the weights of one place of the kernel and of the next. */
typedef struct {
    int height, width, channels, side;
    int kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x, begin_y, begin_x;
    int out_height, out_width;
} Depthwise;

#define MOST_PIXELS 4
#define WIDEST_UNROLLED 5

/* `pixels` neighbours at channel `channel`; `from` and `weights` are where the kernel's first line that is inside
   begins, of which there are `lines`. */
INLINE void depthwise_pixels(const Depthwise d, const int pixels, const float *from, const float *weights,
                             const int lines, const float *bias, float *out, const long at, const int channel,
                             const int count, const Finish finish) {
    const int next = d.stride_x * d.channels, across = d.dilation_x * d.channels;
    f4 sums[MOST_PIXELS];
    UNROLLED for (int i = 0; i < pixels; i++) sums[i] = bias ? f4_load(bias + channel) : f4_all(0);
    ROLLED for (int ky = 0; ky < lines; ky++) {
        if (d.kernel_width <= WIDEST_UNROLLED) {
            f4 weight[WIDEST_UNROLLED];
            UNROLLED for (int kx = 0; kx < d.kernel_width; kx++) weight[kx] = f4_load(weights + kx * d.side);
            UNROLLED for (int i = 0; i < pixels; i++) UNROLLED for (int kx = 0; kx < d.kernel_width; kx++) sums[i] +=
                weight[kx] * f4_load_first(from + i * next + kx * across, count);
        } else {
            ROLLED for (int kx = 0; kx < d.kernel_width; kx++) {
                f4 weight = f4_load(weights + kx * d.side);
                UNROLLED for (int i = 0; i < pixels; i++) sums[i] +=
                    weight * f4_load_first(from + i * next + kx * across, count);
            }
        }
        from += (long)d.dilation_y * d.width * d.channels;
        weights += d.kernel_width * d.side;
    }
    UNROLLED for (int i = 0; i < pixels; i++) f4_store_first(
        out + at + i * d.channels, finish(sums[i], at + i * d.channels, channel, count), count);
}

/* The same along all channels. */
INLINE void depthwise_channels(const Depthwise d, const int pixels, const float *from, const float *weights,
                               const int lines, const float *bias, float *out, const long at, const Finish finish) {
    int channel = 0;
    ROLLED for (; channel + 4 <= d.channels; channel += 4)
        depthwise_pixels(d, pixels, from + channel, weights + channel, lines, bias, out, at + channel, channel, 4,
                         finish);
    if (d.channels % 4)
        depthwise_pixels(d, pixels, from + channel, weights + channel, lines, bias, out, at + channel, channel,
                         d.channels % 4, finish);
}

/* One place, and of the kernel's lines only what is between `first` and `last`. */
INLINE void depthwise_part(const Depthwise d, const float *from, const float *weights, const int lines,
                           const int first, const int last, const float *bias, float *out, const long at,
                           const int channel, const int count, const Finish finish) {
    f4 sum = bias ? f4_load(bias + channel) : f4_all(0);
    ROLLED for (int ky = 0; ky < lines; ky++) ROLLED for (int kx = first; kx < last; kx++) sum +=
        f4_load(weights + (ky * d.kernel_width + kx) * d.side) *
        f4_load_first(from + ((long)ky * d.dilation_y * d.width + kx * d.dilation_x) * d.channels, count);
    f4_store_first(out + at, finish(sum, at, channel, count), count);
}

/* One place at which part of a line of the kernel may hang over to the left or right. */
INLINE void depthwise_edge(const Depthwise d, const float *row, const int x, const float *weights, const int lines,
                           const float *bias, float *out, const long at, const Finish finish) {
    const int left = x * d.stride_x - d.begin_x;
    int first = left < 0 ? (-left + d.dilation_x - 1) / d.dilation_x : 0;
    int last = d.kernel_width;
    while (last > first && left + (last - 1) * d.dilation_x >= d.width) last--;
    const float *from = row + (long)left * d.channels;
    int channel = 0;
    ROLLED for (; channel + 4 <= d.channels; channel += 4)
        depthwise_part(d, from + channel, weights + channel, lines, first, last, bias, out, at + channel, channel, 4,
                       finish);
    if (d.channels % 4)
        depthwise_part(d, from + channel, weights + channel, lines, first, last, bias, out, at + channel, channel,
                       d.channels % 4, finish);
}

/* One line of places: those in the middle `pixels` at a time. */
INLINE void depthwise_line(const Depthwise d, const int pixels, const int first_whole, const int whole_end,
                           const float *image, const int y, const float *weights, const float *bias, float *out,
                           long at, const Finish finish) {
    const int top = y * d.stride_y - d.begin_y;
    const int first = top < 0 ? (-top + d.dilation_y - 1) / d.dilation_y : 0;
    int last = d.kernel_height;
    while (last > first && top + (last - 1) * d.dilation_y >= d.height) last--;
    const float *row = image + ((long)top + (long)first * d.dilation_y) * d.width * d.channels;
    const int lines = last > first ? last - first : 0;
    weights += first * d.kernel_width * d.side;
    int x = 0;
    ROLLED for (; x < first_whole; x++, at += d.channels)
        depthwise_edge(d, row, x, weights, lines, bias, out, at, finish);
    ROLLED for (; x + pixels <= whole_end; x += pixels, at += pixels * d.channels)
        depthwise_channels(d, pixels, row + (long)(x * d.stride_x - d.begin_x) * d.channels, weights, lines, bias, out,
                           at, finish);
    if (pixels > 1)
        ROLLED for (; x < whole_end; x++, at += d.channels)
            depthwise_channels(d, 1, row + (long)(x * d.stride_x - d.begin_x) * d.channels, weights, lines, bias, out,
                               at, finish);
    ROLLED for (; x < d.out_width; x++, at += d.channels)
        depthwise_edge(d, row, x, weights, lines, bias, out, at, finish);
}

/* `first_whole` and `whole_end` bound the places of a line at which the kernel hangs over neither left nor right.
   Weights are [kernel_height, kernel_width, side]; bias[side] or 0. */
INLINE void depthwise(const Depthwise d, const int pixels, const int first_whole, const int whole_end, const float *in,
                      const int images, const float *weights, const float *bias, float *out, const long start,
                      const Finish finish) {
    ROLLED for (int n = 0; n < images; n++) ROLLED for (int y = 0; y < d.out_height; y++)
        depthwise_line(d, pixels, first_whole, whole_end, in + (long)n * d.height * d.width * d.channels, y, weights,
                       bias, out, start + ((long)n * d.out_height + y) * d.out_width * d.channels, finish);
}
