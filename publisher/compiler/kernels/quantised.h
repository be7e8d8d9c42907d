/* Integers of 8, 16 and 32 bits in vectors, and the way from sums of products back to quanta.

   A quantum is q = saturate(round(real / scale) + zero point), halves to even: ONNX QuantizeLinear. */
#pragma once

#include "vector_math.h"

#ifdef __wasm__
#include <wasm_simd128.h>
#else
#include <smmintrin.h>
#endif

typedef uint32_t u4 __attribute__((vector_size(16)));
typedef int16_t h8 __attribute__((vector_size(16)));
typedef uint8_t b16 __attribute__((vector_size(16)));
typedef uint8_t b8 __attribute__((vector_size(8), aligned(1), may_alias));
typedef int8_t c8 __attribute__((vector_size(8), aligned(1), may_alias));
typedef uint8_t b4 __attribute__((vector_size(4), aligned(1), may_alias));
typedef b16 b16_anywhere __attribute__((aligned(1), may_alias));
typedef h8 h8_anywhere __attribute__((aligned(2), may_alias));
typedef uint64_t u64x2 __attribute__((vector_size(16)));
typedef u4 sums_anywhere __attribute__((aligned(4), may_alias));
typedef uint64_t eight_bytes __attribute__((aligned(1), may_alias));
typedef uint32_t pair_anywhere __attribute__((aligned(2), may_alias));

INLINE h8 h8_all(int x) { int16_t y = (int16_t)x; return (h8){y, y, y, y, y, y, y, y}; }
INLINE u4 u4_all(uint32_t x) { return (u4){x, x, x, x}; }
INLINE u4 u4_load(const int32_t *from) { return *(const sums_anywhere *)from; }

/* a[0] b[0] + a[1] b[1], a[2] b[2] + a[3] b[3], and so on: what integer products are made of. */
INLINE u4 dot_pairs(h8 a, h8 b) {
#ifdef __wasm__
    return (u4)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b);
#else
    return (u4)_mm_madd_epi16((__m128i)a, (__m128i)b);
#endif
}

/* Eight bytes, unsigned or as two's complement, made wider. */
INLINE h8 widened(const void *from, int is_signed) {
    return is_signed ? __builtin_convertvector(*(const c8 *)from, h8) : __builtin_convertvector(*(const b8 *)from, h8);
}

/* Eight numbers of 32 bits, saturated to 16. */
INLINE h8 saturated(u4 low, u4 high) {
#ifdef __wasm__
    return (h8)wasm_i16x8_narrow_i32x4((v128_t)low, (v128_t)high);
#else
    return (h8)_mm_packs_epi32((__m128i)low, (__m128i)high);
#endif
}

/* Sixteen numbers of 16 bits, saturated to 8. */
INLINE b16 bytes_of(h8 low, h8 high, int is_signed) {
#ifdef __wasm__
    return is_signed ? (b16)wasm_i8x16_narrow_i16x8((v128_t)low, (v128_t)high)
                     : (b16)wasm_u8x16_narrow_i16x8((v128_t)low, (v128_t)high);
#else
    return is_signed ? (b16)_mm_packs_epi16((__m128i)low, (__m128i)high)
                     : (b16)_mm_packus_epi16((__m128i)low, (__m128i)high);
#endif
}

INLINE u4 low_half(h8 x) { return (u4)__builtin_convertvector(__builtin_shufflevector(x, x, 0, 1, 2, 3), i4); }
INLINE u4 high_half(h8 x) { return (u4)__builtin_convertvector(__builtin_shufflevector(x, x, 4, 5, 6, 7), i4); }

/* Quanta of one tensor: `low` to `high` is the type's range, or less where a Clip or Relu was folded in. */
typedef struct {
    int zero_point, is_signed, low, high;
    /* Whether real / scale may lie beyond 2^21, NaN, or infinite: then it is bounded before it is rounded. */
    int unbounded;
} Quanta;

/* The nearest whole number, halves to even, plus `zero_point`, for |x| < 2^22. 1.5 * 2^23 has no fraction to keep. */
INLINE u4 rounded(f4 x, int zero_point) {
    return (u4)(x + 0x1.8p+23f) - (0x4b400000u - (uint32_t)zero_point);
}

/* As onnxruntime: NaN becomes the lowest. */
INLINE f4 bounded(f4 x, Quanta to) {
    f4 low = f4_all((float)(to.low - to.zero_point)), high = f4_all((float)(to.high - to.zero_point));
    x = f4_where(x > low, x, low);
    return f4_where(x < high, x, high);
}

INLINE h8 quanta_of(f4 low, f4 high, Quanta to) {
    if (to.unbounded) low = bounded(low, to), high = bounded(high, to);
    return saturated(rounded(low, to.zero_point), rounded(high, to.zero_point));
}

/* Sixteen bytes, none below `low` or above `high`. */
INLINE b16 between(b16 x, int low, int high, int is_signed) {
#ifdef __wasm__
    v128_t least = wasm_i8x16_splat((int8_t)low), most = wasm_i8x16_splat((int8_t)high);
    if (is_signed) return (b16)wasm_i8x16_min(wasm_i8x16_max((v128_t)x, least), most);
    return (b16)wasm_u8x16_min(wasm_u8x16_max((v128_t)x, least), most);
#else
    __m128i least = _mm_set1_epi8((char)low), most = _mm_set1_epi8((char)high);
    if (is_signed) return (b16)_mm_min_epi8(_mm_max_epi8((__m128i)x, least), most);
    return (b16)_mm_min_epu8(_mm_max_epu8((__m128i)x, least), most);
#endif
}

INLINE b16 quanta_bytes(h8 low, h8 high, Quanta to) {
    b16 x = bytes_of(low, high, to.is_signed);
    int narrower = to.low > (to.is_signed ? -128 : 0) || to.high < (to.is_signed ? 127 : 255);
    return narrower ? between(x, to.low, to.high, to.is_signed) : x;
}

INLINE uint8_t quantum(float x, Quanta to) {
    f4 one = f4_all(x);
    h8 wide = quanta_of(one, one, to);
    return quanta_bytes(wide, wide, to)[0];
}

/* The first `count` of eight bytes, of either half. As halves of a number of 64 bits they would pass through a register
   for integers; no bit of a double is changed by storing it. */
INLINE void store_bytes(uint8_t *to, b16 x, int half, int count) {
    typedef double d2 __attribute__((vector_size(16)));
    typedef double eight_anywhere __attribute__((aligned(1), may_alias));
    if (count >= 8) {
        *(eight_anywhere *)to = half ? __builtin_shufflevector((d2)x, (d2)x, 1, 1)[0] : ((d2)x)[0];
        return;
    }
    const uint64_t bytes = ((u64x2)x)[half];
    for (int i = 0; i < count; i++) to[i] = (uint8_t)(bytes >> 8 * i);
}
