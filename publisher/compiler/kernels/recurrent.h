/* LSTM, GRU and RNN over time, one direction at a time. Four units stand side by side, all their gates together: what
   they need then lies in registers, ready for the cell's functions.

   packed weights   [units / 4][inner][gates][4], units filled up with zeros to a multiple of 4: gemm.h's panels
   packed bias      [units / 4][gates][4]
   a row of sums    [units / 4][gates][4], likewise, and so are states, whose gate is one

   The input's share of every gate comes as such rows, of all steps at once; what is left is the state's share. */
#pragma once

#include "gemm.h"

enum activation {
    AFFINE, ELU, HARD_SIGMOID, LEAKY_RELU, RELU, SCALED_TANH, SIGMOID, SOFTPLUS, SOFTSIGN, TANH, THRESHOLDED_RELU
};

struct function {
    enum activation kind;
    float alpha, beta;
};

struct recurrence {
    int steps, batch, hidden;
    int backwards;
    /* Rows of sums; row_step and row_batch: how many rows further the next step, the next sequence is. */
    const float *projected;
    int row_step, row_batch;
    /* All gates; where a GRU's reset comes before the product: update and reset, and the hidden gate by itself. */
    const float *weights, *hidden_weights;
    /* Packed. GRU: the hidden gate's, if the product comes before the reset. LSTM: of input, output, forget; or null. */
    const float *hidden_bias, *peepholes;
    /* Null: zeros. Both lie `state_batch` apart, as last_h and last_c do. */
    const float *first_h, *first_c;
    int state_batch;
    /* Null: all have `steps`. */
    const int32_t *lengths;
    /* Each may be null. */
    float *y, *last_h, *last_c;
    int y_step, y_batch;
    /* 3 * batch * padded for the states, and 2 * padded for a GRU. */
    float *states, *scratch;
    struct function f, g, h;
    /* Infinite where nothing is clipped. */
    float clip;
    int input_forget;
};

/* One step of `rows` sequences: states are `padded` floats apart, their rows of sums `apart`. */
typedef void (*cell_function)(const struct recurrence *, const int rows, const float *sums, const long apart,
                              const float *h, float *c, float *next, const int padded);

typedef f4 sums_of_rows[MOST_ROWS][MOST_VECTORS];

INLINE f4 as_it_is(f4 x, long at, int channel, int count) { return x; }

/* to [count] rows of sums = bias + rows [count][inner] * packed weights. */
INLINE void project_rows(float *to, const float *rows, int count, int inner, const float *weights, const float *bias,
                         const int gates, int units) {
    const int blocks = (units + 3) / 4, width = 4 * gates;
    ROLLED for (int block = 0; block < blocks; block++)
        gemm_panel(gates == 1 ? 4 : 2, gates, rows, inner, weights + (long)block * inner * width, inner,
                   bias + block * width, (Target){to, blocks * width, 4}, block * width, 0, width, count, as_it_is);
}

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

INLINE f4 activate(struct function function, f4 x) {
    const float alpha = function.alpha, beta = function.beta;
    f4 zero = f4_all(0.0f);
    switch (function.kind) {
    case AFFINE: return alpha * x + beta;
    case ELU: return f4_where(x < 0.0f, alpha * (f4_exp(x) - 1.0f), x);
    case HARD_SIGMOID: return f4_at_most(f4_at_least(alpha * x + beta, 0.0f), 1.0f);
    case LEAKY_RELU: return f4_where(x < 0.0f, alpha * x, x);
    case RELU: return f4_where(x < 0.0f, zero, x);
    case SCALED_TANH: return alpha * f4_tanh(beta * x);
    case SIGMOID: return f4_sigmoid(x);
    case SOFTPLUS: return f4_where(x > 0.0f, x, zero) + f4_log(1.0f + f4_exp(-f4_abs(x)));
    case SOFTSIGN: return x / (1.0f + f4_abs(x));
    case TANH: return f4_tanh(x);
    case THRESHOLDED_RELU: return f4_where(x > alpha, x, zero);
    }
    return x;
}

