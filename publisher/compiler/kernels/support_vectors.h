/* Linear models and support vector machines: scores of one row at a time. */
#pragma once

#include "scores.h"

enum { KERNEL_LINEAR, KERNEL_POLYNOMIAL, KERNEL_RADIAL, KERNEL_SIGMOID };

INLINE float dot_product(const float *a, const float *b, int count) {
    float sums[4] = {0};
    int i = 0;
    for (; i + 4 <= count; i += 4)
        for (int lane = 0; lane < 4; lane++) sums[lane] += a[i + lane] * b[i + lane];
    for (; i < count; i++) sums[0] += a[i] * b[i];
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

INLINE float squared_distance(const float *a, const float *b, int count) {
    float sum = 0.0f;
    for (int i = 0; i < count; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

INLINE float support_kernel(const float *a, const float *b, int count, const int kernel, float gamma, float constant,
                            float degree) {
    if (kernel == KERNEL_RADIAL) return expf(-gamma * squared_distance(a, b, count));
    float product = dot_product(a, b, count);
    if (kernel == KERNEL_LINEAR) return product;
    float inner = gamma * product + constant;
    return kernel == KERNEL_POLYNOMIAL ? powf(inner, degree) : tanhf(inner);
}

/* The score of each pair of classes, and how many pairs each class wins; coefficients are [classes - 1][vectors]. */
INLINE void pairs_of_classes(const float *kernels, const float *coefficients, const float *rho, const int32_t *starts,
                             const int classes, const int vectors, float *scores, int32_t *votes) {
    int pair = 0;
    for (int c = 0; c < classes; c++) votes[c] = 0;
    for (int i = 0; i < classes; i++)
        for (int j = i + 1; j < classes; j++, pair++) {
            double sum = 0;
            for (int v = starts[i]; v < starts[i + 1]; v++) sum += coefficients[(j - 1) * vectors + v] * kernels[v];
            for (int v = starts[j]; v < starts[j + 1]; v++) sum += coefficients[i * vectors + v] * kernels[v];
            sum += rho[pair];
            scores[pair] = (float)sum;
            votes[sum > 0 ? i : j]++;
        }
}

/* Wu, Lin, Weng: probabilities of classes by those of pairs, r [classes][classes]; as onnxruntime ends its rounds. */
INLINE void coupled_probabilities(const float *r, const int classes, float *q, float *qp, float *p) {
    for (int i = 0; i < classes; i++) {
        p[i] = 1.0f / classes;
        q[i * classes + i] = 0.0f;
        for (int j = 0; j < classes; j++)
            if (j != i) {
                q[i * classes + i] += r[j * classes + i] * r[j * classes + i];
                q[i * classes + j] = -r[j * classes + i] * r[i * classes + j];
            }
    }
    for (int round = 0; round < 100; round++) {
        float pqp = 0.0f, worst = 0.0f;
        for (int i = 0; i < classes; i++) {
            qp[i] = 0.0f;
            for (int j = 0; j < classes; j++) qp[i] += q[i * classes + j] * p[j];
            pqp += p[i] * qp[i];
        }
        for (int i = 0; i < classes; i++) worst = fmaxf(worst, fabsf(qp[i] - pqp));
        if (worst < 0.005f / classes) return;
        for (int i = 0; i < classes; i++) {
            float change = (pqp - qp[i]) / q[i * classes + i];
            p[i] += change;
            pqp = (pqp + change * (change * q[i * classes + i] + 2.0f * qp[i])) / (1.0f + change) / (1.0f + change);
            for (int j = 0; j < classes; j++) {
                qp[j] = (qp[j] + change * q[i * classes + j]) / (1.0f + change);
                p[j] /= 1.0f + change;
            }
        }
    }
}

/* Platt's sigmoid for each pair, as a matrix: r[i][j] is the probability of i against j. */
INLINE void pair_probabilities(const float *scores, const float *a, const float *b, const int classes, float *r) {
    int pair = 0;
    for (int i = 0; i < classes; i++)
        for (int j = i + 1; j < classes; j++, pair++) {
            float one = 1.0f - score_logistic(scores[pair] * a[pair] + b[pair]);
            one = fminf(fmaxf(one, 1.0e-7f), 1.0f - 1.0e-7f);
            r[i * classes + j] = one;
            r[j * classes + i] = 1.0f - one;
        }
}
