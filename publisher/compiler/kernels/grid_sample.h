/* Elements of an image at places between its own: GridSample. */
#pragma once

#include "module.h"

enum grid_mode { GRID_NEAREST, GRID_LINEAR, GRID_CUBIC };
enum grid_padding { GRID_ZEROS, GRID_BORDER, GRID_REFLECTION };

/* Back into least..most, as often as it takes. */
INLINE float reflected(float x, float least, float most) {
    const float range = most - least;
    if (range <= 0.0f) return least;
    const float beyond = x < least ? least - x : x > most ? x - most : -1.0f;
    if (beyond < 0.0f) return x;
    const float rest = beyond - __builtin_elementwise_floor(beyond / range) * range;
    const int odd = (int)__builtin_elementwise_floor(beyond / range) & 1;
    return (x < least) == !odd ? least + rest : most - rest;
}

/* Which element along an axis stands for the place `at`, or -1 for none. */
INLINE int grid_place(int at, int length, enum grid_padding padding, float least, float most) {
    if (at >= 0 && at < length) return at;
    if (padding == GRID_ZEROS) return -1;
    const int to = padding == GRID_BORDER ? at : (int)reflected((float)at, least, most);
    return to < 0 ? 0 : to < length ? to : length - 1;
}

/* The weights of Keys' cubic convolution for the four elements around, `x` behind the second. */
INLINE void grid_cubic(float x, float *weights) {
    const float a = -0.75f, far = x + 1.0f, near = 1.0f - x, last = 2.0f - x;
    weights[0] = ((a * far - 5.0f * a) * far + 8.0f * a) * far - 4.0f * a;
    weights[1] = ((a + 2.0f) * x - (a + 3.0f)) * x * x + 1.0f;
    weights[2] = ((a + 2.0f) * near - (a + 3.0f)) * near * near + 1.0f;
    weights[3] = ((a * last - 5.0f * a) * last + 8.0f * a) * last - 4.0f * a;
}

/* Along one axis, from a coordinate of -1 to 1: elements, 1, 2 or 4 of them, and their weights. */
INLINE void grid_taps(float coordinate, int length, enum grid_mode mode, enum grid_padding padding, int align_corners,
                      int *places, float *weights) {
    const float least = align_corners ? 0.0f : -0.5f, most = (float)length - (align_corners ? 1.0f : 0.5f);
    float x = align_corners ? (coordinate + 1.0f) / 2.0f * (float)(length - 1)
                            : ((coordinate + 1.0f) * (float)length - 1.0f) / 2.0f;
    /* Far outside is outside; NaN too. */
    x = x > -0x1p24f ? (x < 0x1p24f ? x : 0x1p24f) : -0x1p24f;
    if (mode == GRID_NEAREST) x = __builtin_elementwise_roundeven(x);
    /* Of a cubic, each of the four is looked for by itself, like PyTorch and onnxruntime do. */
    if (mode != GRID_CUBIC && (x < least || x > most)) {
        if (padding == GRID_BORDER) x = x < 0.0f ? 0.0f : x > (float)(length - 1) ? (float)(length - 1) : x;
        if (padding == GRID_REFLECTION) x = reflected(x, least, most);
    }
    const float before = __builtin_elementwise_floor(x);
    const int first = (int)before - (mode == GRID_CUBIC), count = mode == GRID_NEAREST ? 1 : mode == GRID_LINEAR ? 2 : 4;
    if (mode == GRID_NEAREST) weights[0] = 1.0f;
    if (mode == GRID_LINEAR) weights[0] = 1.0f - (x - before), weights[1] = x - before;
    if (mode == GRID_CUBIC) grid_cubic(x - before, weights);
    for (int k = 0; k < count; k++) {
        places[k] = grid_place(first + k, length, padding, least, most);
        if (places[k] < 0) places[k] = 0, weights[k] = 0.0f;
    }
}

/* One batch: `places` points of `rank` coordinates, the last axis first; `lengths` are those of three axes, the first of
   which are 1 where the image has fewer. */
INLINE void grid_sample(float *to, const float *from, const float *grid, int channels, int points, int rank,
                        const int *lengths, enum grid_mode mode, enum grid_padding padding, int align_corners) {
    const int count = mode == GRID_NEAREST ? 1 : mode == GRID_LINEAR ? 2 : 4;
    const int volume = lengths[0] * lengths[1] * lengths[2];
    for (int point = 0; point < points; point++) {
        int places[3][4] = {0}, taps[3] = {1, 1, 1};
        float weights[3][4] = {{1.0f}, {1.0f}, {1.0f}};
        for (int axis = 3 - rank; axis < 3; axis++) {
            taps[axis] = count;
            grid_taps(grid[point * rank + 2 - axis], lengths[axis], mode, padding, align_corners, places[axis],
                      weights[axis]);
        }
        for (int channel = 0; channel < channels; channel++) {
            const float *const image = from + channel * volume;
            float sum = 0.0f;
            for (int i = 0; i < taps[0]; i++)
                for (int j = 0; j < taps[1]; j++) {
                    const float *const row = image + (places[0][i] * lengths[1] + places[1][j]) * lengths[2];
                    float along = 0.0f;
                    for (int k = 0; k < taps[2]; k++) along += weights[2][k] * row[places[2][k]];
                    sum += weights[0][i] * weights[1][j] * along;
                }
            to[channel * points + point] = sum;
        }
    }
}
