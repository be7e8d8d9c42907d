/* What follows one another in small networks - a convolution that widens, one of each channel alone, a product that
   narrows - a few lines of the image at a time: what is in between never leaves the cache. */
#pragma once

#include "convolution.h"
#include "depthwise.h"

/* A packed matrix, and what is added to each column; `packed` is 0 for a part that is not there. */
typedef struct {
    const float *packed, *bias;
    int depth, columns;
} Pointwise;

/* What the first part sees, and room for a line of patches; 0 where that is the image's elements as they are. */
typedef struct {
    Patches shape;
    float *space;
} Seen;

typedef struct {
    const float *taps, *bias;
    int pixels;
} Weights;

/* The image before the convolution, the padding around it, and how many lines of the output make a band. */
typedef struct {
    int height, width, top, left, lines;
} Band;

/* Line `to` of the band from line `row` of the image, which may lie outside. */
INLINE void band_line(const Band b, const Depthwise d, const Seen seen, const Pointwise first, const Finish finish,
                      const float *in, const int row, float *band, const int to) {
    const long at = ((long)to * d.width + b.left) * d.channels;
    if (row < 0 || row >= b.height)
        zero_floats(band + at, b.width * d.channels);
    else if (first.packed && seen.space) {
        gather_patches(seen.shape, in, row * b.width, b.width, seen.space);
        gemm(seen.space, first.depth, first.packed, first.bias, band, d.channels, at, 0, b.width, d.channels,
             first.depth, finish);
    } else if (first.packed)
        gemm(in + (long)row * b.width * first.depth, first.depth, first.packed, first.bias, band, d.channels, at, 0,
             b.width, d.channels, first.depth, finish);
    else
        copy_floats(band + at, in + (long)row * b.width * d.channels, b.width * d.channels);
}

/* `d` describes the band: its height is that of a whole one, padding at the sides included. `space` holds a band's lines
   of the convolution's output where a product follows. The output's element for which `finish` is told `start` is the
   image's first. */
INLINE void chain(const Band b, const Depthwise d, const Seen seen, const Pointwise first, const Finish first_finish,
                  const Weights w, const Finish finish, const Pointwise last, const Finish last_finish,
                  const float *in, float *band, float *space, float *out, const long start) {
    const int reach = (d.kernel_height - 1) * d.dilation_y + 1, line = d.width * d.channels;
    const int fresh = b.lines * d.stride_y, kept = d.height > fresh ? d.height - fresh : 0;
    zero_floats(band, d.height * line);
    ROLLED for (int y = 0; y < d.out_height; y += b.lines) {
        const int lines = d.out_height - y < b.lines ? d.out_height - y : b.lines;
        if (y)
            copy_floats(band, band + fresh * line, kept * line);
        ROLLED for (int to = y ? kept : 0; to < (lines - 1) * d.stride_y + reach; to++)
            band_line(b, d, seen, first, first_finish, in, y * d.stride_y - b.top + to, band, to);
        Depthwise here = d;
        here.out_height = lines;
        const long at = start + (long)y * d.out_width * (last.packed ? last.columns : d.channels);
        depthwise(here, w.pixels, 0, d.out_width, band, 1, w.taps, w.bias, last.packed ? space : out,
                  last.packed ? 0 : at, finish);
        if (last.packed)
            gemm(space, last.depth, last.packed, last.bias, out, last.columns, at, 0, lines * d.out_width,
                 last.columns, last.depth, last_finish);
    }
}
