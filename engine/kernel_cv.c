/* Control voltages that leave: steps and pulses at exact frames, envelopes, LFOs, clocks. All are
 * functions of the absolute frame, of the edges asked for and of the timeline in force there, so
 * the block size changes no sample. They pass nothing that belongs to sound. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernel.h"

#define EDGES 16
#define STEADY INT64_MAX

enum { STEPS, ENVELOPE, LFO, CLOCK, RESET, RUN, LEVEL, MODULATION }; /* as in engine/cv_out.py */
enum { SINE, TRIANGLE, RISE, FALL, SQUARE, RANDOM, SMOOTH };

/* ---- edges ---- */

/* Ask for a voltage from a frame on; edges are kept in order. 0: too many waiting, and the last of
 * them made way, so that a gate never stays up. */
int seg_cv_edge(seg_cv *cv, int64_t frame, double volts) {
  if (cv->count >= EDGES) {
    if (frame >= cv->frames[EDGES - 1]) {
      cv->frames[EDGES - 1] = frame;
      cv->volts[EDGES - 1] = volts;
    }
    return 0;
  }
  int i = cv->count++;
  for (; i > 0 && cv->frames[i - 1] > frame; i--) {
    cv->frames[i] = cv->frames[i - 1];
    cv->volts[i] = cv->volts[i - 1];
  }
  cv->frames[i] = frame;
  cv->volts[i] = volts;
  return 1;
}

/* A pulse of `width` frames from `frame` on. One that still stands is down `gap` frames before, so
 * that each is seen. 0: too many waiting, and this one is left out. */
int seg_cv_strike(seg_cv *cv, int64_t frame, double volts, int64_t width, int64_t gap) {
  if (cv->count > EDGES - 3) return 0;
  while (cv->count && cv->frames[cv->count - 1] >= frame - gap) cv->count--;
  seg_cv_edge(cv, frame - gap, 0);
  seg_cv_edge(cv, frame, volts);
  seg_cv_edge(cv, frame + width, 0);
  return 1;
}

static void forget(seg_cv *cv, int passed) {
  if (!passed) return;
  cv->count -= passed;
  memmove(cv->frames, cv->frames + passed, sizeof(int64_t) * (size_t)cv->count);
  memmove(cv->volts, cv->volts + passed, sizeof(double) * (size_t)cv->count);
}

/* ---- full scale ---- */

static float full_scale(const seg_line *l, double volts) {
  float v = (float)((volts + l->offset) * l->scale);
  return fminf(fmaxf(v, -1), 1); /* what the interface can give */
}

static void fill(const seg_line *l, double volts, int from, int to, float *x, int stride) {
  float v = full_scale(l, volts);
  for (int i = from; i < to; i++) x[(int64_t)i * stride] = v;
}

/* ---- shapes ---- */

static void steps(const seg_line *l, int64_t t, int n, float *x, int stride) {
  seg_cv *cv = l->cv;
  int e = 0;
  for (int i = 0; i < n;) {
    while (e < cv->count && cv->frames[e] <= t + i) cv->value = cv->volts[e++];
    int until = e < cv->count && cv->frames[e] < t + n ? (int)(cv->frames[e] - t) : n;
    fill(l, cv->value, i, until, x, stride);
    i = until;
  }
  forget(cv, e);
}

/* Level 0..1: straight up to 1 from wherever it was, then curves that fall as 1 - x squared. */
static double envelope_at(const seg_line *l, int64_t f) {
  const seg_cv *cv = l->cv;
  double e = (double)(f - cv->at);
  if (!cv->on) {
    double left = l->release > 0 ? 1 - e / l->release : 0;
    return left > 0 ? cv->value * left * left : 0;
  }
  double rise = (1 - cv->value) * l->attack;
  if (e < rise) return cv->value + e / l->attack;
  double left = l->decay > 0 ? 1 - (e - rise) / l->decay : 0;
  return left > 0 ? l->sustain + (1 - l->sustain) * left * left : l->sustain;
}

static void envelope(const seg_line *l, int64_t t, int n, float *x, int stride) {
  seg_cv *cv = l->cv;
  int e = 0;
  for (int i = 0; i < n; i++) {
    for (; e < cv->count && cv->frames[e] <= t + i; e++) {
      cv->value = envelope_at(l, t + i);
      cv->at = t + i;
      cv->on = cv->volts[e] > 0;
    }
    x[(int64_t)i * stride] = full_scale(l, l->volts * envelope_at(l, t + i));
  }
  forget(cv, e);
}

/* -1..1 for cycle k of a seed: the finaliser of splitmix64 (Steele, Lea and Flood 2014). */
static double dice(int32_t seed, int64_t k) {
  uint64_t z = (uint64_t)k + (uint64_t)(uint32_t)seed * 0x9e3779b97f4a7c15u + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return (double)(z >> 11) * (2.0 / 9007199254740992.0) - 1;
}

static double frames_of_beat(const seg_timeline *m) { return m->rate * 60 / m->bpm; }

static double beat_at(const seg_timeline *m, int64_t f) {
  return m->beat + (double)(f - m->frame) / frames_of_beat(m);
}

static double lfo(const seg_line *l, double cycles) {
  double k = floor(cycles), x = cycles - k;
  switch (l->shape) {
    case SINE: return sin(6.283185307179586 * x);
    case TRIANGLE: return x < 0.25 ? 4 * x : x < 0.75 ? 2 - 4 * x : 4 * x - 4;
    case RISE: return 2 * x - 1;
    case FALL: return 1 - 2 * x;
    case SQUARE: return x < 0.5 ? 1 : -1;
    case RANDOM: return dice(l->seed, (int64_t)k);
    default: {
      double a = dice(l->seed, (int64_t)k), b = dice(l->seed, (int64_t)k + 1);
      return a + (b - a) * x * x * (3 - 2 * x);
    }
  }
}

