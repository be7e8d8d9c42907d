/* From the scores of classes to what a model of ai.onnx.ml answers: post_transform, the second of two classes.

   Where ONNX leaves the meaning open, it is onnxruntime's. */
#pragma once

#include "module.h"

enum { SCORES_AS_THEY_ARE, SCORES_LOGISTIC, SCORES_SOFTMAX, SCORES_SOFTMAX_ZERO, SCORES_PROBIT };

/* How one score becomes two: the other's is its complement, or its opposite, before or behind it. */
enum { COMPLEMENT, OPPOSITE_FIRST, OPPOSITE_LAST };

INLINE float score_logistic(float x) {
    float y = 1.0f / (1.0f + expf(-fabsf(x)));
    return x < 0.0f ? 1.0f - y : y;
}

/* Winitzki's approximation of the inverse error function, as far as onnxruntime takes its constants. */
INLINE float score_probit(float x) {
    float y = 2.0f * x - 1.0f;
    float logarithm = logf((1.0f - y) * (1.0f + y));
    float half = 2.0f / (3.14159f * 0.147f) + 0.5f * logarithm;
    float root = sqrtf(sqrtf(half * half - logarithm / 0.147f) - half);
    return 1.41421356f * (y < 0.0f ? -root : root);
}

/* SOFTMAX_ZERO leaves scores that are zero at zero. */
INLINE void scores_softmax(float *scores, int count, int spare_zeros) {
    float most = scores[0], sum = 0.0f;
    for (int i = 1; i < count; i++) most = scores[i] > most ? scores[i] : most;
    for (int i = 0; i < count; i++) {
        if (spare_zeros && fabsf(scores[i]) <= 0.0000001f) {
            scores[i] *= expf(-most);
        } else {
            scores[i] = expf(scores[i] - most);
            sum += scores[i];
        }
    }
    for (int i = 0; i < count; i++) scores[i] /= sum;
}

INLINE void transform_scores(float *scores, int count, int transform) {
    if (transform == SCORES_SOFTMAX || transform == SCORES_SOFTMAX_ZERO)
        scores_softmax(scores, count, transform == SCORES_SOFTMAX_ZERO);
    else if (transform == SCORES_LOGISTIC)
        for (int i = 0; i < count; i++) scores[i] = score_logistic(scores[i]);
    else if (transform == SCORES_PROBIT)
        for (int i = 0; i < count; i++) scores[i] = score_probit(scores[i]);
}

/* Two classes of which one has a score. */
INLINE void second_score(float *scores, float score, int how, int transform) {
    if (how == COMPLEMENT) {
        scores[0] = 1.0f - score, scores[1] = score;
    } else if (transform == SCORES_LOGISTIC) {
        scores[0] = score_logistic(-score), scores[1] = score_logistic(score);
    } else {
        scores[0] = how == OPPOSITE_FIRST ? -score : score;
        scores[1] = how == OPPOSITE_FIRST ? score : -score;
    }
}

INLINE int largest_score(const float *scores, int count) {
    int best = 0;
    for (int i = 1; i < count; i++) best = scores[i] > scores[best] ? i : best;
    return best;
}
