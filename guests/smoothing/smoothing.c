/* How far a reading lies from the mean of those before it: a model with state, by hand.
 *
 * The enclave joins what the manifest calls state to the input, and cuts it from the output:
 *
 *   in:   float32 reading                 | float32 mean, float32 variance, uint32 count
 *   out:  float32 deviations from the mean | the same three, after this reading
 */

typedef unsigned char byte;

typedef struct { float mean, variance; unsigned count; } level;
typedef struct { float reading; level before; } taken;
typedef struct { float deviations; level after; } given;

static taken input;
static given output;

__attribute__((export_name("input"))) taken *input_address(void) { return &input; }
__attribute__((export_name("input_size"))) unsigned input_size(void) { return sizeof input; }
__attribute__((export_name("output"))) given *output_address(void) { return &output; }
__attribute__((export_name("output_size"))) unsigned output_size(void) { return sizeof output; }

enum { LEARNING = 8 };

static level moved(level before, float away) {
  /* The mean of the first ones, and then a slower one. */
  const float share = 1.0f / (float)(before.count < LEARNING ? before.count + 1 : LEARNING);
  const level after = {
    before.mean + share * away,
    (1 - share) * (before.variance + share * away * away),
    before.count < LEARNING ? before.count + 1 : LEARNING,
  };
  return after;
}

/* Returns 16, or -1 for a reading that is a NaN or infinite: the state stays as it was. */
__attribute__((export_name("infer")))
int infer(void) {
  const float away = input.reading - input.before.mean;
  if (input.reading - input.reading != 0)
    return -1;
  output.deviations = input.before.variance > 0 ? away / __builtin_sqrtf(input.before.variance) : 0;
  output.after = moved(input.before, away);
  return sizeof output;
}