/* The function of the clipped sum. */
INLINE f4 gate(const struct recurrence *r, struct function function, f4 x) {
    if (r->clip < __builtin_inff()) x = f4_at_least(f4_at_most(x, r->clip), -r->clip);
    return activate(function, x);
}

/* The first `gates` of four units' sums, of each row. */
INLINE void load_sums(sums_of_rows sums, const int rows, const int gates, const float *from, const long apart) {
    UNROLLED for (int row = 0; row < rows; row++)
        UNROLLED for (int each = 0; each < gates; each++) sums[row][each] = f4_load(from + row * apart + 4 * each);
}

/* Gates: input, output, forget, cell. */
INLINE void lstm_cell(const struct recurrence *r, const int rows, const float *sums, const long apart, const float *h,
                      float *c, float *next, const int padded) {
    ROLLED for (int unit = 0; unit < r->hidden; unit += 4) {
        sums_of_rows sum;
        load_sums(sum, rows, 4, sums + unit * 4, apart);
        gemm_steps(rows, 4, sum, h, padded, r->weights + (long)unit * 4 * r->hidden, r->hidden);
        const float *peephole = r->peepholes ? r->peepholes + unit * 3 : 0;
        UNROLLED for (int row = 0; row < rows; row++) {
            const int at = row * padded + unit;
            f4 *own = sum[row], before = f4_load(c + at);
            if (peephole) own[0] += f4_load(peephole) * before;
            if (peephole) own[2] += f4_load(peephole + 8) * before;
            f4 input = gate(r, r->f, own[0]);
            f4 forget = r->input_forget ? 1.0f - input : gate(r, r->f, own[2]);
            f4 after = forget * before + input * gate(r, r->g, own[3]);
            if (peephole) own[1] += f4_load(peephole + 4) * after;
            f4_store(c + at, after);
            /* As onnxruntime has it, what is clipped are sums, not the cell. */
            f4_store(next + at, gate(r, r->f, own[1]) * activate(r->h, after));
        }
    }
}

/* Gates: update, reset, hidden. The product of the hidden gate comes before the reset. */
INLINE void gru_cell_linear(const struct recurrence *r, const int rows, const float *sums, const long apart,
                            const float *h, float *c, float *next, const int padded) {
    ROLLED for (int unit = 0; unit < r->hidden; unit += 4) {
        sums_of_rows sum;
        load_sums(sum, rows, 2, sums + unit * 3, apart);
        UNROLLED for (int row = 0; row < rows; row++) sum[row][2] = f4_load(r->hidden_bias + unit);
        gemm_steps(rows, 3, sum, h, padded, r->weights + (long)unit * 3 * r->hidden, r->hidden);
        UNROLLED for (int row = 0; row < rows; row++) {
            f4 update = gate(r, r->f, sum[row][0]), reset = gate(r, r->f, sum[row][1]);
            f4 made = gate(r, r->g, f4_load(sums + row * apart + unit * 3 + 8) + reset * sum[row][2]);
            const int at = row * padded + unit;
            f4_store(next + at, made + update * (f4_load(h + at) - made));
        }
    }
}

/* The same where the reset comes before: all resets first. c holds the updates meanwhile, `scratch` what is left of h. */
INLINE void gru_cell(const struct recurrence *r, const int rows, const float *sums, const long apart, const float *h,
                     float *c, float *next, const int padded) {
    ROLLED for (int unit = 0; unit < r->hidden; unit += 4) {
        sums_of_rows sum;
        load_sums(sum, rows, 2, sums + unit * 3, apart);
        gemm_steps(rows, 2, sum, h, padded, r->weights + (long)unit * 2 * r->hidden, r->hidden);
        UNROLLED for (int row = 0; row < rows; row++) {
            const int at = row * padded + unit;
            f4_store(c + at, gate(r, r->f, sum[row][0]));
            f4_store(r->scratch + at, gate(r, r->f, sum[row][1]) * f4_load(h + at));
        }
    }
    ROLLED for (int unit = 0; unit < r->hidden; unit += 4) {
        sums_of_rows sum;
        load_sums(sum, rows, 1, sums + unit * 3 + 8, apart);
        gemm_steps(rows, 1, sum, r->scratch, padded, r->hidden_weights + (long)unit * r->hidden, r->hidden);
        UNROLLED for (int row = 0; row < rows; row++) {
            const int at = row * padded + unit;
            f4 made = gate(r, r->g, sum[row][0]);
            f4_store(next + at, made + f4_load(c + at) * (f4_load(h + at) - made));
        }
    }
}

