/* The second half of a transposed convolution: what each element of the input contributes is summed up where it
   overlaps. `Patches` is as for the convolution the other way round: the input is the image, `out_…` the output. */
#pragma once

#include "convolution.h"

/* The next tap after `tap` of one dimension that reaches the output's element; where it comes from, or -1 at the end.
   `place` is the element's, padding included. */
INLINE int next_source(int *tap, const int place, const int size, const int stride, const int dilation,
                       const int length) {
    while (++*tap < size) {
        const int from = place - *tap * dilation;
        if (from < 0)
            return -1;
        if (from % stride == 0 && from / stride < length)
            return from / stride;
    }
    return -1;
}

/* Four channels, or `count`, of one element of the output. `shares` are [elements of the input, taps, own channels]. */
INLINE f4 overlapped(const Patches p, const float *shares, const int oz, const int oy, const int ox, const int own,
                     f4 sum, const int count) {
    const int taps = p.kernel_depth * p.kernel_height * p.kernel_width;
    int kz = -1, z;
    while ((z = next_source(&kz, oz + p.begin_z, p.kernel_depth, p.stride_z, p.dilation_z, p.depth)) >= 0) {
        int ky = -1, y;
        while ((y = next_source(&ky, oy + p.begin_y, p.kernel_height, p.stride_y, p.dilation_y, p.height)) >= 0) {
            int kx = -1, x;
            while ((x = next_source(&kx, ox + p.begin_x, p.kernel_width, p.stride_x, p.dilation_x, p.width)) >= 0) {
                const long from = ((long)(z * p.height + y) * p.width + x) * taps;
                const int tap = (kz * p.kernel_height + ky) * p.kernel_width + kx;
                sum += f4_load_first(shares + (from + tap) * own, count);
            }
        }
    }
    return sum;
}

/* `own` channels from `channel` on, of `filters`, for one image that begins at `start` of the output. */
INLINE void sum_overlapping(const Patches p, const float *shares, const float *bias, float *out, const long start,
                            const int filters, const int channel, const int own, const Finish finish) {
    long at = start + channel;
    ROLLED for (int oz = 0; oz < p.out_depth; oz++) ROLLED for (int oy = 0; oy < p.out_height; oy++)
        ROLLED for (int ox = 0; ox < p.out_width; ox++, at += filters) {
            int c = 0;
            ROLLED for (; c + 4 <= own; c += 4) {
                f4 sum = bias ? f4_load(bias + c) : f4_all(0);
                sum = overlapped(p, shares + c, oz, oy, ox, own, sum, 4);
                f4_store(out + at + c, finish(sum, at + c, channel + c, 4));
            }
            if (own % 4) {
                f4 sum = bias ? f4_load(bias + c) : f4_all(0);
                sum = overlapped(p, shares + c, oz, oy, ox, own, sum, own % 4);
                f4_store_first(out + at + c, finish(sum, at + c, channel + c, own % 4), own % 4);
            }
        }
}

/* Where kernels do not overlap: each element of the output is that of one element of the input, so that products go
   right to their places. `packed` has, line after line of the kernel and place after place in it (or a whole line at
   once where `wide`), the weights of `own` channels. */
INLINE void spread(const Patches p, const int wide, const float *image, const float *packed, const long packed_size,
                   const float *bias, float *out, const long start, const int filters, const int channel, const int own,
                   const Finish finish) {
    const int at_once = wide ? p.kernel_width : 1, columns = own * at_once;
    ROLLED for (int y = 0; y < p.height; y++) ROLLED for (int ky = 0; ky < p.kernel_height; ky++) {
        const long line = start + (long)(y * p.kernel_height + ky) * p.out_width * filters;
        ROLLED for (int kx = 0; kx < p.kernel_width; kx += at_once)
            gemm(image + (long)y * p.width * p.channels, p.channels,
                 packed + (ky * p.kernel_width + kx) / at_once * packed_size, bias, out,
                 (long)p.kernel_width * filters, line + (long)kx * filters + channel, channel, p.width, columns, p.own,
                 finish);
    }
}
