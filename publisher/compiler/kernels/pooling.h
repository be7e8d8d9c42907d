/* Pooling over channels-last images: sixteen channels at a time, so that whole cache lines are read. */
#pragma once

#include "convolution.h"

enum { POOL_MAX, POOL_MEAN, POOL_NORM };

/* `power` is that of a norm. Up to `limit_…` an element counts in a mean: as far as the image goes, or its padding. */
typedef struct {
    int kind, padding_counts;
    float power;
    int limit_z, limit_y, limit_x;
} Pool;

/* The elements of a kernel that lie within the image along one dimension, and how many count. */
typedef struct {
    int first, last, counted;
} Taps;

INLINE Taps taps(const int place, const int stride, const int begin, const int size, const int dilation,
                 const int length, const int limit, const int padding_counts) {
    const int start = place * stride - begin;
    int last = size, counted = size;
    while (counted > 0 && start + (counted - 1) * dilation >= limit) counted--;
    while (last > 0 && start + (last - 1) * dilation >= length) last--;
    int first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    first = first < last ? first : last;
    return (Taps){first, last, padding_counts ? counted : last - first};
}

INLINE f4 pool_add(const Pool how, f4 sum, f4 x) {
    if (how.kind == POOL_MAX)
        return f4_max(sum, x);
    if (how.kind == POOL_MEAN)
        return sum + x;
    if (how.power == 2)
        return sum + x * x;
    x = f4_abs(x);
    if (how.power != 1)
        for (int i = 0; i < 4; i++) x[i] = powf(x[i], how.power);
    return sum + x;
}

INLINE f4 pool_end(const Pool how, f4 sum, const int counted) {
    if (how.kind == POOL_MAX || (how.kind == POOL_NORM && how.power == 1))
        return sum;
    if (how.kind == POOL_MEAN)
        return sum / f4_all((float)(counted > 0 ? counted : 1));
    if (how.power == 2)
        return __builtin_elementwise_sqrt(sum);
    for (int i = 0; i < 4; i++) sum[i] = powf(sum[i], 1 / how.power);
    return sum;
}

/* 4 * vectors channels, or `count` in one, of one place. */
INLINE void pool_channels(const Patches p, const Pool how, const int vectors, const float *image, const int corner,
                          const Taps z, const Taps y, const Taps x, float *out, const int count) {
    f4 sums[4];
    UNROLLED for (int v = 0; v < vectors; v++) sums[v] = f4_all(how.kind == POOL_MAX ? -__builtin_inff() : 0.0f);
    ROLLED for (int kz = z.first; kz < z.last; kz++) ROLLED for (int ky = y.first; ky < y.last; ky++) {
        const float *row = image + (corner + (kz * p.dilation_z * p.height + ky * p.dilation_y) * p.width) * p.channels;
        ROLLED for (int kx = x.first; kx < x.last; kx++) UNROLLED for (int v = 0; v < vectors; v++) sums[v] =
            pool_add(how, sums[v], f4_load_first(row + kx * p.dilation_x * p.channels + 4 * v, count));
    }
    const int counted = z.counted * y.counted * x.counted;
    UNROLLED for (int v = 0; v < vectors; v++) f4_store_first(out + 4 * v, pool_end(how, sums[v], counted), count);
}

INLINE void pool_place(const Patches p, const Pool how, const float *image, const int corner, const Taps z,
                       const Taps y, const Taps x, float *out) {
    int channel = 0;
    ROLLED for (; channel + 16 <= p.channels; channel += 16)
        pool_channels(p, how, 4, image + channel, corner, z, y, x, out + channel, 4);
    ROLLED for (; channel + 4 <= p.channels; channel += 4)
        pool_channels(p, how, 1, image + channel, corner, z, y, x, out + channel, 4);
    if (p.channels % 4)
        pool_channels(p, how, 1, image + channel, corner, z, y, x, out + channel, p.channels % 4);
}

INLINE void pool(const Patches p, const Pool how, const float *in, const int images, float *out) {
    ROLLED for (int n = 0; n < images; n++, in += (long)p.depth * p.height * p.width * p.channels)
        ROLLED for (int oz = 0; oz < p.out_depth; oz++) ROLLED for (int oy = 0; oy < p.out_height; oy++)
            ROLLED for (int ox = 0; ox < p.out_width; ox++, out += p.channels) {
                const Taps z = taps(oz, p.stride_z, p.begin_z, p.kernel_depth, p.dilation_z, p.depth, how.limit_z,
                                    how.padding_counts);
                const Taps y = taps(oy, p.stride_y, p.begin_y, p.kernel_height, p.dilation_y, p.height, how.limit_y,
                                    how.padding_counts);
                const Taps x = taps(ox, p.stride_x, p.begin_x, p.kernel_width, p.dilation_x, p.width, how.limit_x,
                                    how.padding_counts);
                const int corner = ((oz * p.stride_z - p.begin_z) * p.height + oy * p.stride_y - p.begin_y) * p.width +
                                   ox * p.stride_x - p.begin_x;
                pool_place(p, how, in, corner, z, y, x, out);
            }
}

/* The greatest of any type, and where it was: `where` is of ONNX's order of dimensions, or 0. With `columns_first` the
   positions of an image count its columns first. */
#define POOL_GREATEST(type, least, p, in, images, out, where, columns_first)                                          \
    ROLLED for (int n = 0; n < (images); n++) ROLLED for (int at = 0; at < (p).out_depth * (p).out_height *            \
                                                                               (p).out_width * (p).channels;           \
                                                          at++) {                                                      \
        const int channel = at % (p).channels, place = at / (p).channels, size = (p).depth * (p).height * (p).width;   \
        const int ox = place % (p).out_width, oy = place / (p).out_width % (p).out_height;                             \
        const int oz = place / (p).out_width / (p).out_height;                                                         \
        type greatest = least;                                                                                         \
        int64_t found = -1;                                                                                            \
        for (int kz = 0; kz < (p).kernel_depth; kz++)                                                                  \
            for (int ky = 0; ky < (p).kernel_height; ky++)                                                             \
                for (int kx = 0; kx < (p).kernel_width; kx++) {                                                        \
                    const int z = oz * (p).stride_z - (p).begin_z + kz * (p).dilation_z;                               \
                    const int y = oy * (p).stride_y - (p).begin_y + ky * (p).dilation_y;                               \
                    const int x = ox * (p).stride_x - (p).begin_x + kx * (p).dilation_x;                               \
                    if (z < 0 || z >= (p).depth || y < 0 || y >= (p).height || x < 0 || x >= (p).width)                \
                        continue;                                                                                      \
                    const type here = (in)[((n * size) + (z * (p).height + y) * (p).width + x) * (p).channels + channel]; \
                    if (found >= 0 && !(here > greatest))                                                              \
                        continue;                                                                                      \
                    greatest = here;                                                                                   \
                    found = (columns_first) ? (z + (y + (int64_t)x * (p).height) * (p).depth)                          \
                                            : ((int64_t)z * (p).height + y) * (p).width + x;                           \
                }                                                                                                      \
        const int64_t to = (int64_t)n * (p).out_depth * (p).out_height * (p).out_width * (p).channels + at;            \
        (out)[to] = greatest;                                                                                          \
        if (where)                                                                                                     \
            ((int64_t *)(where))[to] = ((int64_t)n * (p).channels + channel) * size + found;                           \
    }
