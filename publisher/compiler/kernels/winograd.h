/* Convolution by 3 x 3 without gaps, as S. Winograd's F(2 x 2, 3 x 3): sixteen products for four elements of the output
   where plain convolution takes thirty-six.

   Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015, section 4.1: B, A are the matrices of (9)
   and (11); G went into the weights at compile time. */
#pragma once

#include "gemm.h"

typedef struct {
    int height, width, channels, top, left, out_height, out_width, filters;
} Winograd;

/* B' d B of a 4 x 4 tile, whose elements lie `down` and `across` apart; results lie `apart`. Channels are whole vectors. */
INLINE void winograd_tile(const float *from, const long down, const long across, const int channels, float *to,
                          const long apart) {
    ROLLED for (int c = 0; c < channels; c += 4) {
        f4 half[4][4];
        UNROLLED for (int x = 0; x < 4; x++) {
            const float *at = from + x * across + c;
            f4 a = f4_load(at), b = f4_load(at + down), d = f4_load(at + 2 * down), e = f4_load(at + 3 * down);
            half[0][x] = a - d, half[1][x] = b + d, half[2][x] = d - b, half[3][x] = b - e;
        }
        UNROLLED for (int y = 0; y < 4; y++) {
            f4_store(to + (4 * y) * apart + c, half[y][0] - half[y][2]);
            f4_store(to + (4 * y + 1) * apart + c, half[y][1] + half[y][2]);
            f4_store(to + (4 * y + 2) * apart + c, half[y][2] - half[y][1]);
            f4_store(to + (4 * y + 3) * apart + c, half[y][1] - half[y][3]);
        }
    }
}

/* The tile for the outputs at y, x: by way of `edge`, [4, 4, channels], where part of it lies outside. */
INLINE void winograd_input(const Winograd w, const float *image, const int y, const int x, float *edge, float *to,
                           const long apart) {
    const int top = y - w.top, left = x - w.left, line = w.width * w.channels;
    if (top >= 0 && left >= 0 && top + 4 <= w.height && left + 4 <= w.width) {
        winograd_tile(image + (long)top * line + (long)left * w.channels, line, w.channels, w.channels, to, apart);
        return;
    }
    ROLLED for (int i = 0; i < 16; i++) {
        const int row = top + i / 4, column = left + i % 4;
        if (row >= 0 && row < w.height && column >= 0 && column < w.width)
            copy_floats(edge + i * w.channels, image + (long)row * line + (long)column * w.channels, w.channels);
        else
            zero_floats(edge + i * w.channels, w.channels);
    }
    winograd_tile(edge, 4 * w.channels, w.channels, w.channels, to, apart);
}

/* A' m A: four elements of the output, of which those inside are written. `start` is where the image's output begins. */
INLINE void winograd_output(const Winograd w, const float *m, const long apart, const float *bias, const int y,
                            const int x, float *out, const long start, const Finish finish) {
    ROLLED for (int n = 0; n < w.filters; n += 4) {
        f4 half[2][4];
        UNROLLED for (int i = 0; i < 4; i++) {
            const float *at = m + i * apart + n;
            f4 a = f4_load(at), b = f4_load(at + 4 * apart), c = f4_load(at + 8 * apart), d = f4_load(at + 12 * apart);
            half[0][i] = a + b + c, half[1][i] = b - c - d;
        }
        const f4 added = bias ? f4_load(bias + n) : f4_all(0);
        UNROLLED for (int i = 0; i < 4; i++) {
            const f4 *row = half[i / 2];
            const f4 sum = i % 2 ? row[1] - row[2] - row[3] : row[0] + row[1] + row[2];
            const long at = start + ((long)(y + i / 2) * w.out_width + x + i % 2) * w.filters + n;
            if (y + i / 2 < w.out_height && x + i % 2 < w.out_width)
                f4_store(out + at, finish(sum + added, at, n, 4));
        }
    }
}

/* `packed` are sixteen matrices, `size` apart; `space` holds [16, block, channels], `products` [16, block, filters]. */
INLINE void winograd(const Winograd w, const float *in, const int images, const float *packed, const long size,
                     const float *bias, float *edge, float *space, float *products, float *out, const int block,
                     const Finish finish) {
    const int across = (w.out_width + 1) / 2, tiles = (w.out_height + 1) / 2 * across;
    ROLLED for (int n = 0; n < images; n++) {
        const float *image = in + (long)n * w.height * w.width * w.channels;
        const long start = (long)n * w.out_height * w.out_width * w.filters;
        ROLLED for (int tile = 0; tile < tiles; tile += block) {
            const int count = tiles - tile < block ? tiles - tile : block;
            ROLLED for (int i = 0; i < count; i++)
                winograd_input(w, image, (tile + i) / across * 2, (tile + i) % across * 2, edge,
                               space + (long)i * w.channels, (long)block * w.channels);
            ROLLED for (int i = 0; i < 16; i++)
                gemm(space + (long)i * block * w.channels, w.channels, packed + i * size, 0,
                     products + (long)i * block * w.filters, w.filters, 0, 0, count, w.filters, w.channels, unchanged);
            ROLLED for (int i = 0; i < count; i++)
                winograd_output(w, products + (long)i * w.filters, (long)block * w.filters, bias,
                                (tile + i) / across * 2, (tile + i) % across * 2, out, start, finish);
        }
    }
}
