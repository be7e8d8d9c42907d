/* 30 measurements in, the probabilities of `benign` and `malignant` out: a network of 16 hidden units.
 *
 * No C library. Sums run in double precision, in one order: the same bytes come out on every machine.
 */

#include "weights.h"

typedef unsigned char byte;

enum { BENIGN, MALIGNANT, CLASSES };

/* e^x for |x| <= 40: 2^k times the Taylor series of e^r, |r| <= ln(2)/2, whose rest is below 1e-18. */
static double exponential(double x) {
  const double ln2 = 0x1.62e42fefa39efp-1;
  const int k = (int)(x / ln2 + (x < 0 ? -0.5 : 0.5));
  const double r = x - k * ln2;
  double sum = 1.0;
  for (int n = 14; n > 0; n--)
    sum = 1.0 + sum * r / n;
  union { unsigned long long bits; double value; } power = { (unsigned long long)(1023 + k) << 52 };
  return sum * power.value;
}

static double sigmoid(double x) {
  /* Beyond this, the result is 0 or 1 in single precision, near enough. */
  const double bounded = x > 40 ? 40 : x < -40 ? -40 : x;
  return 1.0 / (1.0 + exponential(-bounded));
}

static double hidden_unit(const float *inputs, int unit) {
  double sum = HIDDEN_BIAS[unit];
  for (int i = 0; i < INPUTS; i++)
    sum += (double)inputs[i] * HIDDEN_WEIGHTS[unit][i];
  return sum > 0 ? sum : 0;
}

static double malignant(const float *inputs) {
  double logit = OUTPUT_BIAS[0];
  for (int unit = 0; unit < HIDDEN; unit++)
    logit += OUTPUT_WEIGHTS[unit] * hidden_unit(inputs, unit);
  return sigmoid(logit);
}

static int all_finite(const float *inputs) {
  for (int i = 0; i < INPUTS; i++)
    if (inputs[i] - inputs[i] != 0)
      return 0;
  return 1;
}

/* Returns 8, or -1 when the input is not 30 finite little-endian float32, or there is no room for the output. */
__attribute__((export_name("perform_inference")))
int perform_inference(const byte *input, unsigned input_len, byte *output, unsigned output_capacity) {
  float inputs[INPUTS];
  float probabilities[CLASSES];
  if (input_len != sizeof inputs || output_capacity < sizeof probabilities)
    return -1;
  /* Neither pointer need be aligned. */
  __builtin_memcpy(inputs, input, sizeof inputs);
  if (!all_finite(inputs))
    return -1;
  const double probability = malignant(inputs);
  probabilities[BENIGN] = (float)(1.0 - probability);
  probabilities[MALIGNANT] = (float)probability;
  __builtin_memcpy(output, probabilities, sizeof probabilities);
  return sizeof probabilities;
}
