/* ONNX RotaryEmbedding: pairs of elements turned by an angle that depends on their position. */
#pragma once

#include "module.h"

struct rotation {
    int batch, heads, length, size;
    /* How many elements of each head turn; whether pairs are neighbours, or of the two halves. */
    int turning, interleaved;
    /* [batch][heads][length][size]: to the next sequence, head and position, in elements; of x and y alike. */
    long strides[3];
    const float *x;
    float *y;
    /* [positions][turning / 2]; the row of a position, or where `positions` is null of sequence and position. */
    const float *cosines, *sines;
    const int64_t *positions;
    int rows;
};

INLINE int rotation_row(const struct rotation *r, int b, int at) {
    const int here = b * r->length + at;
    if (!r->positions) return here;
    const int64_t row = r->positions[here];
    if (row >= 0 && row < r->rows) return (int)row;
    invalid = 1;
    return 0;
}

INLINE void rotate(struct rotation given) {
    const struct rotation *r = &given;
    const int half = r->turning / 2;
    for (int b = 0; b < r->batch; b++)
        for (int at = 0; at < r->length; at++) {
            const long row = (long)rotation_row(r, b, at) * half;
            for (int h = 0; h < r->heads; h++) {
                const long start = b * r->strides[0] + h * r->strides[1] + at * r->strides[2];
                const float *x = r->x + start;
                float *y = r->y + start;
                for (int i = 0; i < half; i++) {
                    const int one = r->interleaved ? 2 * i : i, other = r->interleaved ? 2 * i + 1 : i + half;
                    const float c = r->cosines[row + i], s = r->sines[row + i], a = x[one], d = x[other];
                    y[one] = c * a - s * d;
                    y[other] = s * a + c * d;
                }
                for (int i = r->turning; i < r->size; i++) y[i] = x[i];
            }
        }
}
