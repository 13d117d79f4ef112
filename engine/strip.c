/* Input strips: high-pass, gate, three-band equaliser, compressor. Settings come from Python
 * (engine/strip.py), sums and recursions are here.
 *
 * Filters: transposed direct form II in double. Compressor: feed-forward in the log domain with a
 * soft knee and the smooth decoupled peak detector of D. Giannoulis, M. Massberg and J. Reiss,
 * "Digital Dynamic Range Compressor Design", J. Audio Eng. Soc. 60(6), 2012, eqs. 4 and 17.
 *
 * Work goes in stretches that end at multiples of STRETCH of absolute time; whatever is decided once
 * a stretch (that a stage is at rest, that a state has died away) is decided there or makes no
 * difference, so the block size changes no bit. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernel.h"

#define STRETCH 64
#define FILTERS 4
#define SILENT 1e-30   /* below this a filter's state is zero: denormals cost a hundredfold */
#define SETTLED 1e-6   /* a gain this near its goal is there; decibels this near none are none */
#define HYSTERESIS 0.70794578438413791 /* a gate closes 3 dB below where it opens */
#define DB_PER_OCTAVE 6.0205999132796239f

typedef struct {
  double y[STRETCH];
  float over[STRETCH];
} scratch;

static int at_rest(const double *c, const double *s) {
  return c[0] == 1 && c[1] == 0 && c[2] == 0 && c[3] == 0 && c[4] == 0 && s[0] == 0 && s[1] == 0;
}

static inline double biquad(double x, const double *restrict c, double *restrict s) {
  double y = c[0] * x + s[0];
  s[0] = (c[1] * x + s[1]) - c[3] * y;
  s[1] = c[2] * x - c[4] * y;
  return y;
}

static void filter(double *restrict y, int n, const double *restrict c, double *restrict state) {
  double s[2] = {state[0], state[1]};
  for (int i = 0; i < n; i++) y[i] = biquad(y[i], c, s);
  state[0] = s[0];
  state[1] = s[1];
}

/* Filters first..last-1 while their coefficients move. */
static void filter_moving(seg_strip *p, double *y, int first, int last, int64_t t, int n) {
  for (int i = 0; i < n; i++) {
    double part = (double)(t + i - p->f0) / (double)(p->f1 - p->f0);
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    for (int f = first; f < last; f++) {
      double c[5];
      for (int k = 0; k < 5; k++) c[k] = p->from[f][k] + part * (p->to[f][k] - p->from[f][k]);
      y[i] = biquad(y[i], c, p->state[f]);
    }
  }
}

static void filters(seg_strip *p, double *y, int first, int last, int64_t t, int n) {
  if (t < p->f1) {
    int k = t + n <= p->f1 ? n : (int)(p->f1 - t);
    filter_moving(p, y, first, last, t, k);
    y += k;
    n -= k;
  }
  for (int f = first; n && f < last; f++)
    if (!at_rest(p->to[f], p->state[f])) filter(y, n, p->to[f], p->state[f]);
}

static void gate(seg_strip *p, double *y, int n) {
  if (p->gate == 0 && p->gate_gain == 1) return;
  double shut = p->gate * HYSTERESIS;
  for (int i = 0; i < n; i++) {
    double level = fabs(y[i]);
    if (level >= (p->gate_left > 0 ? shut : p->gate))
      p->gate_left = p->gate_hold;
    else if (p->gate_left > 0)
      p->gate_left--;
    if (p->gate_left > 0) {
      p->gate_gain += (1 - p->gate_gain) * p->gate_attack;
      if (1 - p->gate_gain < SETTLED) p->gate_gain = 1;
    } else {
      p->gate_gain -= p->gate_gain * p->gate_release;
      if (p->gate_gain < SETTLED) p->gate_gain = 0;
    }
    y[i] *= p->gate_gain;
  }
}

/* Octaves of a positive float, to 2e-7 of one: exponent, and log of the mantissa in [2/3, 4/3). */
static inline float octaves(float x) {
  int32_t bits;
  memcpy(&bits, &x, 4);
  int32_t e = (bits - 0x3f2aaaab) >> 23;
  bits -= (int32_t)((uint32_t)e << 23);
  float m;
  memcpy(&m, &bits, 4);
  float s = (m - 1) / (m + 1), q = s * s;
  float poly = 2.8853901f + q * (0.96179669f + q * (0.57707802f + q * (0.41219859f + q * 0.32059890f)));
  return (float)e + s * poly;
}

/* 2 to the power of x, for x in [-100, 100], to 2e-7 of it; 1 at 0. */
static inline float power(float x) {
  float rounded = (x + 12582912.0f) - 12582912.0f;
  float f = (x - rounded) * 0.69314718f;
  float y = 1 + f * (1 + f * (0.5f + f * (0.16666667f + f * (0.041666668f + f * (0.0083333333f + f * 0.0013888889f)))));
  int32_t bits = (int32_t)(((uint32_t)((int32_t)rounded + 127)) << 23);
  float scale;
  memcpy(&scale, &bits, 4);
  return y * scale;
}

