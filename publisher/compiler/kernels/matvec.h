/* Products with weights that are packed for recurrent cells: four units side by side, all their gates together.

   packed weights   [units / 4][inner][gates][4], units padded with zeros to a multiple of 4
   packed bias      [units / 4][gates][4]
   a row of sums    [units / 4][gates][4], likewise

   What a gate of a unit needs then lies in one register with its three neighbours', ready for the cell's functions. */
#pragma once

#include "vector_math.h"

#define UNROLL _Pragma("clang loop unroll(full)")
#define MOST_GATES 4

/* from [gates][units][inner], as ONNX has it, where weights are known only as the model runs. */
INLINE void pack_gates(float *to, const float *from, int gates, int units, int inner) {
    for (int block = 0; block < (units + 3) / 4; block++)
        for (int k = 0; k < inner; k++)
            for (int gate = 0; gate < gates; gate++)
                for (int lane = 0; lane < 4; lane++) {
                    int unit = block * 4 + lane;
                    *to++ = unit < units ? from[((long)gate * units + unit) * inner + k] : 0.0f;
                }
}

/* sum[gate] += row [inner] * one block of packed weights. Two chains of sums hide the latency of addition. */
INLINE void gate_sums(f4 *sum, int gates, const float *weights, const float *row, int inner) {
    f4 odd[MOST_GATES] = {};
    int k = 0;
    for (; k + 2 <= inner; k += 2) {
        const float *here = weights + k * gates * 4;
        UNROLL for (int gate = 0; gate < gates; gate++) {
            sum[gate] += row[k] * f4_load(here + gate * 4);
            odd[gate] += row[k + 1] * f4_load(here + (gates + gate) * 4);
        }
    }
    if (k < inner)
        UNROLL for (int gate = 0; gate < gates; gate++) sum[gate] += row[k] * f4_load(weights + (k * gates + gate) * 4);
    UNROLL for (int gate = 0; gate < gates; gate++) sum[gate] += odd[gate];
}

/* to [4][stride] = bias + four rows [4][inner] * `vectors` of the `gates` vectors of one block. */
INLINE void four_rows(float *to, int stride, const float *rows, int inner, const float *weights, const float *bias,
                      int gates, int vectors) {
    f4 sum[4][MOST_GATES];
    UNROLL for (int r = 0; r < 4; r++)
        UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = f4_load(bias + v * 4);
    for (int k = 0; k < inner; k++) {
        f4 weight[MOST_GATES];
        UNROLL for (int v = 0; v < vectors; v++) weight[v] = f4_load(weights + (k * gates + v) * 4);
        UNROLL for (int r = 0; r < 4; r++)
            UNROLL for (int v = 0; v < vectors; v++) sum[r][v] += rows[r * inner + k] * weight[v];
    }
    UNROLL for (int r = 0; r < 4; r++)
        UNROLL for (int v = 0; v < vectors; v++) f4_store(to + r * stride + v * 4, sum[r][v]);
}

/* to [count] rows of sums = bias + rows [count][inner] * packed weights. Each block stays in the cache for all rows. */
INLINE void project_rows(float *to, const float *rows, int count, int inner, const float *weights, const float *bias,
                         int gates, int units) {
    const int stride = (units + 3) / 4 * gates * 4;
    for (int block = 0; block < stride / (gates * 4); block++) {
        const float *panel = weights + block * inner * gates * 4, *start = bias + block * gates * 4;
        float *column = to + block * gates * 4;
        int row = 0;
        for (; row + 4 <= count; row += 4) {
            /* Sixteen registers hold eight sums of four gates at a time, and twelve of three. */
            const int width = gates == 4 ? 2 : gates;
            for (int v = 0; v < gates; v += width)
                four_rows(column + row * stride + v * 4, stride, rows + row * inner, inner, panel + v * 4,
                          start + v * 4, gates, width);
        }
        for (; row < count; row++) {
            f4 sum[MOST_GATES];
            UNROLL for (int gate = 0; gate < gates; gate++) sum[gate] = f4_load(start + gate * 4);
            gate_sums(sum, gates, panel, rows + row * inner, inner);
            UNROLL for (int gate = 0; gate < gates; gate++) f4_store(column + row * stride + gate * 4, sum[gate]);
        }
    }
}
