/* Softmax and its logarithm over rows, and over columns of matrices one after the other. */
#pragma once

#include "vector_math.h"

/* Columns are taken so many at a time: their maxima and sums stay in the cache. */
#define COLUMNS 64

/* Of what is not NaN: a NaN makes the sum of exponentials NaN, and so every answer. */
INLINE float row_maximum(const float *row, int count) {
    f4 most = f4_all(-__builtin_inff());
    int i = 0;
    for (; i + 4 <= count; i += 4) {
        f4 x = f4_load(row + i);
        most = f4_where(most >= x, most, x);
    }
    float found = most[0];
    for (int lane = 1; lane < 4; lane++) found = found >= most[lane] ? found : most[lane];
    for (; i < count; i++) found = found >= row[i] ? found : row[i];
    return found;
}

/* The sum of e^(row - maximum), which `to` is unless it is null. */
INLINE float row_exponentials(float *to, const float *row, int count, float maximum) {
    f4 sum = f4_all(0.0f);
    int i = 0;
    for (; i + 4 <= count; i += 4) {
        f4 e = f4_exp(f4_load(row + i) - maximum);
        if (to) f4_store(to + i, e);
        sum += e;
    }
    float total = f4_sum(sum);
    f4 rest = f4_exp(f4_load_few(row + i, count - i) - maximum);
    for (int lane = 0; lane < count - i; lane++) {
        if (to) to[i + lane] = rest[lane];
        total += rest[lane];
    }
    return total;
}

/* Both [rows][count]; `to` may be `from`. */
INLINE void softmax_rows(float *to, const float *from, int rows, int count) {
    for (int r = 0; r < rows; r++, to += count, from += count) {
        float factor = 1.0f / row_exponentials(to, from, count, row_maximum(from, count));
        for (int i = 0; i < count; i++) to[i] *= factor;
    }
}

INLINE void log_softmax_rows(float *to, const float *from, int rows, int count) {
    for (int r = 0; r < rows; r++, to += count, from += count) {
        float maximum = row_maximum(from, count);
        float logarithm = f4_log(f4_all(row_exponentials(0, from, count, maximum)))[0];
        for (int i = 0; i < count; i++) to[i] = (from[i] - maximum) - logarithm;
    }
}

/* Of `wide` columns of one matrix [length][inner]: their maxima, and in `to` and `sum` the exponentials. */
INLINE void column_exponentials(float *to, const float *from, int length, int inner, int wide, float *most, float *sum) {
    for (int i = 0; i < wide; i++) most[i] = from[i], sum[i] = 0.0f;
    for (int l = 1; l < length; l++)
        for (int i = 0; i < wide; i++) {
            float x = from[(long)l * inner + i];
            most[i] = most[i] >= x ? most[i] : x;
        }
    for (int l = 0; l < length; l++) {
        float *row = to + (long)l * inner;
        for (int i = 0; i < wide; i++) row[i] = from[(long)l * inner + i] - most[i];
        f4_map(row, row, wide, f4_exp);
        for (int i = 0; i < wide; i++) sum[i] += row[i];
    }
}

/* Over the middle one of [outer][length][inner]; `to` is not `from`. */
INLINE void softmax_columns(float *to, const float *from, int outer, int length, int inner, int logarithm) {
    float most[COLUMNS], sum[COLUMNS];
    for (int o = 0; o < outer; o++, to += (long)length * inner, from += (long)length * inner)
        for (int start = 0; start < inner; start += COLUMNS) {
            int wide = inner - start < COLUMNS ? inner - start : COLUMNS;
            column_exponentials(to + start, from + start, length, inner, wide, most, sum);
            if (logarithm)
                f4_map(sum, sum, wide, f4_log);
            else
                for (int i = 0; i < wide; i++) sum[i] = 1.0f / sum[i];
            for (int l = 0; l < length; l++) {
                float *row = to + (long)l * inner + start;
                const float *source = from + (long)l * inner + start;
                if (logarithm)
                    for (int i = 0; i < wide; i++) row[i] = (source[i] - most[i]) - sum[i];
                else
                    for (int i = 0; i < wide; i++) row[i] *= sum[i];
            }
        }
}

/* The same of double precision, column by column. */
INLINE void softmax_doubles(double *to, const double *from, int outer, int length, int inner, int logarithm) {
    for (int o = 0; o < outer; o++, to += (long)length * inner, from += (long)length * inner)
        for (int i = 0; i < inner; i++) {
            double most = -__builtin_inf(), sum = 0.0;
            for (int l = 0; l < length; l++) {
                double x = from[(long)l * inner + i];
                most = most >= x ? most : x;
            }
            for (int l = 0; l < length; l++) sum += exp(from[(long)l * inner + i] - most);
            for (int l = 0; l < length; l++) {
                double x = from[(long)l * inner + i] - most;
                to[(long)l * inner + i] = logarithm ? x - log(sum) : exp(x) / sum;
            }
        }
}

/* 1 at the first maximum of each column, 0 elsewhere; [outer][length][inner]. */
INLINE void hardmax_columns(float *to, const float *from, int outer, int length, int inner) {
    for (int o = 0; o < outer; o++, to += (long)length * inner, from += (long)length * inner)
        for (int i = 0; i < inner; i++) {
            int best = 0;
            for (int l = 0; l < length; l++) {
                if (from[(long)l * inner + i] > from[(long)best * inner + i]) best = l;
                to[(long)l * inner + i] = 0.0f;
            }
            to[(long)best * inner + i] = 1.0f;
        }
}
