/* Compute-bound kernels for bench.runtime. Input: repetitions, u32. Output: four bytes, so that nothing is left out. */
#include <stdint.h>
#include <wasm_simd128.h>

#define EXPORT(name) __attribute__((export_name(#name)))
#define NO_UNROLL _Pragma("clang loop unroll(disable) vectorize(disable)")
#define N 192
#define CHANNELS 32
#define SIDE 64

static uint8_t input_bytes[4], output_bytes[4];
static float a[N * N], b[N * N], c[N * N];
static float image[CHANNELS * (SIDE + 2) * (SIDE + 2)], filtered[CHANNELS * SIDE * SIDE];
static uint8_t bytes[1 << 16];

EXPORT(input) uint8_t *input_at(void) { return input_bytes; }
EXPORT(output) uint8_t *output_at(void) { return output_bytes; }
EXPORT(input_size) int32_t input_size(void) { return 4; }
EXPORT(output_size) int32_t output_size(void) { return 4; }

static void fill(float *values, int count, uint32_t seed) {
  for (int i = 0; i < count; i++) values[i] = (float)((seed = seed * 1664525u + 1013904223u) >> 8) * 0x1p-24f;
}

/* Packed SIMD, a block of 4 x 8 in registers: what a compiler of models makes of a dense layer. */
static uint32_t gemm(void) {
  for (int i = 0; i < N; i += 4)
    for (int j = 0; j < N; j += 8) {
      v128_t sum[4][2];
      for (int r = 0; r < 4; r++) sum[r][0] = sum[r][1] = wasm_f32x4_splat(0);
      for (int k = 0; k < N; k++) {
        v128_t left = wasm_v128_load(b + k * N + j), right = wasm_v128_load(b + k * N + j + 4);
        for (int r = 0; r < 4; r++) {
          v128_t each = wasm_v128_load32_splat(a + (i + r) * N + k);
          sum[r][0] = wasm_f32x4_add(sum[r][0], wasm_f32x4_mul(each, left));
          sum[r][1] = wasm_f32x4_add(sum[r][1], wasm_f32x4_mul(each, right));
        }
      }
      for (int r = 0; r < 4; r++) {
        wasm_v128_store(c + (i + r) * N + j, sum[r][0]);
        wasm_v128_store(c + (i + r) * N + j + 4, sum[r][1]);
      }
    }
  a[0] = c[N + 1] * 0x1p-10f;
  return (uint32_t)c[5];
}

static uint32_t depthwise(void) {
  for (int channel = 0; channel < CHANNELS; channel++)
    for (int y = 0; y < SIDE; y++)
      for (int x = 0; x < SIDE; x += 4) {
        v128_t sum = wasm_f32x4_splat(0);
        for (int dy = 0; dy < 3; dy++)
          for (int dx = 0; dx < 3; dx++) {
            const float *from = image + (channel * (SIDE + 2) + y + dy) * (SIDE + 2) + x + dx;
            v128_t weight = wasm_v128_load32_splat(a + channel * 9 + dy * 3 + dx);
            sum = wasm_f32x4_add(sum, wasm_f32x4_mul(wasm_v128_load(from), weight));
          }
        wasm_v128_store(filtered + (channel * SIDE + y) * SIDE + x, sum);
      }
  image[0] = filtered[7] * 0x1p-6f;
  return (uint32_t)filtered[9];
}

/* The shortest loop there is: a load, an addition, a branch. */
static uint32_t scalar(void) {
  uint32_t sum = 0;
  NO_UNROLL for (int i = 0; i < 1 << 16; i++) sum += bytes[i];
  bytes[sum & 0xFFFF]++;
  return sum;
}

EXPORT(infer) int32_t infer(void) {
  uint32_t repetitions = *(uint32_t *)input_bytes, result = 0;
  fill(a, N * N, 1), fill(b, N * N, 2), fill(image, CHANNELS * (SIDE + 2) * (SIDE + 2), 3);
  for (uint32_t i = 0; i < 1 << 16; i++) bytes[i] = (uint8_t)(i * 40503u >> 7);
  for (uint32_t i = 0; i < repetitions; i++) {
#if defined(ONLY_GEMM)
    result += gemm();
#elif defined(ONLY_SCALAR)
    result += scalar();
#else
    result += gemm() + depthwise() + scalar();
#endif
  }
  *(uint32_t *)output_bytes = result;
  return 4;
}
