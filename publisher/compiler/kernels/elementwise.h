/* Arithmetic of single elements where C leaves it undefined or means something else than ONNX. */
#pragma once

#include "module.h"
#include "vector_math.h"

/* `expression` of f4 `x`, for `count` floats; `to` may be `from`. */
#define F4_MAP(to, from, count, expression)                             \
    do {                                                                \
        float *const to_ = (to);                                        \
        const float *const from_ = (from);                              \
        const int count_ = (count);                                     \
        for (int at_ = 0; at_ < count_; at_ += 4) {                     \
            const int left_ = count_ - at_;                             \
            f4 x = left_ >= 4 ? f4_load(from_ + at_) : f4_some(from_ + at_, left_); \
            x = (expression);                                           \
            if (left_ >= 4) f4_store(to_ + at_, x);                     \
            else f4_store_some(to_ + at_, x, left_);                    \
        }                                                               \
    } while (0)

/* The first `count` lanes, 1 to 3. */
INLINE f4 f4_some(const float *from, int count) {
    return (f4){from[0], count > 1 ? from[1] : 0.0f, count > 2 ? from[2] : 0.0f, 0.0f};
}
INLINE void f4_store_some(float *to, f4 x, int count) {
    to[0] = x[0];
    if (count > 1) to[1] = x[1];
    if (count > 2) to[2] = x[2];
}

/* Quotients towards zero, remainders with the divisor's sign (ONNX Mod) or the dividend's (fmod). By 0: impossible
   input. The least number divided by -1 wraps. */
#define SIGNED_DIVISION(type, word, unsigned_type)                                                  \
    INLINE type quotient_##word(type a, type b) {                                                   \
        if (b == 0) { invalid = 1; return 0; }                                                      \
        return b == -1 ? (type)(0 - (unsigned_type)a) : (type)(a / b);                              \
    }                                                                                               \
    INLINE type remainder_##word(type a, type b) {                                                  \
        if (b == 0) { invalid = 1; return 0; }                                                      \
        return b == -1 ? 0 : (type)(a % b);                                                         \
    }                                                                                               \
    INLINE type modulo_##word(type a, type b) {                                                     \
        type rest = remainder_##word(a, b);                                                         \
        return rest != 0 && (rest < 0) != (b < 0) ? (type)(rest + b) : rest;                        \
    }
#define UNSIGNED_DIVISION(type, word)                                                               \
    INLINE type quotient_##word(type a, type b) {                                                   \
        if (b == 0) { invalid = 1; return 0; }                                                      \
        return (type)(a / b);                                                                       \
    }                                                                                               \
    INLINE type remainder_##word(type a, type b) {                                                  \
        if (b == 0) { invalid = 1; return 0; }                                                      \
        return (type)(a % b);                                                                       \
    }                                                                                               \
    INLINE type modulo_##word(type a, type b) { return remainder_##word(a, b); }
SIGNED_DIVISION(int8_t, int8, uint8_t)
SIGNED_DIVISION(int16_t, int16, uint16_t)
SIGNED_DIVISION(int32_t, int32, uint32_t)
SIGNED_DIVISION(int64_t, int64, uint64_t)
UNSIGNED_DIVISION(uint8_t, uint8)
UNSIGNED_DIVISION(uint16_t, uint16)
UNSIGNED_DIVISION(uint32_t, uint32)
UNSIGNED_DIVISION(uint64_t, uint64)

INLINE float modulo_float32(float a, float b) {
    float rest = fmodf(a, b);
    return rest != 0.0f && (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
}
INLINE double modulo_float64(double a, double b) {
    double rest = fmod(a, b);
    return rest != 0.0 && (rest < 0.0) != (b < 0.0) ? rest + b : rest;
}

/* base to the power of a whole number, modulo 2^64; of a negative one, the quotient of 1 towards zero. */
INLINE uint64_t whole_power(uint64_t base, int64_t exponent) {
    if (exponent < 0) return base == 1 ? 1 : base != ~0ull ? 0 : exponent & 1 ? ~0ull : 1;
    uint64_t power = 1;
    for (; exponent; exponent >>= 1, base *= base)
        if (exponent & 1) power *= base;
    return power;
}

/* Towards zero; what does not fit becomes the nearest that does, and NaN becomes 0. */
INLINE int32_t int32_of(double x) {
    return x >= 0x1p31 ? INT32_MAX : x <= -0x1p31 ? INT32_MIN : x != x ? 0 : (int32_t)x;
}
INLINE int64_t int64_of(double x) {
    return x >= 0x1p63 ? INT64_MAX : x <= -0x1p63 ? INT64_MIN : x != x ? 0 : (int64_t)x;
}
INLINE uint64_t uint64_of(double x) {
    return x >= 0x1p64 ? UINT64_MAX : x >= 0x1p63 ? (uint64_t)x : (uint64_t)int64_of(x);
}

/* log(1 + e^-t) for t >= 0, also where e^-t is lost in 1. */
INLINE f4 f4_log1p_exp_of_minus(f4 t) {
    f4 e = f4_exp(-t), sum = e + 1.0f;
    return f4_where(sum == 1.0f, e, f4_log(sum) * (e / f4_where(sum == 1.0f, f4_all(1.0f), sum - 1.0f)));
}

/* e^x - 1 below 0, and 0 above. */
INLINE f4 f4_expm1_below_0(f4 x) {
    i4 n;
    f4 r = reduced_by_ln2(f4_at_least(f4_at_most(x, 0.0f), -30.0f), &n);
    f4 scale = f4_two_to(n);
    return expm1_near_0(r) * scale + (scale - 1.0f);
}
