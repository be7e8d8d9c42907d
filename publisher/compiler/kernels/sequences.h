/* Along an axis, in order. */
#pragma once

#include "indexing.h"
#include "module.h"

/* Running sums or products of `length` rows of `inner` elements, each `stride` behind the last (or before it): `sum` is
   a C expression of `r`, what there is already, and `x`. Exclusive ones begin with `start` and leave the last out. */
#define CUMULATE(type, to, from, length, stride, inner, exclusive, start, sum)      \
    do {                                                                            \
        type *const to_ = (to);                                                     \
        const type *const from_ = (from);                                           \
        for (int j = 0; j < (inner); j++) to_[j] = (exclusive) ? (start) : from_[j]; \
        for (int k = 1; k < (length); k++)                                          \
            INDEPENDENT                                                             \
            for (int j = 0; j < (inner); j++) {                                     \
                type r = to_[(k - 1) * (stride) + j];                               \
                type x = from_[(k - (exclusive)) * (stride) + j];                   \
                to_[k * (stride) + j] = (type)(sum);                                \
            }                                                                       \
    } while (0)

/* The place that changes with `at` when the first `length` of `steps` are reversed. */
INLINE int reversed_place(int at, int64_t length, int steps) {
    if (length < 0 || length > steps) {
        invalid = 1;
        return at;
    }
    return at < (int)length ? (int)length - 1 - at : at;
}
