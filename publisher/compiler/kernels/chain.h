/* What follows one another in small networks - a convolution that widens, one of each channel alone, a product that
   narrows - a few lines of the image and a few channels at a time: what is in between never leaves the cache. */
#pragma once

#include "convolution.h"
#include "depthwise.h"

#define ABREAST_CHANNELS 16

/* A packed matrix, and what is added to each column; `packed` is 0 for a part that is not there. */
typedef struct {
    const float *packed, *bias;
    int depth, columns;
} Pointwise;

/* What the first part sees, and room for a band's patches; 0 where that is the image's elements as they are. */
typedef struct {
    Patches shape;
    float *space;
} Seen;

/* The image before the convolution, the padding around it, and how many lines of the output make a band. Where `keeps`
   there are planes of all channels, and what two bands share is moved; else of a few, which are filled anew. */
typedef struct {
    int height, width, top, left, lines, keeps;
} Band;

/* `columns` channels from `channel` on of a line that is inside the image, to planes `apart`. */
INLINE void plane_line(const Band b, const Pointwise first, const Finish finish, const float *line, const int channel,
                       const int columns, float *to, const long apart) {
    if (first.packed)
        gemm_to(line, first.depth, first.packed + (long)channel * first.depth,
                first.bias ? first.bias + channel : 0, (Target){to, 4, apart}, 0, channel, b.width, columns,
                first.depth, finish);
    else
        ROLLED for (int x = 0; x < b.width; x++) UNROLLED for (int c = 0; c < columns; c += 4)
            f4_store(to + c / 4 * apart + 4 * x,
                     f4_load_first(line + (long)x * first.columns + channel + c, columns - c));
}

/* The lines from `start` to `end` of a band whose first is the image's line `top`, which may lie outside. `rows` is what
   the product takes for the first line that lies inside. */
INLINE void plane_lines(const Band b, const Depthwise d, const Pointwise first, const Finish finish, const float *rows,
                        const int start, const int end, const int top, const int channel, const int columns,
                        float *planes) {
    const long apart = 4l * d.height * d.width, size = (long)b.width * first.depth;
    ROLLED for (int to = start; to < end; to++) {
        float *line = planes + 4 * ((long)to * d.width + b.left);
        if (top + to >= 0 && top + to < b.height) {
            plane_line(b, first, finish, rows, channel, columns, line, apart);
            rows += size;
        } else
            ROLLED for (int c = 0; c < columns; c += 4) zero_floats(line + c / 4 * apart, 4 * b.width);
    }
}

/* `columns` channels of a band: its planes, and what the convolution makes of them. */
INLINE void chain_channels(const Band b, const Depthwise d, const Pointwise first, const Finish first_finish,
                           const Weights w, const Finish finish, const float *rows, const int start, const int end,
                           const int top, const int fresh, const int channel, const int columns, float *planes,
                           float *out, const long at) {
    const long apart = 4l * d.height * d.width;
    ROLLED for (int c = 0; start && c < columns; c += 4)
        copy_floats(planes + c / 4 * apart, planes + c / 4 * apart + 4 * fresh * d.width, 4 * start * d.width);
    plane_lines(b, d, first, first_finish, rows, start, end, top, channel, columns, planes);
    int c = 0;
    ROLLED for (; c + 4 <= columns; c += 4)
        depthwise_plane(d, w, planes + c / 4 * apart, channel + c, 4, out, at + channel + c, finish);
    if (columns % 4)
        depthwise_plane(d, w, planes + c / 4 * apart, channel + c, columns % 4, out, at + channel + c, finish);
}

/* `d` describes a whole band, padding included. `space` holds a band's lines of the convolution's output where a product
   follows. The output's element for which `finish` is told `start` is the image's first. */
INLINE void chain(const Band b, const Depthwise d, const Seen seen, const Pointwise first, const Finish first_finish,
                  const Weights w, const Finish finish, const Pointwise last, const Finish last_finish,
                  const float *in, float *band, const int planes, float *space, float *out, const long start) {
    const int reach = (d.kernel_height - 1) * d.dilation_y + 1, fresh = b.lines * d.stride_y;
    const int kept = b.keeps ? d.height - fresh : 0, rest = d.channels % ABREAST_CHANNELS;
    zero_floats(band, 4 * planes * d.height * d.width);
    ROLLED for (int y = 0; y < d.out_height; y += b.lines) {
        Depthwise here = d;
        here.out_height = d.out_height - y < b.lines ? d.out_height - y : b.lines;
        const int top = y * d.stride_y - b.top, begin = y ? kept : 0;
        const int end = (here.out_height - 1) * d.stride_y + reach;
        const int above = begin + top < 0 ? 0 : begin + top, below = end + top < b.height ? end + top : b.height;
        const float *rows = in + (long)above * b.width * first.depth;
        if (seen.space && below > above) {
            gather_patches(seen.shape, in, above * b.width, (below - above) * b.width, seen.space);
            rows = seen.space;
        }
        const long at = start + (long)y * d.out_width * (last.packed ? last.columns : d.channels);
        float *to = last.packed ? space : out;
        int channel = 0;
        ROLLED for (; channel + ABREAST_CHANNELS <= d.channels; channel += ABREAST_CHANNELS)
            chain_channels(b, here, first, first_finish, w, finish, rows, begin, end, top, fresh, channel,
                           ABREAST_CHANNELS, band + (b.keeps ? (long)channel * d.height * d.width : 0), to,
                           last.packed ? 0 : at);
        if (rest)
            chain_channels(b, here, first, first_finish, w, finish, rows, begin, end, top, fresh, channel, rest,
                           band + (b.keeps ? (long)channel * d.height * d.width : 0), to, last.packed ? 0 : at);
        if (last.packed)
            gemm(space, last.depth, last.packed, last.bias, out, last.columns, at, 0, here.out_height * d.out_width,
                 last.columns, last.depth, last_finish);
    }
}
