/* Stems: what plays from the arena, and how it follows a tempo that moves.
 *
 * A stem's place is one number, `shift`: the source frame that belongs to a frame, minus that frame
 * (source frames of a loop count on through its turns). At the stem's own tempo it never changes.
 * Else the source is cut into slices, each of which is due where the timeline in force says. Where
 * a slice would come more than `reach` frames off, `shift` changes just before it: material of
 * before the slice is left out or heard twice, so that what strikes at its beginning is heard
 * whole, once, and in time. The two runs are crossfaded where they are most alike, as in WSOLA
 * (Verhelst and Roelands, ICASSP 1993), with the gains that keep the power of signals so alike
 * (Fink, Holters, Zoelzer, DAFx 2016). All of it is a function of the frame and of the lines. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernel.h"

#define NEVER (-(INT64_C(1) << 62))
#define FADE_MAX 2048
#define REACH_MAX 2048
#define COARSE 4 /* frames a step of the first search */
#define HUSH_OUT 240 /* frames: gone after hush; back before unhush, so that its strike is whole */
#define HUSH_IN 64

/* First frame of loop k, and the loop that source frame u (>= 0) lies in. */
static int64_t loop_start(double loop, int64_t k) { return (int64_t)llround((double)k * loop); }

static int64_t loop_of(double loop, int64_t u) {
  int64_t k = (int64_t)((double)u / loop);
  while (k > 0 && loop_start(loop, k) > u) k--;
  while (loop_start(loop, k + 1) <= u) k++;
  return k;
}

/* Where source frame u lies in what is stored, and in *next the first u behind the same stretch. */
static int64_t stored(const seg_stem *m, int64_t u, int64_t *next) {
  *next = m->length;
  if (m->loop < 1) return u;
  int64_t k = loop_of(m->loop, u), p = u - loop_start(m->loop, k);
  int64_t turn = loop_start(m->loop, k + 1) - u;
  if (p >= m->length) p -= m->length; /* a loop of ceil(L) frames: its last frame */
  *next = u + (turn < m->length - p ? turn : m->length - p);
  return p;
}

enum part { WHOLE, COMING, GOING };

/* Gain of a part at place w (0..1) of a crossfade of signals alike by r (0..1). */
static double part_gain(enum part part, double w, double r) {
  double v = 1 - w;
  return (part == COMING ? w : v) / sqrt(w * w + v * v + 2 * r * w * v);
}

/* A stem's gain at a frame: the fade-out from `stop`, and a fill that covers it. */
static double gain_at(const seg_stem *m, int64_t f) {
  double g = m->gain;
  if (f >= m->stop) g *= 1.0 - (double)(f - m->stop + 1) / (double)(m->fade + 1);
  int gone = m->stop > m->hush && m->stop <= m->unhush; /* it ends while it is covered */
  if (f < m->hush || f >= m->unhush) return gone && f >= m->unhush ? 0 : g;
  double in = (double)(f - (m->unhush - HUSH_IN) + 1) / (HUSH_IN + 1);
  double out = 1.0 - (double)(f - m->hush + 1) / (HUSH_OUT + 1);
  return g * fmax(gone ? out : fmax(in, out), 0);
}

/* Whether all of [a, b) has the stem's own gain. */
static int plain(const seg_stem *m, int64_t a, int64_t b) {
  return b <= m->stop && (b <= m->hush || a >= m->unhush);
}

/* Frames [a, b) of a run into the role's two rows. */
static void add_run(const seg_stem *m, const float *x, float *left, float *right, int64_t a,
                    int64_t b, int64_t shift, enum part part, int fade) {
  if (a < -shift) a = -shift;
  if (m->loop < 1 && b > m->length - shift) b = m->length - shift;
  while (a < b) {
    int64_t next, p = stored(m, a + shift, &next) - a;
    int64_t until = next - shift < b ? next - shift : b;
    if (part == WHOLE && plain(m, a, until)) {
      float g = (float)m->gain;
      for (int64_t f = a; f < until; f++) {
        left[f] += g * x[p + f];
        right[f] += g * x[p + f + m->length];
      }
      a = until;
      continue;
    }
    for (int64_t f = a; f < until; f++) {
      double g = gain_at(m, f);
      if (part != WHOLE)
        g *= part_gain(part, (double)(f - m->join + 1) / (double)(fade + 1), m->likeness);
      left[f] += (float)g * x[p + f];
      right[f] += (float)g * x[p + f + m->length];
    }
    a = until;
  }
}

static void add_stretch(const seg_stem *m, const float *x, float *left, float *right, int64_t a,
                        int64_t b, int fade) {
  int64_t whole = m->join + fade;
  if (whole > a) {
    int64_t c = whole < b ? whole : b;
    add_run(m, x, left, right, a, c, m->before, GOING, fade);
    add_run(m, x, left, right, a, c, m->shift, COMING, fade);
    a = c;
  }
  add_run(m, x, left, right, a, b, m->shift, WHOLE, fade);
}