static void oscillate(const seg_line *l, int64_t t, int n, float *x, int stride) {
  const seg_timeline *m = l->time;
  for (int i = 0; i < n; i++) {
    int64_t f = t + i;
    double c = l->beats > 0 ? beat_at(m, f) / l->beats : (double)f * l->rate;
    x[(int64_t)i * stride] = full_scale(l, l->centre + l->volts * lfo(l, c + l->phase));
  }
}

/* ---- pulses of musical time ---- */

#define CATCH_UP_BEATS 4
#define BACK_BEATS 0.5

/* The grid of a line: ticks stand at beats k * num / den. */
typedef struct {
  const seg_timeline *time;
  double num, den;
} grid;

/* As Timeline.frame_at: the frame nearest to a beat. */
static int64_t tick_frame(const grid *g, int64_t k) {
  double beat = (double)k * g->num / g->den;
  return g->time->frame + (int64_t)rint((beat - g->time->beat) * frames_of_beat(g->time));
}

/* The last tick at or before a frame. */
static int64_t tick_at(const grid *g, int64_t f) {
  int64_t k = (int64_t)floor(beat_at(g->time, f) * g->den / g->num);
  while (tick_frame(g, k) > f) k--;
  while (tick_frame(g, k + 1) <= f) k++;
  return k;
}

static grid grid_of(const seg_line *l, int unit) {
  double bar = l->time->beats_per_bar;
  if (unit > 0) return (grid){l->time, 1, unit};
  return (grid){l->time, unit ? bar * l->time->bars_per_phrase : bar, 1};
}

/* Clock, reset and run. Followers count pulses, so each tick gives exactly one: a timeline that is
 * moved back by up to BACK_BEATS repeats none, one that is moved on by up to CATCH_UP_BEATS makes up
 * for what it passed, at twice a pulse's width; beyond (the one is elsewhere) it counts from there.
 * A reset comes first at a bar, then on its own grid; run rises at the first tick and stays. */
static void pulses(const seg_line *l, int64_t t, int n, float *x, int stride) {
  seg_cv *cv = l->cv;
  for (int i = 0; i < n;) {
    int64_t f = t + i;
    grid g = grid_of(l, l->kind == RESET && cv->on < 2 ? 0 : l->ppqn);
    int64_t k = tick_at(&g, f);
    int64_t half = (int64_t)(frames_of_beat(l->time) * g.num / g.den / 2);
    int64_t width = l->width < half ? l->width : half;
    int64_t reach = l->ppqn > 0 ? (int64_t)l->ppqn * CATCH_UP_BEATS : 1;
    int back = beat_at(l->time, f) < (double)cv->tick * g.num / g.den - BACK_BEATS;
    if (!cv->on || back || k > cv->tick + reach) {
      cv->tick = tick_frame(&g, k) == f ? k - 1 : k;
      if (!cv->on) cv->at = f - 2 * width; /* nothing stands yet */
      if (!cv->on) cv->on = 1;
    }
    int owed = k > cv->tick;
    if (owed && f >= cv->at + 2 * width) {
      cv->tick++;
      cv->at = f;
      owed = k > cv->tick;
      if (cv->on < 2) {
        cv->on = 2;
        if (l->kind == RESET) {
          g = grid_of(l, l->ppqn);
          cv->tick = tick_at(&g, f);
        }
      }
    }
    int up = cv->on == 2 && (l->kind == RUN || f < cv->at + width);
    int64_t next = STEADY, due[3] = {cv->at + width, cv->at + 2 * width, tick_frame(&g, k + 1)};
    for (int c = 0; c < 3; c++)
      if (due[c] > f && due[c] < next) next = due[c];
    int until = next < t + n ? (int)(next - t) : n;
    fill(l, up ? l->volts : 0, i, until, x, stride);
    i = until;
  }
}

/* ---- what follows ---- */

static void level(const seg_line *l, int n, float *x, int stride) {
  seg_cv *cv = l->cv;
  for (int i = 0; i < n; i++) {
    double a = fabs(l->left[i]), b = l->right ? fabs(l->right[i]) : 0;
    double most = a > b ? a : b;
    cv->value += (most - cv->value) * (most > cv->value ? l->attack : l->release);
    if (cv->value < 1e-9) cv->value = 0;
    x[(int64_t)i * stride] = full_scale(l, l->volts * fmin(cv->value, 1));
  }
}

static void modulation(const seg_line *l, int n, float *x, int stride) {
  for (int i = 0; i < n; i++)
    x[(int64_t)i * stride] = full_scale(l, l->centre + l->volts * (2.0 * l->left[i] - 1));
}

/* Frames [t, t+n) of one voltage, at full scale. */
void seg_cv_line(const seg_line *l, int64_t t, int n, float *x, int stride) {
  switch (l->kind) {
    case ENVELOPE: envelope(l, t, n, x, stride); break;
    case LFO: oscillate(l, t, n, x, stride); break;
    case CLOCK:
    case RESET:
    case RUN: pulses(l, t, n, x, stride); break;
    case LEVEL: level(l, n, x, stride); break;
    case MODULATION: modulation(l, n, x, stride); break;
    default: steps(l, t, n, x, stride);
  }
  if (n > 0) l->cv->shown = x[(int64_t)(n - 1) * stride];
}
