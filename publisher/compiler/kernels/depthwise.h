/* Convolution of each channel alone. An image is kept as planes of four channels, [height][width][4], with the zeros that
   a kernel meets at the edges: what the kernel needs lies close together, and no place is a special one. */
#pragma once

#include "vectors.h"

/* Height and width are a plane's; `channels` are all that the output has, whose channels come last. */
typedef struct {
    int height, width, channels;
    int kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x;
    int out_height, out_width;
} Depthwise;

/* Weights are [channels / 4][kernel_height][kernel_width][4], filled up with zeros like the bias, which may be 0;
   `pixels` neighbours are computed at a time. */
typedef struct {
    const float *taps, *bias;
    int pixels;
} Weights;

#define MOST_PIXELS 4
#define WIDEST_UNROLLED 5
#define AT_ONCE 4

/* Adds to `pixels` neighbours what `count` taps of a line make of what they see. */
INLINE void depthwise_taps(const Depthwise d, const int pixels, const int count, f4 sums[MOST_PIXELS], const float *from,
                           const float *taps) {
    f4 tap[WIDEST_UNROLLED];
    UNROLLED for (int t = 0; t < count; t++) tap[t] = f4_load(taps + 4 * t);
    UNROLLED for (int i = 0; i < pixels; i++) UNROLLED for (int t = 0; t < count; t++) sums[i] +=
        tap[t] * f4_load(from + 4 * (i * d.stride_x + t * d.dilation_x));
}

INLINE void depthwise_line(const Depthwise d, const int pixels, f4 sums[MOST_PIXELS], const float *from,
                           const float *taps) {
    if (d.kernel_width <= WIDEST_UNROLLED) {
        depthwise_taps(d, pixels, d.kernel_width, sums, from, taps);
        return;
    }
    ROLLED for (int t = 0; t + AT_ONCE <= d.kernel_width; t += AT_ONCE)
        depthwise_taps(d, pixels, AT_ONCE, sums, from + 4 * t * d.dilation_x, taps + 4 * t);
    const int done = d.kernel_width / AT_ONCE * AT_ONCE;
    depthwise_taps(d, pixels, d.kernel_width - done, sums, from + 4 * done * d.dilation_x, taps + 4 * done);
}

/* `pixels` neighbours; `from` is what the kernel's first tap sees of the first of them. */
INLINE void depthwise_pixels(const Depthwise d, const int pixels, const float *from, const float *taps, const float *bias,
                             float *out, const long at, const int channel, const int count, const Finish finish) {
    f4 sums[MOST_PIXELS];
    UNROLLED for (int i = 0; i < pixels; i++) sums[i] = bias ? f4_load(bias) : f4_all(0);
    int lines = d.kernel_height;
    OPAQUE(lines);
    ROLLED for (;; from += 4 * d.dilation_y * d.width, taps += 4 * d.kernel_width) {
        /* Hidden for the same reason as in dots.h. */
        const float *here = from, *own = taps;
        OPAQUE(here);
        OPAQUE(own);
        depthwise_line(d, pixels, sums, here, own);
        if (--lines == 0)
            break;
    }
    UNROLLED for (int i = 0; i < pixels; i++) f4_store_first(
        out + at + i * d.channels, finish(sums[i], at + i * d.channels, channel, count), count);
}

/* `count` channels from `channel` on, of a plane; `at` is where the first of the output is. */
INLINE void depthwise_plane(const Depthwise d, const Weights w, const float *plane, const int channel, const int count,
                            float *out, long at, const Finish finish) {
    const float *taps = w.taps + (long)channel * d.kernel_height * d.kernel_width;
    const float *bias = w.bias ? w.bias + channel : 0;
    const int rest = d.out_width % w.pixels;
    ROLLED for (int y = 0; y < d.out_height; y++, plane += 4 * d.stride_y * d.width) {
        int x = 0;
        ROLLED for (; x + w.pixels <= d.out_width; x += w.pixels, at += w.pixels * d.channels)
            depthwise_pixels(d, w.pixels, plane + 4 * x * d.stride_x, taps, bias, out, at, channel, count, finish);
        if (rest)
            depthwise_pixels(d, rest, plane + 4 * x * d.stride_x, taps, bias, out, at, channel, count, finish);
        at += rest * d.channels;
    }
}
