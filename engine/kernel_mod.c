/* Control voltages that come in, chaos made inside, and the sends they move. A value a frame, 0..1;
 * recursions run frame by frame and on the absolute frame, so the block size changes no sample. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernel.h"

#define SEG_EDGES 16 /* as in kernel.h */
#define GRID 64         /* frames between two values of a moved send, two steps of Lorenz's flow */
#define STEPS_MOST 4096 /* made up for at once after a gap */
#define HIGH_VOLTS 1.0  /* a gate rises here */
#define LOW_VOLTS 0.1   /* and falls here */
#define HYSTERESIS 0.6  /* semitones that a pitch must leave its note by */

enum { VOLTAGE, GATE, PITCH, LOGISTIC, LORENZ }; /* as in engine/cv_in.py */

static double median(double a, double b, double c) {
  return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

static double bounded(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

/* Volts at a frame; what is not finite counts as what was before. */
static double volts_at(const seg_mod_in *p, const float *in, int channels, int i) {
  double v = in && p->channel >= 0 ? in[(int64_t)i * channels + p->channel] : 0;
  return isfinite(v) ? v * p->scale - p->offset : p->mod->last[0];
}

static void gate(const seg_mod_in *p, const float *in, int channels, int64_t t, int n,
                 seg_desk *d, int index) {
  seg_mod *m = p->mod;
  for (int i = 0; i < n; i++) {
    double v = m->last[0] = volts_at(p, in, channels, i);
    int high = m->high ? v > LOW_VOLTS : v >= HIGH_VOLTS;
    if (high != m->high && d->edge_count < SEG_EDGES) {
      seg_mod_edge *e = &d->edges[d->edge_count++];
      e->frame = t + i;
      e->index = index;
      e->high = high;
    }
    m->high = high;
    p->row[i] = (float)(m->value = high);
  }
}

/* Frozen: the gate it is held by is up, or a hand holds it. */
static int frozen(const seg_mod_in *p, int i) {
  return p->mod->frozen || (p->hold && p->hold[i] > 0.5f);
}

/* With a gate to sample it, a voltage is taken at each rise; else all the time. */
static int taken(const seg_mod_in *p, int i) {
  if (!p->sample) return 1;
  int up = p->sample[i] > 0.5f, rose = up && !p->mod->high;
  p->mod->high = up;
  return rose;
}

static void voltage(const seg_mod_in *p, const float *in, int channels, int n) {
  seg_mod *m = p->mod;
  for (int i = 0; i < n; i++) {
    double v = volts_at(p, in, channels, i), mid = median(v, m->last[0], m->last[1]);
    m->last[1] = m->last[0];
    m->last[0] = v;
    if (taken(p, i)) {
      if (p->kind == PITCH && fabs(12 * mid - m->x[0]) > HYSTERESIS) m->x[0] = rint(12 * mid);
      if (p->kind != PITCH) m->x[0] = mid;
    }
    if (!frozen(p, i)) {
      double to = bounded(((p->kind == PITCH ? m->x[0] / 12 : m->x[0]) - p->low) / p->span);
      m->value += (to - m->value) * p->smooth;
    }
    p->row[i] = (float)m->value;
  }
}

/* Lorenz, "Deterministic nonperiodic flow" (1963), sigma 10, rho 28, beta 8/3, by Runge and Kutta. */
static void slope(const double *x, double *d) {
  d[0] = 10 * (x[1] - x[0]);
  d[1] = x[0] * (28 - x[2]) - x[1];
  d[2] = x[0] * x[1] - 8.0 / 3 * x[2];
}

static void lorenz(double *x, double h) {
  double a[3], b[3], c[3], e[3], y[3];
  slope(x, a);
  for (int k = 0; k < 3; k++) y[k] = x[k] + h / 2 * a[k];
  slope(y, b);
  for (int k = 0; k < 3; k++) y[k] = x[k] + h / 2 * b[k];
  slope(y, c);
  for (int k = 0; k < 3; k++) y[k] = x[k] + h * c[k];
  slope(y, e);
  for (int k = 0; k < 3; k++) x[k] += h / 6 * (a[k] + 2 * b[k] + 2 * c[k] + e[k]);
}

/* May's logistic map (1976) steps `rate` times a frame; the flow every GRID frames. */
static void chaos(const seg_mod_in *p, int64_t t, int n) {
  seg_mod *m = p->mod;
  for (int i = 0; i < n; i++) {
    int64_t f = t + i;
    int64_t k = p->kind == LORENZ ? f / GRID : (int64_t)floor((double)f * p->rate);
    if (!m->high) { /* fresh: from the seed on */
      m->high = 1;
      m->step = k;
      memcpy(m->x, p->start, sizeof m->x);
    }
    if (k - m->step > STEPS_MOST) m->step = k - STEPS_MOST;
    int held = frozen(p, i);
    for (; m->step < k; m->step++) {
      if (held) continue;
      if (p->kind == LORENZ)
        lorenz(m->x, p->rate * GRID);
      else
        m->x[0] = 3.99 * m->x[0] * (1 - m->x[0]);
    }
    double to = bounded(p->kind == LORENZ ? 0.5 + m->x[0] / 40 : m->x[0]);
    if (!held) m->value += (to - m->value) * p->smooth;
    p->row[i] = (float)m->value;
  }
}

/* A send's gain follows a row: decibels on every GRID'th frame, straight lines of gain between. */
static void move(const seg_route *r, int64_t t, int n) {
  for (int i = 0; i < n; i++) {
    int64_t at = (t + i) % GRID;
    if (!at) {
      r->state->from = r->state->to;
      r->state->to = pow(10, (r->low + (r->high - r->low) * r->row[i]) / 20);
    }
    double g = r->state->from + (r->state->to - r->state->from) * (double)at / GRID;
    double on = seg_ramp_at(&r->state->on, t + i);
    if (on != 1) g = 1 + (g - 1) * on;
    r->gain[i] = (float)g;
  }
}

/* As it came, for the recorder. */
static void keep(const seg_desk *d, const seg_mod_in *p, const float *in, int channels, int n) {
  if (!d->raw || p->track < 0) return;
  float *raw = d->raw + (d->input_count + 2 * d->texture_count + p->track) * d->stride;
  for (int i = 0; i < n; i++)
    raw[i] = in && p->channel >= 0 ? in[(int64_t)i * channels + p->channel] : 0;
}

/* Frames [t, t+n): gates first, as others are held and sampled by them. */
void seg_modulate(seg_desk *d, const float *in, int channels, int64_t t, int n) {
  d->edge_count = 0;
  for (int i = 0; i < d->mod_count; i++) keep(d, &d->mods[i], in, channels, n);
  for (int i = 0; i < d->mod_count; i++)
    if (d->mods[i].kind == GATE) gate(&d->mods[i], in, channels, t, n, d, i);
  for (int i = 0; i < d->mod_count; i++) {
    const seg_mod_in *p = &d->mods[i];
    if (p->kind == VOLTAGE || p->kind == PITCH) voltage(p, in, channels, n);
    if (p->kind == LOGISTIC || p->kind == LORENZ) chaos(p, t, n);
  }
  for (int i = 0; i < d->route_count; i++) move(&d->routes[i], t, n);
}