INLINE void rnn_cell(const struct recurrence *r, const int rows, const float *sums, const long apart, const float *h,
                     float *c, float *next, const int padded) {
    ROLLED for (int unit = 0; unit < r->hidden; unit += 4) {
        sums_of_rows sum;
        load_sums(sum, rows, 1, sums + unit, apart);
        gemm_steps(rows, 1, sum, h, padded, r->weights + (long)unit * r->hidden, r->hidden);
        UNROLLED for (int row = 0; row < rows; row++)
            f4_store(next + row * padded + unit, gate(r, r->f, sum[row][0]));
    }
}

INLINE void begin_state(const struct recurrence *r, float *state, const float *first, int padded) {
    for (int i = 0; i < r->batch * padded; i++) state[i] = 0.0f;
    if (!first) return;
    for (int b = 0; b < r->batch; b++)
        for (int unit = 0; unit < r->hidden; unit++) state[b * padded + unit] = first[b * r->state_batch + unit];
}

INLINE void end_state(const struct recurrence *r, float *last, const float *state, int padded) {
    if (!last) return;
    for (int b = 0; b < r->batch; b++)
        for (int unit = 0; unit < r->hidden; unit++) last[b * r->state_batch + unit] = state[b * padded + unit];
}

/* How many steps a sequence has. They come from outside: what is out of range makes the input invalid. */
INLINE int length_of(const struct recurrence *r, int b) {
    if (!r->lengths) return r->steps;
    int length = r->lengths[b];
    if (length >= 0 && length <= r->steps) return length;
    invalid = 1;
    return 0;
}

/* One step of `rows` sequences from `b` on: `step` counts from where the direction begins. */
INLINE void recur_once(const struct recurrence *r, cell_function cell, const int gates, const int rows, int step, int b,
                       const float *h, float *c, float *next) {
    const int padded = (r->hidden + 3) / 4 * 4, length = length_of(r, b);
    if (step >= length) {
        for (int unit = 0; unit < r->hidden; unit++) next[unit] = h[unit];
        return;
    }
    const int t = r->backwards ? length - 1 - step : step;
    const long width = (long)padded * gates;
    const float *sums = r->projected + ((long)t * r->row_step + (long)b * r->row_batch) * width;
    cell(r, rows, sums, r->row_batch * width, h, c, next, padded);
    if (r->y)
        UNROLLED for (int row = 0; row < rows; row++)
            copy_floats(r->y + (long)t * r->y_step + (long)(b + row) * r->y_batch, next + row * padded, r->hidden);
}

/* All steps. Two sequences share each load of weights, where all have one length. */
INLINE void recur(struct recurrence given, cell_function cell, const int gates) {
    const struct recurrence *r = &given;
    const int padded = (r->hidden + 3) / 4 * 4, size = r->batch * padded;
    const int pairs = r->lengths ? 0 : r->batch / 2 * 2;
    float *now = r->states, *next = now + size, *c = next + size;
    begin_state(r, now, r->first_h, padded);
    begin_state(r, c, r->first_c, padded);
    ROLLED for (int step = 0; step < r->steps; step++) {
        ROLLED for (int b = 0; b < pairs; b += 2)
            recur_once(r, cell, gates, 2, step, b, now + b * padded, c + b * padded, next + b * padded);
        ROLLED for (int b = pairs; b < r->batch; b++)
            recur_once(r, cell, gates, 1, step, b, now + b * padded, c + b * padded, next + b * padded);
        float *swapped = now;
        now = next, next = swapped;
    }
    end_state(r, r->last_h, now, padded);
    end_state(r, r->last_c, c, padded);
}
