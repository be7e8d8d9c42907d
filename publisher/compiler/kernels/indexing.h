/* Indices that come from data: counted from the end where negative, impossible input where there is no such element. */
#pragma once

#include "module.h"

INLINE int64_t index_in(int64_t at, int64_t length) {
    int64_t from_first = at < 0 ? at + length : at;
    if (from_first >= 0 && from_first < length) return from_first;
    invalid = 1;
    return 0;
}
