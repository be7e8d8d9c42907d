/* exp, log, tanh, sigmoid, erf and gelu of four floats at a time, over the whole range: infinities, NaN, denormals.

   Each reduces its argument to a short interval, where a polynomial (minimax, fitted for this file) answers. The error
   of each is stated in units in the last place of the exact answer, and held by test_vector_math.py. No fused
   multiply-add: the bits are the same in WebAssembly and natively. */
#pragma once

#include "module.h"

typedef float f4 __attribute__((vector_size(16)));
typedef int32_t i4 __attribute__((vector_size(16)));
/* Four floats at any address of a float. */
typedef float f4_anywhere __attribute__((vector_size(16), aligned(4), may_alias));

INLINE f4 f4_all(float x) { return (f4){x, x, x, x}; }
INLINE i4 i4_all(int32_t x) { return (i4){x, x, x, x}; }
INLINE f4 f4_load(const float *from) { return *(const f4_anywhere *)from; }
INLINE void f4_store(float *to, f4 x) { *(f4_anywhere *)to = x; }
INLINE f4 f4_where(i4 mask, f4 yes, f4 no) { return (f4)((mask & (i4)yes) | (~mask & (i4)no)); }
INLINE float f4_sum(f4 x) { return (x[0] + x[2]) + (x[1] + x[3]); }
INLINE f4 f4_abs(f4 x) { return (f4)((i4)x & i4_all(0x7fffffff)); }
INLINE f4 f4_with_sign_of(f4 x, f4 sign) { return (f4)((i4)x | ((i4)sign & i4_all(INT32_MIN))); }
/* NaN stays NaN. */
INLINE f4 f4_at_most(f4 x, float most) { return f4_where(x > most, f4_all(most), x); }
INLINE f4 f4_at_least(f4 x, float least) { return f4_where(x < least, f4_all(least), x); }

/* 2 to the power of -126..127. */
INLINE f4 f4_two_to(i4 power) { return (f4)((power + 127) << 23); }

/* x as n ln 2 + r with |r| <= ln 2 / 2, for |x| < 2^20: returns r. Adding 1.5 * 2^23 rounds to whole numbers. */
INLINE f4 reduced_by_ln2(f4 x, i4 *n) {
    f4 shifted = x * 0x1.715476p+0f + 0x1.8p+23f;
    *n = (i4)shifted - 0x4b400000;
    f4 whole = shifted - 0x1.8p+23f;
    return (x - whole * 0x1.63p-1f) - whole * -0x1.bd0106p-13f;
}

/* e^r - 1 for |r| <= ln 2 / 2. */
INLINE f4 expm1_near_0(f4 r) {
    f4 p = f4_all(0x1.a032cp-13f);
    p = p * r + 0x1.6d7208p-10f;
    p = p * r + 0x1.11118ap-7f;
    p = p * r + 0x1.5554b2p-5f;
    p = p * r + 0x1.555554p-3f;
    p = p * r + 0.5f;
    return r + r * r * p;
}

/* e^x: at most 1 unit. */
INLINE f4 f4_exp(f4 x) {
    i4 n;
    f4 r = reduced_by_ln2(f4_at_least(f4_at_most(x, 100.0f), -110.0f), &n);
    /* In two steps, so that what overflows or is denormal is rounded once. */
    i4 half = n >> 1;
    return (expm1_near_0(r) + 1.0f) * f4_two_to(half) * f4_two_to(n - half);
}

