/* Ensembles of decision trees: rows walk from a root to a leaf, whose weights are gathered by target. */
#pragma once

#include "scores.h"

enum { TREE_LEQ, TREE_LT, TREE_GTE, TREE_GT, TREE_EQ, TREE_NEQ };

/* Tables by node, in one order for all trees. A child that is negative is a leaf: its complement counts leaves. */
typedef struct {
    const int32_t *features, *yes, *no;
    /* The comparison, and 8 where a feature that is missing (NaN) goes to `yes`. */
    const uint8_t *modes;
    /* Where the weights of leaf l begin: those of l + 1 follow them. */
    const int32_t *starts, *targets;
} Forest;

enum { GATHER_SUM, GATHER_MINIMUM, GATHER_MAXIMUM };

/* T: what features are; S: what thresholds, weights and sums are. `mode` of all nodes, or -1. A build has made sure
   that features lie inside the row, and that no path comes back to a node. */
#define DEFINE_FOREST(name, T, S)                                                                                      \
    INLINE int name##_compare(const int mode, T x, S threshold) {                                                      \
        switch (mode) {                                                                                                \
            case TREE_LEQ: return x <= threshold;                                                                      \
            case TREE_LT: return x < threshold;                                                                        \
            case TREE_GTE: return x >= threshold;                                                                      \
            case TREE_GT: return x > threshold;                                                                        \
            case TREE_EQ: return x == threshold;                                                                       \
            default: return x != threshold;                                                                            \
        }                                                                                                              \
    }                                                                                                                  \
    INLINE int name##_leaf(const Forest forest, const S *thresholds, const T *row, int node, const int mode) {         \
        while (node >= 0) {                                                                                            \
            T x = row[forest.features[node]];                                                                          \
            int how = mode >= 0 ? mode : forest.modes[node];                                                           \
            int yes = name##_compare(how & 7, x, thresholds[node]) || ((how & 8) && x != x);                           \
            node = yes ? forest.yes[node] : forest.no[node];                                                           \
        }                                                                                                              \
        return ~node;                                                                                                  \
    }                                                                                                                  \
    /* Scores of `targets`, and which of them any leaf spoke of. */                                                    \
    INLINE void name##_gather(const Forest forest, const S *thresholds, const S *weights, const int32_t *roots,        \
                              const int trees, const int targets, const int mode, const int how, const T *row,         \
                              S *scores, uint8_t *spoken) {                                                            \
        for (int t = 0; t < targets; t++) scores[t] = 0, spoken[t] = 0;                                                \
        for (int tree = 0; tree < trees; tree++) {                                                                     \
            int leaf = name##_leaf(forest, thresholds, row, roots[tree], mode);                                        \
            for (int w = forest.starts[leaf]; w < forest.starts[leaf + 1]; w++) {                                      \
                int t = forest.targets[w];                                                                             \
                S score = scores[t], weight = weights[w];                                                              \
                if (how == GATHER_SUM) score += weight;                                                                \
                else if (!spoken[t] || (how == GATHER_MINIMUM ? weight < score : weight > score)) score = weight;      \
                scores[t] = score, spoken[t] = 1;                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }

DEFINE_FOREST(forest_float32, float, float)
DEFINE_FOREST(forest_float64, double, double)
DEFINE_FOREST(forest_int32, int32_t, float)
DEFINE_FOREST(forest_int64, int64_t, float)

/* What a classifier of more than two classes answers: the number of the class, and `scores` of all. */
INLINE int choose_of_many(float *scores, const uint8_t *spoken, const int classes, const int transform) {
    int best = -1;
    for (int i = 0; i < classes; i++)
        if (spoken[i] && (best < 0 || scores[i] > scores[best])) best = i;
    transform_scores(scores, classes, transform);
    return best < 0 ? 0 : best;
}

/* Of two classes: `alone` where weights speak of one class alone, `positive` where none of them is negative. Base values
   were added, to `both` or to the first. One score becomes two as onnxruntime makes them. */
INLINE int choose_of_two(float *scores, const uint8_t *spoken, const int alone, const int positive, const int transform,
                         const int both) {
    float score = spoken[1] ? scores[1] : spoken[0] ? scores[0] : 0.0f;
    if (both || spoken[1])
        transform_scores(scores, 2, transform);
    else
        second_score(scores, scores[0], alone && positive ? COMPLEMENT : OPPOSITE_FIRST, transform);
    return score > (alone && positive ? 0.5f : 0.0f);
}
