/* Plays the inputs to the outputs while the audio process does not. Real-time safe: no lock, no
 * allocation, no system call. The audio process gives the frame at which it begins to fade in, and
 * we fade out from there: two straight lines whose sum is one, so a dry sound at unity shows no
 * seam. */
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "dry.h"

enum { COVERING, DONE, HAND }; /* engine/shm_records.py: DRY_* */
#define RISE_FRAMES 64
#define HAND_FRAMES 480 /* engine/performance.py: START_FADE_FRAMES */
#define FRAMES_MAX 8192

typedef void *(*buffer_function)(void *port, uint32_t n);
typedef uint32_t (*frame_function)(const void *client);

static int64_t word(const dry_path *p, int i) {
  return atomic_load_explicit((const _Atomic int64_t *)&p->words[i], memory_order_acquire);
}

/* Fills gains; 1 if any is above 0. Once we play we play on until the audio process takes over, or
 * we are told to be silent. */
static int fade(dry_path *p, uint32_t frame, uint32_t n) {
  const double step = 1.0 / RISE_FRAMES;
  int sounding = 0;
  if (p->enabled && p->quiet >= p->patience) p->covering = 1;
  int64_t hand = word(p, HAND);
  if (hand != p->handed && !p->handing) {
    p->handed = hand;
    p->handing = p->covering;
  }
  for (uint32_t i = 0; i < n; i++) {
    double out = 1;
    if (p->handing) {
      int32_t since = (int32_t)(frame + i - (uint32_t)hand);
      out = since <= 0 ? 1 : since >= HAND_FRAMES ? 0 : 1 - (double)since / HAND_FRAMES;
    }
    double rise = p->rise + (p->covering && p->enabled ? step : -step);
    p->rise = rise > 1 ? 1 : rise < 0 ? 0 : rise;
    if (out == 0 || (p->rise == 0 && !p->enabled)) {
      p->covering = p->handing = 0;
      p->rise = 0;
    }
    p->gains[i] = (float)(p->rise * out);
    sounding |= p->gains[i] > 0;
  }
  return sounding || p->covering;
}

/* The mixer's limiter (seg_limit in engine/kernel.c): at rest it changes no bit. A howl is bounded by
 * it as it is while segue plays; it is not recognised here. */
static void limit(dry_limiter *l, float *left, float *right, uint32_t n, double threshold,
                  double release) {
  float ceiling = (float)threshold;
  for (uint32_t i = 0; i < n; i++) {
    double peak = fmax(fabs(left[i]), fabs(right[i]));
    l->gain += (1 - l->gain) * release;
    if (1 - l->gain < 1e-5) l->gain = 1;
    if (peak * l->gain > threshold) l->gain = threshold / peak;
    if (l->gain == 1) continue;
    left[i] = fminf(fmaxf((float)(left[i] * l->gain), -ceiling), ceiling);
    if (right != left) right[i] = fminf(fmaxf((float)(right[i] * l->gain), -ceiling), ceiling);
  }
}

int dry_cycle(uint32_t n, void *arg) {
  dry_path *p = arg;
  buffer_function buffer_of = (buffer_function)p->buffer_of;
  uint32_t frame = ((frame_function)p->frame_time)(p->client);
  float *out[64];
  for (int o = 0; o < p->output_count; o++) {
    out[o] = buffer_of(p->outputs[o], n);
    memset(out[o], 0, sizeof(float) * n);
  }
  if (n > FRAMES_MAX) return 0;
  int64_t done = word(p, DONE);
  p->quiet = done == p->done ? p->quiet + (p->quiet < 1 << 20) : 0;
  p->done = done;
  int sounding = fade(p, frame, n);
  atomic_store_explicit((_Atomic int64_t *)&p->words[COVERING], p->covering, memory_order_release);
  if (!sounding) return 0;
  for (int s = 0; s < p->send_count; s++) {
    dry_send *send = &p->sends[s];
    const float *x = buffer_of(p->inputs[send->input], n);
    float *y = out[send->output];
    float g = send->present, step = (send->gain - g) / (float)n;
    for (uint32_t i = 0; i < n; i++, g += step)
      if (isfinite(x[i])) y[i] += p->gains[i] * g * x[i];
    send->present = send->gain;
  }
  for (int l = 0; l < p->limiter_count; l++) {
    dry_limiter *it = &p->limiters[l];
    float *left = out[it->left], *right = it->right < 0 ? left : out[it->right];
    limit(it, left, right, n, p->threshold, p->release);
  }
  return 0;
}
