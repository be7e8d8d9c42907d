/* LSTM, GRU and RNN over time, one direction at a time. The input's share of every gate comes projected (matvec.h);
   what is left is the state's share and the cell. Buffers of states are padded to a multiple of four units. */
#pragma once

#include "matvec.h"

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
    /* Packed, all gates of LSTM and RNN. GRU: update and reset; the hidden gate's are `hidden_weights`. */
    const float *weights, *hidden_weights;
    /* GRU with linear_before_reset: the hidden gate's, packed. LSTM: of input, output and forget gate, packed; or null. */
    const float *hidden_bias, *peepholes;
    /* Null: zeros. Both lie `state_batch` apart, as last_h and last_c do. */
    const float *first_h, *first_c;
    int state_batch;
    /* Null: all have `steps`. */
    const int32_t *lengths;
    /* Each may be null. */
    float *y, *last_h, *last_c;
    int y_step, y_batch;
    /* 3 * batch * padded for the states, and padded for a GRU. */
    float *states, *scratch;
    struct function f, g, h;
    /* Infinite where nothing is clipped. */
    float clip;
    int input_forget, linear_before_reset;
};

typedef void (*cell_function)(const struct recurrence *, const float *sums, const float *h, float *c, float *next);

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

/* Gates: input, output, forget, cell. */
INLINE void lstm_cell(const struct recurrence *r, const float *sums, const float *h, float *c, float *next) {
    for (int unit = 0; unit < r->hidden; unit += 4) {
        f4 sum[MOST_GATES];
        UNROLL for (int each = 0; each < 4; each++) sum[each] = f4_load(sums + unit * 4 + each * 4);
        gate_sums(sum, 4, r->weights + unit * 4 * r->hidden, h, r->hidden);
        f4 before = f4_load(c + unit);
        const float *peephole = r->peepholes ? r->peepholes + unit * 3 : 0;
        if (peephole) sum[0] += f4_load(peephole) * before;
        if (peephole) sum[2] += f4_load(peephole + 8) * before;
        f4 input = gate(r, r->f, sum[0]);
        f4 forget = r->input_forget ? 1.0f - input : gate(r, r->f, sum[2]);
        f4 after = forget * before + input * gate(r, r->g, sum[3]);
        if (peephole) sum[1] += f4_load(peephole + 4) * after;
        f4_store(c + unit, after);
        /* As onnxruntime has it, what is clipped are sums, not the cell. */
        f4_store(next + unit, gate(r, r->f, sum[1]) * activate(r->h, after));
    }
}

/* Gates: update, reset, hidden; all of what the hidden gate needs of the state is linear before the reset. */
INLINE void gru_cell_linear(const struct recurrence *r, const float *sums, const float *h, float *c, float *next) {
    for (int unit = 0; unit < r->hidden; unit += 4) {
        f4 sum[MOST_GATES], hidden = f4_load(r->hidden_bias + unit);
        UNROLL for (int each = 0; each < 3; each++) sum[each] = f4_load(sums + unit * 3 + each * 4);
        gate_sums(sum, 2, r->weights + unit * 2 * r->hidden, h, r->hidden);
        gate_sums(&hidden, 1, r->hidden_weights + unit * r->hidden, h, r->hidden);
        f4 update = gate(r, r->f, sum[0]), reset = gate(r, r->f, sum[1]);
        f4 made = gate(r, r->g, sum[2] + reset * hidden);
        f4_store(next + unit, made + update * (f4_load(h + unit) - made));
    }
}

/* The same where the reset comes before the product: all resets first. c holds the updates meanwhile. */
INLINE void gru_cell(const struct recurrence *r, const float *sums, const float *h, float *c, float *next) {
    for (int unit = 0; unit < r->hidden; unit += 4) {
        f4 sum[MOST_GATES] = {f4_load(sums + unit * 3), f4_load(sums + unit * 3 + 4)};
        gate_sums(sum, 2, r->weights + unit * 2 * r->hidden, h, r->hidden);
        f4_store(c + unit, gate(r, r->f, sum[0]));
        f4_store(r->scratch + unit, gate(r, r->f, sum[1]) * f4_load(h + unit));
    }
    for (int unit = 0; unit < r->hidden; unit += 4) {
        f4 sum = f4_load(sums + unit * 3 + 8);
        gate_sums(&sum, 1, r->hidden_weights + unit * r->hidden, r->scratch, r->hidden);
        f4 made = gate(r, r->g, sum);
        f4_store(next + unit, made + f4_load(c + unit) * (f4_load(h + unit) - made));
    }
}

INLINE void rnn_cell(const struct recurrence *r, const float *sums, const float *h, float *c, float *next) {
    for (int unit = 0; unit < r->hidden; unit += 4) {
        f4 sum = f4_load(sums + unit);
        gate_sums(&sum, 1, r->weights + unit * r->hidden, h, r->hidden);
        f4_store(next + unit, gate(r, r->f, sum));
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

/* One step of one sequence: `step` counts from where the direction begins. */
INLINE void recur_once(const struct recurrence *r, cell_function cell, int gates, int step, int b, const float *h,
                       float *c, float *next) {
    const int padded = (r->hidden + 3) / 4 * 4, length = length_of(r, b);
    if (step >= length) {
        for (int unit = 0; unit < r->hidden; unit++) next[unit] = h[unit];
        return;
    }
    int t = r->backwards ? length - 1 - step : step;
    long row = (long)t * r->row_step + (long)b * r->row_batch;
    cell(r, r->projected + row * padded * gates, h, c, next);
    if (!r->y) return;
    float *y = r->y + (long)t * r->y_step + (long)b * r->y_batch;
    for (int unit = 0; unit < r->hidden; unit++) y[unit] = next[unit];
}

INLINE void recur(struct recurrence given, cell_function cell, int gates) {
    const struct recurrence *r = &given;
    const int padded = (r->hidden + 3) / 4 * 4, size = r->batch * padded;
    float *now = r->states, *next = now + size, *c = next + size;
    begin_state(r, now, r->first_h, padded);
    begin_state(r, c, r->first_c, padded);
    for (int step = 0; step < r->steps; step++) {
        for (int b = 0; b < r->batch; b++)
            recur_once(r, cell, gates, step, b, now + b * padded, c + b * padded, next + b * padded);
        float *swapped = now;
        now = next, next = swapped;
    }
    end_state(r, r->last_h, now, padded);
    end_state(r, r->last_c, c, padded);
}
