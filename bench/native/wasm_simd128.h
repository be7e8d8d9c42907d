/* The few operations of <wasm_simd128.h> that heavy.c uses, as vectors of the machine that compiles this: the control. */
#ifndef SEALEDGE_NATIVE_SIMD128
#define SEALEDGE_NATIVE_SIMD128

typedef float v128_t __attribute__((vector_size(16), aligned(4)));

static inline v128_t wasm_f32x4_splat(float value) { return (v128_t){value, value, value, value}; }
static inline v128_t wasm_v128_load(const void *from) { return *(const v128_t *)from; }
static inline v128_t wasm_v128_load32_splat(const void *from) { return wasm_f32x4_splat(*(const float *)from); }
static inline void wasm_v128_store(void *to, v128_t value) { *(v128_t *)to = value; }
static inline v128_t wasm_f32x4_add(v128_t a, v128_t b) { return a + b; }
static inline v128_t wasm_f32x4_mul(v128_t a, v128_t b) { return a * b; }
static inline v128_t wasm_f32x4_pmax(v128_t a, v128_t b) { return __builtin_elementwise_max(a, b); }

#endif