static void compress(seg_strip *p, scratch *w, int n) {
  double *restrict y = w->y;
  float *restrict over = w->over;
  if (p->slope == 0 && p->peak == 0 && p->reduction == 0) return;
  float knee = (float)p->knee, half = 0.5f * knee, threshold = (float)p->threshold;
  float slope = (float)p->slope, bend = 0.5f / knee;
  double most = 0;
  for (int i = 0; i < n; i++) {
    float d = DB_PER_OCTAVE * octaves((float)fabs(y[i]) + 1e-30f) - threshold;
    float u = d + half;
    u = u > 0 ? u : 0;
    u = u < knee ? u : knee;
    float past = d - half;
    past = past > 0 ? past : 0;
    over[i] = slope * (u * u * bend + past);
  }
  double peak = p->peak, reduction = p->reduction, attack = p->attack, release = p->release;
  for (int i = 0; i < n; i++) {
    double decayed = peak + (over[i] - peak) * release;
    peak = over[i] > decayed ? over[i] : decayed;
    peak = peak < SETTLED ? 0 : peak;
    reduction += (peak - reduction) * attack;
    reduction = reduction < SETTLED && peak == 0 ? 0 : reduction;
    over[i] = (float)reduction;
    most = reduction > most ? reduction : most;
  }
  p->peak = peak;
  p->reduction = reduction;
  if (most == 0) return;
  for (int i = 0; i < n; i++) y[i] *= power(over[i] * (-1 / DB_PER_OCTAVE));
}

static double settled(double s) { return fabs(s) > SILENT && isfinite(s) ? s : 0; }

void seg_strip_run(seg_strip *p, float *x, int64_t t, int n) {
  scratch w;
  while (n > 0) {
    int64_t skew = ((t % STRETCH) + STRETCH) % STRETCH;
    int k = n < STRETCH - skew ? n : (int)(STRETCH - skew);
    for (int i = 0; i < k; i++) w.y[i] = x[i];
    filters(p, w.y, 0, 1, t, k);
    gate(p, w.y, k);
    filters(p, w.y, 1, FILTERS, t, k);
    compress(p, &w, k);
    for (int i = 0; i < k; i++) x[i] = (float)w.y[i];
    x += k;
    t += k;
    n -= k;
    if (t % STRETCH) continue;
    for (int f = 0; f < FILTERS; f++)
      for (int s = 0; s < 2; s++) p->state[f][s] = settled(p->state[f][s]);
  }
}

/* ---- a pedal in the strip ---- */

#define LOUD 0.01f /* -40 dBFS: what goes out so loud ought to be answered */

/* The strip to `sent`, and what came back in its place; the strip itself while nothing comes. Only
 * samples that are exactly zero are nothing: a cable or a converter always has some noise, a client
 * that has gone has none, and one that gates is not asked while the strip is quiet. A function of
 * the samples alone. Returns 1 if it has turned. */
int seg_pedal_run(seg_pedal *p, float *row, const float *back, float *sent, int64_t t, int n) {
  seg_pedal_state *s = p->state;
  int64_t before = s->there;
  for (int i = 0; i < n; i++) {
    float x = sent[i] = row[i];
    if (back[i] != 0) {
      s->there = 1;
      s->absent = 0;
    } else if (fabsf(x) >= LOUD && s->there && ++s->absent >= p->patience)
      s->there = 0;
    s->wet += s->there ? p->step : -p->step;
    s->wet = s->wet > 1 ? 1 : s->wet < 0 ? 0 : s->wet;
    double wet = s->wet * seg_ramp_at(p->on, t + i);
    if (wet == 1)
      row[i] = back[i];
    else if (wet > 0)
      row[i] = (float)((1 - wet) * x + wet * back[i]);
  }
  p->turned = (int32_t)(s->there - before);
  return p->turned != 0;
}

/* ---- a plug-in in the strip ---- */

/* The strip's n frames to `cell`: two channels one after the other, or the first alone. mono: only
 * the first row holds the strip; then both do. */
void seg_lend(float *rows, int64_t stride, int mono, int both, int n, float *cell) {
  if (mono) memcpy(rows + stride, rows, sizeof(float) * (size_t)n);
  memcpy(cell, rows, sizeof(float) * (size_t)n);
  if (both) memcpy(cell + n, rows + stride, sizeof(float) * (size_t)n);
}

/* What came of it, in the same order, to both rows, as far as it is on (1: all of it, 0: the strip
 * itself, which both rows hold), and its last frame to `last`. 0, and nothing is touched, if any of
 * it is not finite. */
int seg_take(const float *made, int both, const seg_ramp *on, int64_t t, int n, float *rows,
             int64_t stride, float *last) {
  uint32_t worst = 0;
  for (int i = 0; i < (both ? 2 * n : n); i++) {
    uint32_t bits;
    memcpy(&bits, &made[i], 4);
    bits &= 0x7f800000u;
    worst = bits > worst ? bits : worst;
  }
  if (worst == 0x7f800000u) return 0;
  for (int side = 0; side < 2; side++) {
    const float *wet = both && side ? made + n : made;
    float *row = rows + side * stride;
    if (t >= on->f1 && on->g1 == 1)
      memcpy(row, wet, sizeof(float) * (size_t)n);
    else if (t < on->f1 || on->g1 != 0)
      for (int i = 0; i < n; i++) {
        double part = seg_ramp_at(on, t + i);
        row[i] = (float)((1 - part) * row[i] + part * wet[i]);
      }
    last[side] = row[n - 1];
  }
  return 1;
}