/* The natural logarithm: at most 1 unit. */
INLINE f4 f4_log(f4 x) {
    i4 tiny = x < 0x1p-126f;
    /* The mantissa is brought to sqrt(1/2)..sqrt(2). */
    i4 above = (i4)f4_where(tiny, x * 0x1p+23f, x) - 0x3f3504f3;
    f4 exponent = __builtin_convertvector((above >> 23) - (tiny & 23), f4);
    f4 f = (f4)((above & 0x7fffff) + 0x3f3504f3) - 1.0f;
    f4 p = f4_all(0x1.1457a6p-4f);
    p = p * f - 0x1.de3c16p-4f;
    p = p * f + 0x1.e6f06ap-4f;
    p = p * f - 0x1.fc2208p-4f;
    p = p * f + 0x1.233768p-3f;
    p = p * f - 0x1.555c4ep-3f;
    p = p * f + 0x1.99a4b6p-3f;
    p = p * f - 0x1.000006p-2f;
    p = p * f + 0x1.555548p-2f;
    f4 square = f * f;
    f4 small = p * f * square + exponent * -0x1.bd0106p-13f - square * 0.5f;
    f4 finite = f + small + exponent * 0x1.63p-1f;
    f4 at_edge = f4_where(x == 0.0f, f4_all(-__builtin_inff()), f4_all(__builtin_nanf("")));
    f4 from_0 = f4_where(x > 0.0f, finite, at_edge);
    return f4_where(x == __builtin_inff(), x, from_0);
}

/* 1 / (1 + e^-x): at most 3 units, also where it is denormal. */
INLINE f4 f4_sigmoid(f4 x) {
    f4 e = f4_exp((f4)((i4)x | i4_all(INT32_MIN)));
    return f4_where(x < 0.0f, e, f4_all(1.0f)) / (e + 1.0f);
}

/* tanh: at most 3 units. As (e^2x - 1) / (e^2x + 1), whose numerator is computed without loss near 0. */
INLINE f4 f4_tanh(f4 x) {
    i4 n;
    f4 r = reduced_by_ln2(f4_at_most(f4_abs(x) * 2.0f, 20.0f), &n);
    f4 scale = f4_two_to(n);
    f4 e = expm1_near_0(r) * scale + (scale - 1.0f);
    return f4_with_sign_of(e / (e + 2.0f), x);
}

/* The error function: at most 2 units. Beyond 0.9 from the logarithm of its complement. */
INLINE f4 f4_erf(f4 x) {
    f4 t = f4_at_most(f4_abs(x), 4.0f), square = t * t;
    f4 p = f4_all(0x1.6510f4p-14f);
    p = p * square - 0x1.aca3a4p-11f;
    p = p * square + 0x1.550a46p-8f;
    p = p * square - 0x1.b81524p-6f;
    p = p * square + 0x1.ce2e54p-4f;
    p = p * square - 0x1.812744p-2f;
    p = p * square + 0x1.06eba8p-3f;
    f4 near = t + t * p;
    f4 q = f4_all(0x1.9fb26p-13f);
    q = q * t - 0x1.91cccap-9f;
    q = q * t + 0x1.6d9ccap-6f;
    q = q * t - 0x1.aa731cp-4f;
    q = q * t - 0x1.4621bap-1f;
    q = q * t - 0x1.20b752p+0f;
    q = q * t - 0x1.5d10e2p-13f;
    i4 n;
    f4 r = reduced_by_ln2(q, &n);
    f4 far = 1.0f - (expm1_near_0(r) + 1.0f) * f4_two_to(n);
    return f4_with_sign_of(f4_where(t < 0.9f, near, far), x);
}

/* x times the share of the normal distribution below x; the error is in units of x. */
INLINE f4 f4_gelu(f4 x) { return 0.5f * x * (1.0f + f4_erf(x * 0x1.6a09e6p-1f)); }

/* The same by tanh, as ONNX writes it: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). */
INLINE f4 f4_gelu_tanh(f4 x) {
    return 0.5f * x * (1.0f + f4_tanh(0x1.988454p-1f * (x + 0x1.6e4e26p-5f * x * x * x)));
}

/* Fewer than four floats, zeros behind them; nothing else is touched. */
INLINE f4 f4_load_few(const float *from, int count) {
    f4 some = f4_all(0.0f);
    for (int i = 0; i < count; i++) some[i] = from[i];
    return some;
}

INLINE void f4_store_few(float *to, f4 x, int count) {
    for (int i = 0; i < count; i++) to[i] = x[i];
}

/* `function` of `count` floats; `to` may be `from`. */
INLINE void f4_map(float *to, const float *from, int count, f4 (*function)(f4)) {
    int i = 0;
    for (; i + 4 <= count; i += 4) f4_store(to + i, function(f4_load(from + i)));
    if (i < count) f4_store_few(to + i, function(f4_load_few(from + i, count - i)), count - i);
}
