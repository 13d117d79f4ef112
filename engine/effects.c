/* The shared effects of the send buses: a delay that follows the tempo, and a reverb. Settings come
 * from Python (engine/effects.py).
 *
 * Reverb: a feedback delay network (J.-M. Jot and A. Chaigne, "Digital delay networks for designing
 * artificial reverberators", AES 90, 1991): two all-passes a side, then eight lines whose feedback
 * matrix is a Householder reflection, which keeps energy as it is, and in each line a low-pass of
 * gain below one, so it decays at any setting. All delays are longer than STRETCH, so a stretch
 * reads only what was written before it.
 *
 * Every frame is the same arithmetic wherever blocks are cut, so the block size changes no bit. What
 * is smaller than SILENT is nothing: denormals cost a hundredfold. */
#include <stdint.h>
#include <string.h>

#include "kernel.h"

#define STRETCH 64
#define LINES 8
#define SILENT 0x26901d7d   /* 1e-15 as bits */
#define TOO_LOUD 0x58635fa9 /* 1e15: nor does an overflow stay in a loop */

/* Magnitudes of floats are ordered like their bits: this vectorises. */
static inline float heard(float x) {
  int32_t bits;
  memcpy(&bits, &x, 4);
  int32_t level = bits & 0x7fffffff;
  bits &= -((level > SILENT) & (level < TOO_LOUD));
  memcpy(&x, &bits, 4);
  return x;
}

/* ---- delay ---- */

static float echo(const seg_delay *d, int side, int64_t length) {
  return d->written < length ? 0 : d->line[side * d->size + ((d->written - length) & (d->size - 1))];
}

void seg_delay_run(seg_delay *d, float *left, float *right, int n) {
  float *rows[2] = {left, right};
  for (int i = 0; i < n; i++) {
    if (!d->fade && d->wanted != d->length) {
      d->before = d->length;
      d->length = d->wanted;
      d->fade = d->fade_frames;
    }
    float old = (float)d->fade / (float)d->fade_frames;
    for (int side = 0; side < 2; side++) {
      float wet = echo(d, side, d->length);
      if (d->fade) wet += old * (echo(d, side, d->before) - wet);
      float *here = d->line + side * d->size + (d->written & (d->size - 1));
      *here = heard(rows[side][i] + d->feedback * wet);
      rows[side][i] = wet;
    }
    if (d->fade) d->fade--;
    d->written++;
  }
}

/* ---- reverb ---- */

static void all_pass(float *line, int64_t mask, int64_t at, int64_t length, float *x, int n) {
  for (int i = 0; i < n; i++) {
    float past = line[(at + i - length) & mask];
    float in = x[i] - 0.6f * past;
    line[(at + i) & mask] = heard(in);
    x[i] = past + 0.6f * in;
  }
}

void seg_reverb_run(seg_reverb *r, float *left, float *right, int n) {
  const int64_t mask = r->size - 1;
  while (n > 0) {
    int k = n < STRETCH ? n : STRETCH;
    float net[STRETCH][LINES];
    float *rows[2] = {left, right};
    for (int a = 0; a < 4; a++)
      all_pass(r->lines + (LINES + a) * r->size, mask, r->at, r->diffuse[a], rows[a & 1], k);
    for (int l = 0; l < LINES; l++) {
      const float *line = r->lines + l * r->size;
      int64_t from = r->at - r->length[l];
      for (int i = 0; i < k; i++) net[i][l] = line[(from + i) & mask];
    }
    float low[LINES];
    memcpy(low, r->low, sizeof low);
    for (int i = 0; i < k; i++) {
      float half[LINES / 2];
      for (int l = 0; l < LINES; l++) {
        low[l] = heard(r->gain[l] * net[i][l] + r->damp[l] * low[l]);
        net[i][l] = low[l];
      }
      for (int l = 0; l < LINES / 2; l++) half[l] = net[i][l] + net[i][l + LINES / 2];
      float sum = (2.0f / LINES) * ((half[0] + half[2]) + (half[1] + half[3]));
      float in[2] = {left[i], right[i]};
      left[i] = r->level * ((net[i][0] - net[i][2]) + (net[i][4] - net[i][6]));
      right[i] = r->level * ((net[i][1] - net[i][3]) + (net[i][5] - net[i][7]));
      for (int l = 0; l < LINES; l++) net[i][l] = net[i][l] - sum + in[l & 1];
    }
    memcpy(r->low, low, sizeof low);
    for (int l = 0; l < LINES; l++) {
      float *line = r->lines + l * r->size;
      for (int i = 0; i < k; i++) line[(r->at + i) & mask] = heard(net[i][l]);
    }
    r->at += k;
    left += k;
    right += k;
    n -= k;
  }
}
