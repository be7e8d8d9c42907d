/* Convolution over channels-last images: patches side by side become rows, which gemm.h multiplies. */
#pragma once

#include "gemm.h"

/* An image [depth, height, width, channels], of whose channels `own` are read from `first` on, and the places at which
   a kernel is laid on it. Where a kernel hangs over, it meets zeros. */
typedef struct {
    int depth, height, width, channels, first, own;
    int kernel_depth, kernel_height, kernel_width;
    int stride_z, stride_y, stride_x;
    int dilation_z, dilation_y, dilation_x;
    int begin_z, begin_y, begin_x;
    int out_depth, out_height, out_width;
} Patches;

INLINE int patch_size(const Patches p) { return p.kernel_depth * p.kernel_height * p.kernel_width * p.own; }
/* With zeros up to whole vectors, unless it is less than one; operators/packing.py agrees. */
INLINE int patch_depth(const Patches p) { return patch_size(p) > 4 ? (patch_size(p) + 3) / 4 * 4 : patch_size(p); }

/* One line of a kernel, `row` is the image's; x may lie outside. */
INLINE void gather_line(const Patches p, const float *row, const int x, float *to) {
    const int across = p.kernel_width;
    if (p.dilation_x == 1 && p.own == p.channels) {
        if (x >= 0 && x + across <= p.width) {
            copy_floats(to, row + x * p.channels, across * p.own);
            return;
        }
        const int before = x < 0 ? (x < -across ? across : -x) : 0;
        const int behind = x + across > p.width ? (x > p.width ? across : x + across - p.width) : 0;
        zero_floats(to, before * p.own);
        copy_floats(to + before * p.own, row + (x + before) * p.channels, (across - before - behind) * p.own);
        zero_floats(to + (across - behind) * p.own, behind * p.own);
        return;
    }
    ROLLED for (int kx = 0; kx < across; kx++, to += p.own) {
        const int here = x + kx * p.dilation_x;
        if (here >= 0 && here < p.width)
            copy_floats(to, row + here * p.channels + p.first, p.own);
        else
            zero_floats(to, p.own);
    }
}

/* What the kernel sees at `count` places from `place` on, a row of `patch_depth` each. */
INLINE void gather_patches(const Patches p, const float *image, const int place, const int count, float *to) {
    const int line = p.kernel_width * p.own;
    int x = place % p.out_width, y = place / p.out_width % p.out_height, z = place / p.out_width / p.out_height;
    ROLLED for (int i = 0; i < count; i++) {
        ROLLED for (int kz = 0; kz < p.kernel_depth; kz++) ROLLED for (int ky = 0; ky < p.kernel_height; ky++) {
            const int iz = z * p.stride_z - p.begin_z + kz * p.dilation_z;
            const int iy = y * p.stride_y - p.begin_y + ky * p.dilation_y;
            if (iz < 0 || iz >= p.depth || iy < 0 || iy >= p.height)
                zero_floats(to, line);
            else
                gather_line(p, image + (long)(iz * p.height + iy) * p.width * p.channels, x * p.stride_x - p.begin_x,
                            to);
            to += line;
        }
        zero_floats(to, patch_depth(p) - patch_size(p));
        to += patch_depth(p) - patch_size(p);
        if (++x == p.out_width) {
            x = 0;
            if (++y == p.out_height)
                y = 0, z++;
        }
    }
}

/* `columns` of all `filters` from `channel` on, for each image; `space` holds `block` patches. */
INLINE void convolution(const Patches p, const float *in, const int images, const float *packed, const float *bias,
                        float *space, float *out, const int filters, const int channel, const int columns,
                        const int block, const Finish finish) {
    const int places = p.out_depth * p.out_height * p.out_width, depth = patch_depth(p);
    ROLLED for (int n = 0; n < images; n++) {
        const float *image = in + (long)n * p.depth * p.height * p.width * p.channels;
        ROLLED for (int place = 0; place < places; place += block) {
            const int count = places - place < block ? places - place : block;
            gather_patches(p, image, place, count, space);
            gemm(space, depth, packed, bias, out, filters, ((long)n * places + place) * filters + channel, channel,
                 count, columns, depth, finish);
        }
    }
}
