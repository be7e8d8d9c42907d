/* ONNX Attention: for each head the products of queries and keys, softmax over what a query may see, and the values. */
#pragma once

#include "gemm.h"
#include "softmax.h"

enum shown { PRODUCTS, CAPPED, BIASED, PROBABILITIES };

struct attention {
    /* `kv_heads` divides `heads`: neighbours share keys and values. */
    int batch, heads, kv_heads, queries, keys, size, value_size;
    const float *q, *k, *v;
    float *y;
    /* To the next sequence, head and position, in elements. */
    long q_strides[3], k_strides[3], v_strides[3], y_strides[3];
    float scale;
    /* 0: none. */
    float softcap;
    /* The position of the first query, where `lengths` is null; else it is what lies before the last queries. */
    int offset, causal;
    /* Keys so far before and behind a query are seen; -1: all. */
    int left, right;
    /* Null: none. Of sequences, heads and queries; keys from mask_keys on are masked. */
    const float *mask;
    const uint8_t *mask_words;
    long mask_strides[3];
    int mask_keys;
    /* How many keys each sequence has; null: all. */
    const int64_t *lengths;
    /* [batch][heads][queries][keys] of what is shown; or null. */
    float *shown;
    enum shown what;
    /* keys * size and keys * value_size, filled up to panels; queries * keys; keys. */
    float *packed_k, *packed_v, *scores, *bias;
};

/* The keys that a query may see, from *first to before the result, as far as lengths, windows and order say. */
INLINE int keys_seen(const struct attention *a, int b, int query, int *first) {
    /* Lengths come from outside, and are compared with alone. */
    const int64_t most = a->keys + (int64_t)a->queries;
    int64_t length = a->lengths ? a->lengths[b] : a->keys;
    length = length < -most ? -most : length > most ? most : length;
    const int64_t position = query + (a->lengths ? length - a->queries : a->offset);
    int64_t start = 0, end = length < a->keys ? length : a->keys;
    if ((a->mask || a->mask_words) && a->mask_keys < end) end = a->mask_keys;
    if (a->causal && position + 1 < end) end = position + 1;
    if (a->right >= 0 && position + a->right + 1 < end) end = position + a->right + 1;
    if (a->left >= 0 && position - a->left > start) start = position - a->left;
    *first = start < a->keys ? (int)start : a->keys;
    return end > *first ? (int)end : *first;
}

/* What is added to a query's products: 0, -inf or the mask's own. Returns whether it may see any key. */
INLINE int attention_bias(const struct attention *a, int b, int h, int query) {
    const long mask = b * a->mask_strides[0] + h * a->mask_strides[1] + query * a->mask_strides[2];
    const float nothing = -__builtin_inff();
    int first, end = keys_seen(a, b, query, &first), sees = 0;
    for (int key = 0; key < first; key++) a->bias[key] = nothing;
    for (int key = first; key < end; key++) {
        float bias = a->mask ? a->mask[mask + key] : 0.0f;
        if (a->mask_words) bias = a->mask_words[mask + key] ? 0.0f : nothing;
        a->bias[key] = bias;
        sees |= bias != nothing;
    }
    for (int key = end; key < a->keys; key++) a->bias[key] = nothing;
    return sees;
}

INLINE void show(const struct attention *a, enum shown what, long row, const float *from) {
    if (a->shown && a->what == what) copy_floats(a->shown + row * a->keys, from, a->keys);
}

/* Products become probabilities; of a query that sees nothing they are 0. */
INLINE void attention_row(const struct attention *a, int b, int h, int query, float *scores) {
    const long row = ((long)b * a->heads + h) * a->queries + query;
    for (int key = 0; key < a->keys; key++) scores[key] *= a->scale;
    show(a, PRODUCTS, row, scores);
    if (a->softcap > 0.0f) {
        for (int key = 0; key < a->keys; key++) scores[key] /= a->softcap;
        f4_map(scores, scores, a->keys, f4_tanh);
        for (int key = 0; key < a->keys; key++) scores[key] *= a->softcap;
    }
    show(a, CAPPED, row, scores);
    const int sees = attention_bias(a, b, h, query);
    for (int key = 0; key < a->keys; key++) scores[key] += a->bias[key];
    show(a, BIASED, row, scores);
    if (sees)
        softmax_rows(scores, scores, 1, a->keys);
    else
        zero_floats(scores, a->keys);
    show(a, PROBABILITIES, row, scores);
}

INLINE void attend(struct attention given) {
    const struct attention *a = &given;
    const int shared = a->heads / a->kv_heads;
    ROLLED for (int b = 0; b < a->batch; b++)
        ROLLED for (int h = 0; h < a->heads; h++) {
            const int kv = h / shared;
            if (h % shared == 0) {
                pack_panels(a->k + b * a->k_strides[0] + kv * a->k_strides[1], 1, a->k_strides[2], a->size, a->keys,
                            a->packed_k);
                pack_panels(a->v + b * a->v_strides[0] + kv * a->v_strides[1], a->v_strides[2], 1, a->keys,
                            a->value_size, a->packed_v);
            }
            gemm(a->q + b * a->q_strides[0] + h * a->q_strides[1], a->q_strides[2], a->packed_k, 0, a->scores, a->keys,
                 0, 0, a->queries, a->keys, a->size, unchanged);
            ROLLED for (int query = 0; query < a->queries; query++)
                attention_row(a, b, h, query, a->scores + (long)query * a->keys);
            gemm(a->scores, a->keys, a->packed_v, 0, a->y + b * a->y_strides[0] + h * a->y_strides[1], a->y_strides[2],
                 0, 0, a->queries, a->value_size, a->keys, unchanged);
        }
}