/* ---- joins ---- */

/* n frames of the source from u on, left and right added; zero before and behind it. */
static void mono(const seg_stem *m, const float *x, int64_t u, int n, float *y) {
  int i = 0;
  memset(y, 0, sizeof(float) * (size_t)n);
  if (u < 0) i = (int)(-u < n ? -u : n);
  while (i < n && (m->loop >= 1 || u + i < m->length)) {
    int64_t next, p = stored(m, u + i, &next) - i;
    int until = next - u < n ? (int)(next - u) : n;
    for (; i < until; i++) y[i] = x[p + i] + x[p + i + m->length];
  }
}

/* Sum of a[i] * b[i], in eight fixed partial sums: it vectorises, and no cut changes it. */
static double dot(const float *a, const float *b, int n) {
  float s[8] = {0};
  int i = 0;
  for (; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; j++) s[j] += a[i + j] * b[i + j];
  for (; i < n; i++) s[i & 7] += a[i] * b[i];
  return ((double)s[0] + s[1]) + ((double)s[2] + s[3]) + (((double)s[4] + s[5]) + ((double)s[6] + s[7]));
}

/* Correlation of two signals of n frames, given their powers. */
static double alike(const float *a, const float *b, int n, double power, double other) {
  return other > 0 && power > 0 ? dot(a, b, n) / sqrt(power * other) : 0;
}

/* Change the run at frame f for one that has source frame `slice` at frame `due`, give or take
 * `reach`: where both are most alike over the crossfade; exactly there where nothing is. */
static void join(seg_stem *m, const float *x, const seg_slicing *c, int64_t f, int64_t slice,
                 int64_t due) {
  float old[FADE_MAX], new[FADE_MAX + 2 * REACH_MAX];
  float few[FADE_MAX / COARSE], many[(FADE_MAX + 2 * REACH_MAX) / COARSE];
  double sums[(FADE_MAX + 2 * REACH_MAX) / COARSE + 1]; /* of squares before each of `many` */
  int n = c->fade, reach = c->reach, wide = n + 2 * reach;
  sums[0] = 0;
  int64_t shift = slice - due;
  mono(m, x, f + m->shift, n, old);
  mono(m, x, f + shift - reach, wide, new);
  for (int i = 0; i < n / COARSE; i++) {
    const float *p = old + COARSE * i;
    few[i] = p[0] + p[1] + p[2] + p[3];
  }
  for (int i = 0; i < wide / COARSE; i++) {
    const float *p = new + COARSE * i;
    many[i] = p[0] + p[1] + p[2] + p[3];
    sums[i + 1] = sums[i] + (double)many[i] * many[i];
  }
  double power = dot(few, few, n / COARSE), best = 0;
  int at = reach;
  for (int i = 0; COARSE * i <= 2 * reach; i++) {
    double other = sums[i + n / COARSE] - sums[i];
    double r = alike(few, many + i, n / COARSE, power, other);
    if (r > best) best = r, at = COARSE * i;
  }
  power = dot(old, old, n);
  if (best < c->alike) {
    at = reach;
    best = alike(old, new + at, n, power, dot(new + at, new + at, n));
  } else {
    int from = at < COARSE ? 0 : at - COARSE + 1, to = at + COARSE - 1;
    best = 0;
    for (int lag = from; lag <= to && lag <= 2 * reach; lag++) {
      double r = alike(old, new + lag, n, power, dot(new + lag, new + lag, n));
      if (r > best) best = r, at = lag;
    }
  }
  m->before = m->shift;
  m->shift = shift + at - reach;
  m->join = f;
  m->likeness = best > 0 ? (best < 1 ? best : 1) : 0;
}

/* ---- slices ---- */

static int64_t frame_of(const seg_beats *line, double beat) {
  return line->frame + (int64_t)llround((beat - line->beat) * line->per_beat);
}

/* The next slice and the frames that go with it. */
typedef struct {
  int64_t due, source, edge;
  int moves; /* it would come too far off */
} next_slice;

static next_slice find_next(const seg_stem *m, const seg_beats *line, const seg_slicing *c) {
  double index = (double)(m->slice + 1), length = c->step * line->per_beat;
  next_slice s;
  s.due = frame_of(line, m->beat + index * c->step);
  s.source = (int64_t)llround(index * c->step * m->per_beat);
  int64_t ahead = s.due + m->shift - s.source;
  s.moves = (ahead > c->reach || ahead < -c->reach) && (m->loop >= 1 || s.source < m->length);
  /* What is about to strike is not heard before its time. */
  int64_t lead = ahead > c->reach && (double)ahead < length / 2 ? ahead : c->reach;
  s.edge = s.due - lead - c->margin - c->fade;
  if (s.edge < m->join + c->fade) s.edge = m->join + c->fade;
  return s;
}

