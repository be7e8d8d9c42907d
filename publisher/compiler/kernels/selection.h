/* The largest of some elements, and their order. */
#pragma once

#include "module.h"

/* For `inner` rows side by side, which of `length` elements is the best: `better` is a C expression of `x` and `best`.
   `bests` is room for as many elements. */
#define BEST_INDEX(type, to, from, bests, length, inner, better)                     \
    do {                                                                             \
        int64_t *const to_ = (to);                                                   \
        const type *const from_ = (from);                                            \
        type *const bests_ = (bests);                                                \
        for (int j = 0; j < (inner); j++) to_[j] = 0, bests_[j] = from_[j];          \
        for (int k = 1; k < (length); k++)                                           \
            INDEPENDENT                                                              \
            for (int j = 0; j < (inner); j++) {                                      \
                const type x = from_[k * (inner) + j], best = bests_[j];             \
                const int wins = (better);                                           \
                bests_[j] = wins ? x : best;                                         \
                to_[j] = wins ? k : to_[j];                                          \
            }                                                                        \
    } while (0)

/* `order` becomes the indices of `count` elements, the first in order first, equal ones by index; `other` is room for
   as many. By merging runs of 1, 2, 4, … */
#define SORTED(type, word, comes_first)                                                                       \
    INLINE void word(int32_t *order, int32_t *other, const type *from, int stride, int count) {               \
        for (int i = 0; i < count; i++) order[i] = i;                                                         \
        for (int width = 1; width < count; width *= 2) {                                                      \
            for (int start = 0; start < count; start += 2 * width) {                                          \
                int middle = start + width < count ? start + width : count;                                   \
                int end = middle + width < count ? middle + width : count;                                    \
                int left = start, right = middle;                                                             \
                for (int at = start; at < end; at++) {                                                        \
                    int takes_right = left == middle;                                                         \
                    if (!takes_right && right < end) {                                                        \
                        type a = from[order[right] * stride], b = from[order[left] * stride];                 \
                        takes_right = comes_first;                                                            \
                    }                                                                                         \
                    other[at] = takes_right ? order[right++] : order[left++];                                 \
                }                                                                                             \
            }                                                                                                 \
            __builtin_memcpy(order, other, (unsigned)count * sizeof *order);                                  \
        }                                                                                                     \
    }
/* `order` becomes the indices of the first `wanted` in order, by putting each in its place: for a few of many. */
#define FIRST(type, word, comes_first)                                                                        \
    INLINE void word(int32_t *order, const type *from, int stride, int count, int wanted) {                   \
        int kept = 0;                                                                                         \
        for (int i = 0; i < count; i++) {                                                                     \
            const type a = from[i * stride];                                                                  \
            int at = kept;                                                                                    \
            while (at > 0) {                                                                                  \
                const type b = from[order[at - 1] * stride];                                                  \
                if (!(comes_first)) break;                                                                    \
                if (at < wanted) order[at] = order[at - 1];                                                   \
                at--;                                                                                         \
            }                                                                                                 \
            if (at < wanted) order[at] = i;                                                                   \
            kept += kept < wanted;                                                                            \
        }                                                                                                     \
    }
#define SORTED_BOTH_WAYS(type, word)             \
    SORTED(type, word##_descending, a > b)       \
    SORTED(type, word##_ascending, a < b)        \
    FIRST(type, word##_first_descending, a > b)  \
    FIRST(type, word##_first_ascending, a < b)
SORTED_BOTH_WAYS(float, float32)
SORTED_BOTH_WAYS(double, float64)
SORTED_BOTH_WAYS(int8_t, int8)
SORTED_BOTH_WAYS(uint8_t, uint8)
SORTED_BOTH_WAYS(int16_t, int16)
SORTED_BOTH_WAYS(uint16_t, uint16)
SORTED_BOTH_WAYS(int32_t, int32)
SORTED_BOTH_WAYS(uint32_t, uint32)
SORTED_BOTH_WAYS(int64_t, int64)
SORTED_BOTH_WAYS(uint64_t, uint64)
