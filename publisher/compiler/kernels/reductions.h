/* Many numbers become one. Sums of floats are kept in sixteen parts, which are added at the end: quicker than one sum,
   and closer. The order is fixed, so the bits are too. */
#pragma once

#include "module.h"
#include "vector_math.h"

INLINE f4 f4_itself(f4 x) { return x; }
INLINE f4 f4_squared(f4 x) { return x * x; }
INLINE f4 pair_sum(f4 a, f4 b) { return a + b; }
INLINE f4 pair_product(f4 a, f4 b) { return a * b; }
/* NaN where one is. */
INLINE f4 pair_least(f4 a, f4 b) { return f4_where((a < b) | (a != a), a, b); }
INLINE f4 pair_most(f4 a, f4 b) { return f4_where((a > b) | (a != a), a, b); }

INLINE float f4_reduced(const float *from, int count, float identity, f4 (*element)(f4), f4 (*combine)(f4, f4)) {
    f4 a = f4_all(identity), b = a, c = a, d = a;
    int i = 0;
    for (; i + 16 <= count; i += 16) {
        a = combine(a, element(f4_load(from + i)));
        b = combine(b, element(f4_load(from + i + 4)));
        c = combine(c, element(f4_load(from + i + 8)));
        d = combine(d, element(f4_load(from + i + 12)));
    }
    for (; i + 4 <= count; i += 4) a = combine(a, element(f4_load(from + i)));
    for (; i < count; i++) {
        f4 last = f4_all(identity);
        last[0] = element(f4_all(from[i]))[0];
        b = combine(b, last);
    }
    a = combine(combine(a, b), combine(c, d));
    a = combine(a, __builtin_shufflevector(a, a, 2, 3, 0, 1));
    return combine(a, __builtin_shufflevector(a, a, 1, 0, 3, 2))[0];
}

/* The sum of e^(x - most). */
INLINE float f4_sum_of_exp(const float *from, int count, float most) {
    f4 sum = f4_all(0.0f);
    int i = 0;
    for (; i + 4 <= count; i += 4) sum += f4_exp(f4_load(from + i) - most);
    for (; i < count; i++) sum[i & 3] += f4_exp(f4_all(from[i] - most))[0];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Where finite numbers begin: infinities are subtracted from nothing. */
INLINE float finite_float32(float x) { return x - x == 0.0f ? x : 0.0f; }
INLINE double finite_float64(double x) { return x - x == 0.0 ? x : 0.0; }