/* Settle slices that lie before frame f, or go back to the one after f: the line has leapt. */
static void leap(seg_stem *m, const seg_beats *line, const seg_slicing *c, int64_t f) {
  double beat = line->beat + (double)(f - line->frame) / line->per_beat;
  int64_t index = (int64_t)floor((beat - m->beat) / c->step) + 1;
  if (index < 1) index = 1;
  if (frame_of(line, m->beat + (double)index * c->step) <= f) index++;
  m->slice = index - 1;
}

static int64_t end_of(const seg_stem *m) {
  if (m->stop <= m->start) return m->stop; /* called back: it never sounds */
  int64_t end = m->stop + m->fade;
  return m->loop < 1 && m->length - m->shift < end ? m->length - m->shift : end;
}

/* Frames [a, b) of a stem that follows one line. */
static void follow(seg_stem *m, const float *x, const seg_beats *line, const seg_slicing *c,
                   float *left, float *right, int64_t a, int64_t b) {
  while (a < b) {
    next_slice s = find_next(m, line, c);
    if ((double)(s.due - a) > 2 * c->step * line->per_beat + c->fade && m->slice > 0) {
      leap(m, line, c, a);
      s = find_next(m, line, c);
    }
    int64_t until = s.edge < a ? a : s.edge < b ? s.edge : b;
    add_stretch(m, x, left, right, a, until, c->fade);
    a = until;
    if (a == b) return; /* an edge at b belongs to what follows */
    if (s.due <= a)
      leap(m, line, c, a);
    else {
      m->slice++;
      if (s.moves) join(m, x, c, a, s.source, s.due);
    }
  }
}

/* Frames [a, b): a stem whose first sample is not zero (the tail of a loop that is folded into its
 * beginning, captured sound) enters without a step: the offset it would leap by is taken away and
 * comes back over `ease` frames. What begins at nothing is left bit for bit as it is. */
static void ease(const seg_stem *m, const float *x, float *left, float *right, int64_t a,
                 int64_t b) {
  int64_t last = m->start + (m->ease < m->length ? m->ease : m->length);
  if (b > last) b = last;
  for (int64_t f = a; f < b; f++) {
    double g = gain_at(m, f) * (1.0 - (double)(f - m->start + 1) / (m->ease + 1));
    left[f] -= (float)g * x[0];
    right[f] -= (float)g * x[m->length];
  }
}

/* Frames [a, b): what is played once and stops sounding in the midst of a wave (a tail that is cut)
 * leaves without a step: what it would leap by is taken away over the last `ease` frames. */
static void ease_out(const seg_stem *m, const float *x, float *left, float *right, int64_t a,
                     int64_t b) {
  int64_t end = m->length - m->shift, n = m->ease < m->length ? m->ease : m->length;
  if (m->loop >= 1) return;
  if (a < end - n) a = end - n;
  if (b > end) b = end;
  for (int64_t f = a; f < b; f++) {
    double g = gain_at(m, f) * (double)(f - (end - n) + 1) / (double)(n + 1);
    left[f] -= (float)g * x[m->length - 1];
    right[f] -= (float)g * x[2 * m->length - 1];
  }
}

/* beats: the line in force. */
void seg_stems(seg_stem *stems, int count, const float *arena, int64_t arena_size, float *roles,
               int64_t stride, int64_t t, int n, const seg_beats *beats,
               const seg_slicing *slicing, uint32_t *started, uint32_t *ended) {
  for (int s = 0; s < count; s++) {
    seg_stem *m = &stems[s];
    if (!m->state) continue;
    if (m->length < 1 || m->offset < 0 || m->offset + 2 * m->length > arena_size) {
      m->state = 0;
      *ended |= 1u << s;
      continue;
    }
    if (m->state == 1) {
      m->shift = m->before = -m->start;
      m->slice = 0;
      m->join = NEVER;
      if (m->start < t + n && m->start < end_of(m)) {
        m->state = 2;
        *started |= 1u << s;
      }
    }
    const float *x = arena + m->offset;
    float *left = roles + 2 * m->role * stride - t;
    float *right = left + stride;
    int64_t a = t, b = m->stop <= m->start ? m->stop : m->stop + m->fade;
    if (a < m->start) a = m->start;
    if (b > t + n) b = t + n;
    if (m->per_beat >= 1)
      follow(m, x, beats, slicing, left, right, a, b);
    else if (a < b)
      add_stretch(m, x, left, right, a, b, slicing->fade);
    if (a < m->start + m->ease) ease(m, x, left, right, a, b);
    if (m->ease) ease_out(m, x, left, right, a, b);
    if (end_of(m) <= t + n) {
      m->state = 0;
      *ended |= 1u << s;
    }
  }
}
