/* Rows brought to mean 0 and variance 1: of layers, instances and groups; and responses divided by their neighbours'. */
#pragma once

#include "vector_math.h"

/* Sums are taken over so many floats in single precision, and these sums in double: rows may be long. */
#define SUMMED 1024

struct moments {
    float mean;
    /* 1 / sqrt(variance + epsilon) */
    float factor;
};

/* The sum of (row - centre)^power; power is 1 or 2. */
INLINE double row_sum(const float *row, int count, float centre, int power) {
    double total = 0.0;
    int i = 0;
    while (i + 16 <= count) {
        int end = i + SUMMED < count ? i + SUMMED : count;
        f4 sum[4] = {};
        for (; i + 16 <= end; i += 16)
            for (int v = 0; v < 4; v++) {
                f4 x = f4_load(row + i + 4 * v) - centre;
                sum[v] += power == 2 ? x * x : x;
            }
        total += (double)f4_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
    for (; i < count; i++) total += (double)(power == 2 ? (row[i] - centre) * (row[i] - centre) : row[i] - centre);
    return total;
}

/* Of the squares alone where `centred` is 0: then the mean is 0. */
INLINE struct moments row_moments(const float *row, int count, float epsilon, int centred) {
    float mean = centred ? (float)(row_sum(row, count, 0.0f, 1) / count) : 0.0f;
    float variance = (float)(row_sum(row, count, mean, 2) / count);
    return (struct moments){mean, 1.0f / __builtin_sqrtf(variance + epsilon)};
}

/* All [rows][count]; scale and bias [count], each may be null. `means` and `factors` [rows] may be null. */
INLINE void normalise_rows(float *to, const float *from, int rows, int count, const float *scale, const float *bias,
                           float epsilon, int centred, float *means, float *factors) {
    for (int r = 0; r < rows; r++, to += count, from += count) {
        struct moments moments = row_moments(from, count, epsilon, centred);
        if (means) means[r] = moments.mean;
        if (factors) factors[r] = moments.factor;
        for (int i = 0; i < count; i++) {
            float x = (from[i] - moments.mean) * moments.factor;
            if (scale) x *= scale[i];
            to[i] = bias ? x + bias[i] : x;
        }
    }
}

/* [batch][groups][channels][inner]: each group is a row, each channel has its own of scale and bias. */
INLINE void normalise_groups(float *to, const float *from, int batch, int groups, int channels, int inner,
                             const float *scale, const float *bias, float epsilon) {
    for (int row = 0; row < batch * groups; row++) {
        struct moments moments = row_moments(from, channels * inner, epsilon, 1);
        for (int c = 0; c < channels; c++, to += inner, from += inner) {
            int parameter = row % groups * channels + c;
            float factor = moments.factor * scale[parameter], offset = bias[parameter];
            for (int i = 0; i < inner; i++) to[i] = (from[i] - moments.mean) * factor + offset;
        }
    }
}

/* [outer][channels][inner], each channel with a factor and an offset of its own. */
INLINE void scale_channels(float *to, const float *from, int outer, int channels, int inner, const float *factor,
                           const float *offset) {
    for (int row = 0; row < outer; row++)
        for (int c = 0; c < channels; c++, to += inner, from += inner)
            for (int i = 0; i < inner; i++) to[i] = from[i] * factor[c] + offset[c];
}

/* ONNX LRN over the channels of [outer][channels][inner]: x / (bias + share * the squares of `size` channels)^beta. */
INLINE void normalise_responses(float *to, const float *from, int outer, int channels, int inner, int size,
                                float share, float beta, float bias) {
    for (int row = 0; row < outer; row++, to += (long)channels * inner, from += (long)channels * inner)
        for (int c = 0; c < channels; c++) {
            int first = c - (size - 1) / 2, last = c + size / 2;
            if (first < 0) first = 0;
            if (last > channels - 1) last = channels - 1;
            for (int i = 0; i < inner; i += 4) {
                int some = inner - i < 4 ? inner - i : 4;
                f4 sum = f4_all(0.0f), x = sum;
                for (int near = first; near <= last; near++) {
                    const float *here = from + (long)near * inner + i;
                    f4 y = some == 4 ? f4_load(here) : f4_load_few(here, some);
                    if (near == c) x = y;
                    sum += y * y;
                }
                f4 made = x * f4_exp(-beta * f4_log(bias + share * sum));
                f4_store_few(to + (long)c * inner + i, made, some);
            }
        }
}

/* Each column of [outer][length][inner] divided by its norm, the sum of absolute values (1) or the root of squares (2). */
INLINE void divide_by_norm(float *to, const float *from, int outer, int length, int inner, int power) {
    for (int o = 0; o < outer; o++, to += (long)length * inner, from += (long)length * inner)
        for (int i = 0; i < inner; i++) {
            double norm = 0.0;
            for (int l = 0; l < length; l++) {
                double x = (double)from[(long)l * inner + i];
                norm += power == 2 ? x * x : __builtin_fabs(x);
            }
            if (power == 2) norm = __builtin_sqrt(norm);
            /* A column of zeros stays. */
            float divisor = norm == 0.0 ? 1.0f : (float)norm;
            for (int l = 0; l < length; l++) to[(long)l * inner + i] = from[(long)l * inner + i] / divisor;
        }
}
