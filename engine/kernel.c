/* The kernel: what adds, and what recurs. Python decides, C adds. Built without contraction of
 * multiply-adds (see pyproject.toml), so that results do not depend on how loops are cut. */
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "kernel.h"


#define SEG_RING_DATA 192
#define BLOCK 128
#define SEG_BLOCK 1 /* engine/admitted.py: AdmittedKind.BLOCK */

static uint64_t load_acquire(const uint64_t *p) {
  return atomic_load_explicit((const _Atomic uint64_t *)p, memory_order_acquire);
}

static void store_release(uint64_t *p, uint64_t v) {
  atomic_store_explicit((_Atomic uint64_t *)p, v, memory_order_release);
}

/* ---- sections: one writer, any readers ---- */

/* Two copies, written in turn; half the sequence is how many are complete, and an odd one says that
 * the writer is at work on the next (or was killed at it). So there is always a whole snapshot to
 * read: that of before. dst: 2 * size bytes. */
void seg_publish(uint64_t *sequence, void *dst, const void *src, uint64_t size) {
  uint64_t s = load_acquire(sequence) | 1;
  uint64_t next = (s >> 1) + 1;
  atomic_store_explicit((_Atomic uint64_t *)sequence, s, memory_order_relaxed);
  atomic_thread_fence(memory_order_release);
  memcpy((char *)dst + (next & 1) * size, src, size);
  store_release(sequence, s + 1);
}

/* 1: dst holds a whole snapshot. 0: nothing was published yet. */
int seg_observe(const uint64_t *sequence, const void *src, void *dst, uint64_t size) {
  for (int i = 0; i < 64; i++) {
    uint64_t last = load_acquire(sequence) >> 1;
    if (!last) return 0;
    memcpy(dst, (const char *)src + (last & 1) * size, size);
    atomic_thread_fence(memory_order_acquire);
    uint64_t now = atomic_load_explicit((const _Atomic uint64_t *)sequence, memory_order_relaxed);
    if (now <= 2 * last + 2) return 1; /* its copy is overwritten from 2 * last + 3 on */
  }
  return 0;
}

/* ---- rings ---- */

static char *slot(const seg_ring *r, uint64_t index) {
  return (char *)r + SEG_RING_DATA + (index & (r->capacity - 1)) * (uint64_t)r->record_size;
}

/* Indices come from another process, which may have been killed: never trust their difference. */
static uint64_t filled(uint64_t write, uint64_t read, uint32_t capacity) {
  uint64_t d = write - read;
  return d > capacity ? 0 : d;
}

uint32_t seg_ring_count(const seg_ring *r) {
  return (uint32_t)filled(load_acquire(&r->write), load_acquire(&r->read), r->capacity);
}

uint32_t seg_ring_push(seg_ring *r, const void *records, uint32_t count) {
  uint64_t w = r->write;
  uint64_t room = r->capacity - filled(w, load_acquire(&r->read), r->capacity);
  uint32_t k = count < room ? count : (uint32_t)room;
  for (uint32_t i = 0; i < k; i++)
    memcpy(slot(r, w + i), (const char *)records + (uint64_t)i * r->record_size, r->record_size);
  store_release(&r->write, w + k);
  r->dropped += count - k;
  return k;
}

uint32_t seg_ring_pop(seg_ring *r, void *records, uint32_t count) {
  uint64_t rd = r->read;
  uint64_t have = filled(load_acquire(&r->write), rd, r->capacity);
  uint32_t k = count < have ? count : (uint32_t)have;
  for (uint32_t i = 0; i < k; i++)
    memcpy((char *)records + (uint64_t)i * r->record_size, slot(r, rd + i), r->record_size);
  store_release(&r->read, rd + k);
  return k;
}

void seg_ring_clear(seg_ring *r) { store_release(&r->read, load_acquire(&r->write)); }

/* For a consumer that has looked at `count` records in place and is done with them. */
void seg_ring_skip(seg_ring *r, uint32_t count) { store_release(&r->read, r->read + count); }

/* ---- audio through rings: records of {frame, count, epoch, float data[channels][BLOCK]} ---- */

typedef struct {
  int64_t frame;
  int32_t count;
  uint32_t epoch;
  float data[];
} audio_record;

/* Write n frames as records; returns frames that found no room. */
int64_t seg_tap(seg_ring *r, const float *const *rows, int channels, int64_t t, int n) {
  for (int done = 0; done < n;) {
    int k = n - done < BLOCK ? n - done : BLOCK;
    uint64_t w = r->write;
    if (filled(w, load_acquire(&r->read), r->capacity) == r->capacity) {
      r->dropped++;
      return n - done;
    }
    audio_record *a = (audio_record *)slot(r, w);
    a->frame = t + done;
    a->count = k;
    a->epoch = r->epoch;
    for (int c = 0; c < channels; c++)
      memcpy(a->data + c * BLOCK, rows[c] + done, sizeof(float) * (size_t)k);
    store_release(&r->write, w + 1);
    done += k;
  }
  return 0;
}

#define STREAM_HOLD 0.99        /* decay of the held sample, a frame */
#define STREAM_FADE (1.0 / 256) /* coming in again, a frame */

/* Frames [t, t+n) of a stream whose records are stamped with the frame they are meant for. Missing
 * frames decay from the last value, present ones fade in; returns how many were missing. */
int64_t seg_stream_read(seg_ring *r, seg_stream *s, int channels, float *planes, int64_t stride,
                        int64_t t, int n) {
  int64_t missing = 0;
  uint64_t rd = r->read;
  uint64_t have = filled(load_acquire(&r->write), rd, r->capacity);
  for (int i = 0; i < n; i++) {
    const audio_record *a = 0;
    int64_t at = 0;
    while (have) {
      a = (const audio_record *)slot(r, rd);
      at = t + i - a->frame;
      if (at >= 0 && at < a->count && at < BLOCK) break;
      if (at < 0 && at > -(int64_t)r->capacity * BLOCK) { /* not yet due */
        a = 0;
        break;
      }
      a = 0;
      rd++;
      have--;
    }
    if (a && a->epoch != s->epoch) {
      s->epoch = a->epoch;
      s->fade = 0;
    }
    if (s->fade == 0 || s->fade == 1 || !a) /* from wherever the sound is now */
      for (int c = 0; c < 2; c++) s->hold[c] = s->last[c];
    if (a)
      s->fade = s->fade + STREAM_FADE < 1 ? s->fade + STREAM_FADE : 1;
    else {
      s->fade = 0;
      missing++;
    }
    for (int c = 0; c < channels; c++) {
      double hold = c < 2 ? s->hold[c] * STREAM_HOLD : 0;
      if (fabs(hold) < 1e-9) hold = 0;
      if (c < 2) s->hold[c] = hold;
      double x = a ? a->data[c * BLOCK + at] : 0;
      double y = s->fade == 1 ? x : x * s->fade + hold * (1 - s->fade);
      if (c < 2) s->last[c] = isfinite(y) ? y : hold; /* the guard stops and counts it */
      planes[c * stride + i] = (float)y;
    }
  }
  store_release(&r->read, rd);
  s->missing += (uint64_t)missing;
  return missing;
}

/* ---- mixing ---- */

double seg_ramp_at(const seg_ramp *p, int64_t f) {
  if (f >= p->f1) return p->g1;
  if (f <= p->f0) return p->g0;
  return p->g0 + (p->g1 - p->g0) * ((double)(f - p->f0) / (double)(p->f1 - p->f0));
}

/* The ramps that a job is multiplied by, its own first; returns how many. */
static int ramps_of(const seg_job *j, const seg_ramp **all) {
  int count = 0;
  all[count++] = j->ramp;
  if (!j->level) return count;
  const seg_ramp *const more[4] = {j->level->mute, j->level->guard, j->level->fader,
                                   j->level->group};
  for (int k = 0; k < j->reach; k++)
    if (more[k]) all[count++] = more[k];
  return count;
}

void seg_mix(const seg_job *jobs, int count, int64_t t, int n) {
  for (int j = 0; j < count; j++) {
    const float *restrict x = jobs[j].src;
    float *restrict y = jobs[j].dst;
    const float *restrict moved = jobs[j].gain;
    const seg_ramp *ramps[5], *own = jobs[j].ramp;
    if (t >= own->f1 && own->g1 == 0) continue;
    int many = ramps_of(&jobs[j], ramps), moving = 0;
    double gain = 1;
    for (int k = 0; k < many; k++) {
      moving |= t < ramps[k]->f1;
      gain *= ramps[k]->g1;
    }
    if (moving || moved) {
      for (int i = 0; i < n; i++) {
        gain = 1;
        for (int k = 0; k < many; k++) gain *= seg_ramp_at(ramps[k], t + i);
        if (moved) gain *= moved[i];
        y[i] += (float)gain * x[i];
      }
    } else {
      float g = (float)gain;
      if (g == 0) continue;
      for (int i = 0; i < n; i++) y[i] += g * x[i];
    }
  }
}

/* A key opens it at `open`, keeps it open down to 3 dB below, and `hold` longer. */
void seg_duck_run(seg_duck *d, const float *const *keys, int key_count, float *const *targets,
                  int target_count, int n) {
  for (int i = 0; i < n; i++) {
    double level = 0;
    for (int k = 0; k < key_count; k++) level = fmax(level, fabs(keys[k][i]));
    if (level >= (d->left > 0 ? 0.70794578438413791 * d->open : d->open))
      d->left = d->hold;
    else if (d->left > 0)
      d->left--;
    if (d->left > 0)
      d->gain += (d->depth - d->gain) * d->attack;
    else
      d->gain += (1 - d->gain) * d->release;
    if (1 - d->gain < 1e-6) d->gain = 1;
    if (d->gain == 1) continue;
    for (int k = 0; k < target_count; k++) targets[k][i] *= (float)d->gain;
  }
}

void seg_gain(float *rows, int64_t stride, int count, int64_t t, int n, const seg_ramp *p) {
  if (t >= p->f1 && p->g1 == 1) return;
  if (t >= p->f1) {
    for (int r = 0; r < count; r++)
      for (int i = 0; i < n; i++) rows[r * stride + i] *= (float)p->g1;
    return;
  }
  for (int r = 0; r < count; r++)
    for (int i = 0; i < n; i++) rows[r * stride + i] *= (float)seg_ramp_at(p, t + i);
}

void seg_zero(float *rows, int64_t stride, int count, int n) {
  for (int r = 0; r < count; r++) memset(rows + r * stride, 0, sizeof(float) * (size_t)n);
}

/* Zero-latency peak limiter: down at once, up by `release` a frame, transparent while at rest. */
void seg_limit(float *left, float *right, int n, seg_limiter_state *s, double threshold,
               double release) {
  float ceiling = (float)threshold;
  for (int i = 0; i < n; i++) {
    double peak = fmax(fabs(left[i]), fabs(right[i]));
    s->gain += (1 - s->gain) * release;
    if (1 - s->gain < 1e-5) s->gain = 1;
    if (peak * s->gain > threshold) s->gain = threshold / peak;
    if (s->gain == 1) continue;
    s->active++;
    left[i] = fminf(fmaxf((float)(left[i] * s->gain), -ceiling), ceiling);
    right[i] = fminf(fmaxf((float)(right[i] * s->gain), -ceiling), ceiling);
  }
}

/* Replace NaN and infinity by a decay from the last good value; bad[row] counts them. held[row]: what
 * left last, from one block to the next. */
int64_t seg_guard(float *rows, int64_t stride, int count, int n, int64_t *bad, float *held) {
  int64_t all = 0;
  if (n < 1) return 0;
  for (int r = 0; r < count; r++) {
    float *x = rows + r * stride;
    uint32_t worst = 0;
    for (int i = 0; i < n; i++) {
      uint32_t bits;
      memcpy(&bits, &x[i], 4);
      bits &= 0x7f800000u;
      worst = bits > worst ? bits : worst;
    }
    float hold = held[r];
    held[r] = x[n - 1];
    if (worst != 0x7f800000u) continue;
    for (int i = 0; i < n; i++) {
      if (isfinite(x[i])) {
        hold = x[i];
        continue;
      }
      hold *= 0.97f;
      x[i] = hold;
      bad[r]++;
      all++;
    }
    held[r] = hold;
  }
  return all;
}

/* peaks[row] = the larger of its decayed self and the row's largest magnitude. */
void seg_peaks(const float *rows, int64_t stride, int count, int n, float decay, float *peaks) {
  for (int r = 0; r < count; r++) {
    uint32_t most = 0; /* magnitudes of floats are ordered like their bits: this vectorises */
    for (int i = 0; i < n; i++) {
      uint32_t bits;
      memcpy(&bits, &rows[r * stride + i], 4);
      bits &= 0x7fffffffu;
      most = bits > most ? bits : most;
    }
    float p;
    memcpy(&p, &most, 4);
    float held = peaks[r] * decay;
    peaks[r] = p > held ? p : held;
  }
}

/* ---- device channels ---- */

void seg_gather(const float *in, int channels, int channel, int n, float gain, float *x) {
  for (int i = 0; i < n; i++) x[i] = gain * in[(int64_t)i * channels + channel];
}

void seg_scatter(float *out, int channels, int channel, int n, const float *x) {
  for (int i = 0; i < n; i++) out[(int64_t)i * channels + channel] = x[i];
}

void seg_scatter_mono(float *out, int channels, int channel, int n, const float *l, const float *r) {
  for (int i = 0; i < n; i++) out[(int64_t)i * channels + channel] = 0.5f * (l[i] + r[i]);
}

void seg_split(const float *stereo, int n, float *left, float *right) {
  for (int i = 0; i < n; i++) {
    left[i] = stereo[2 * i];
    right[i] = stereo[2 * i + 1];
  }
}

/* ---- for the recorder ---- */

void seg_admit(seg_desk *d, int kind, int which, int64_t t, uint32_t n, const void *records,
               uint32_t size, uint32_t count) {
  if (!d->admitted || size > sizeof(((seg_admitted *)0)->data)) return;
  for (uint32_t i = 0; i < count; i++) {
    seg_admitted a = {t, n, d->admitted_count++, (uint8_t)kind, (uint8_t)which, (uint16_t)size, 0,
                      {0}};
    if (size) memcpy(a.data, (const char *)records + (uint64_t)i * size, size);
    seg_ring_push(d->admitted, &a, 1);
  }
}

/* ---- the desk ---- */

static float *source_row(const seg_desk *d, int source) {
  return d->sources + 2 * source * d->stride;
}

static float *bus_row(const seg_desk *d, int bus) { return d->buses + 2 * bus * d->stride; }

/* Textures and inputs into their sources. Nonzero: something was missing or not finite. */
int64_t seg_desk_inputs(seg_desk *d, const float *in, int channels, int64_t t, int n) {
  int64_t wrong = 0;
  for (int i = 0; i < d->texture_count; i++) {
    seg_texture *p = &d->textures[i];
    float *rows = source_row(d, p->source);
    seg_stream_read(p->ring, p->stream, 2, rows, d->stride, t, n);
    if (d->raw)
      for (int side = 0; side < 2; side++)
        memcpy(d->raw + (d->input_count + 2 * i + side) * d->stride, rows + side * d->stride,
               sizeof(float) * (size_t)n);
  }
  for (int i = 0; i < d->input_count; i++) {
    seg_input *p = &d->inputs[i];
    float *row = source_row(d, i);
    p->missing = 0;
    if (p->ring)
      p->missing = seg_stream_read(p->ring, p->stream, 1, row, d->stride, t, n);
    else if (p->channel >= 0 && in)
      seg_gather(in, channels, p->channel, n, p->trim, row);
    else if (p->texture >= 0) {
      const float *left = source_row(d, p->texture), *right = left + d->stride;
      for (int f = 0; f < n; f++) row[f] = p->trim * 0.5f * (left[f] + right[f]);
    } else
      memset(row, 0, sizeof(float) * (size_t)n);
    if (d->raw) {
      float *raw = d->raw + i * d->stride;
      if (!p->ring && p->channel >= 0 && in)
        seg_gather(in, channels, p->channel, n, 1, raw);
      else
        memcpy(raw, row, sizeof(float) * (size_t)n);
    }
    float *held = d->held + 2 * d->source_count + i;
    wrong += p->missing + seg_guard(row, d->stride, 1, n, d->bad + 2 * i, held);
    if (p->strip) seg_strip_run(p->strip, row, t, n);
  }
  for (int i = 0; i < d->pedal_count; i++) {
    seg_pedal *p = &d->pedals[i];
    float *row = source_row(d, p->source);
    wrong += seg_pedal_run(p, row, source_row(d, p->back), row + d->stride, t, n);
  }
  if (d->mod_count) seg_modulate(d, in, channels, t, n);
  return wrong;
}

#define DUCK_MOST 80 /* engine/state.py: MAX_SOURCES */

static void duck(seg_desk *d, int n) {
  const float *keys[DUCK_MOST];
  float *targets[2 * DUCK_MOST];
  if (!d->duck || d->key_count > DUCK_MOST || d->target_count > DUCK_MOST) return;
  for (int i = 0; i < d->key_count; i++) keys[i] = source_row(d, d->keys[i]);
  for (int i = 0; i < d->target_count; i++) {
    targets[2 * i] = source_row(d, d->targets[i]);
    targets[2 * i + 1] = targets[2 * i] + d->stride;
  }
  seg_duck_run(d->duck, keys, d->key_count, targets, 2 * d->target_count, n);
}

/* Stems into their sources, all sources but the effects' returns into the buses, then
 * the effects.
 * Returns how many values were not finite. */
int64_t seg_desk_mix(seg_desk *d, int64_t t, int n) {
  d->started = d->ended = 0;
  if (d->role_count) {
    float *roles = source_row(d, d->first_role);
    seg_zero(roles, d->stride, 2 * d->role_count, n);
    seg_stems(d->stems, d->stem_count, d->arena, d->arena_size, roles, d->stride, t, n, &d->beats,
              &d->slicing, &d->started, &d->ended);
  }
  /* inputs again: what their strips made of them */
  int64_t bad = seg_guard(d->sources, d->stride, 2 * d->source_count, n, d->bad, d->held);
  for (int i = 0; i < d->generated_count; i++)
    seg_gain(source_row(d, d->generated[i]), d->stride, 2, t, n, d->ai);
  duck(d, n);
  seg_zero(d->buses, d->stride, 2 * d->bus_count, n);
  seg_mix(d->jobs, d->job_count, t, n);
  for (int i = 0; i < d->effect_count; i++)
    for (int side = 0; side < 2; side++)
      memcpy(source_row(d, d->first_effect + i) + side * d->stride,
             bus_row(d, d->effect_bus[i]) + side * d->stride, sizeof(float) * (size_t)n);
  float *effect = source_row(d, d->first_effect);
  if (d->reverb) seg_reverb_run(d->reverb, effect, effect + d->stride, n);
  if (d->delay) seg_delay_run(d->delay, effect + 2 * d->stride, effect + 3 * d->stride, n);
  return bad;
}

/* The effects' returns, master, limiters, fade; out to the device, to CV, to meters and taps.
 * Returns how many values of the effects were not finite. */
int64_t seg_desk_out(seg_desk *d, float *out, int channels, int64_t t, int n) {
  int64_t bad = 0;
  if (d->effect_count) {
    float *effects = source_row(d, d->first_effect);
    int rows = 2 * d->effect_count;
    float *held = d->held + 2 * d->source_count + d->input_count;
    bad = seg_guard(effects, d->stride, rows, n, d->bad + 2 * d->first_effect, held);
    seg_gain(effects, d->stride, rows, t, n, d->ai);
    seg_mix(d->returns, d->return_count, t, n);
  }
  memset(out, 0, sizeof(float) * (size_t)n * (size_t)channels);
  seg_gain(bus_row(d, 0), d->stride, 2, t, n, d->master);
  for (int i = 0; i < d->output_count; i++) {
    const seg_output *p = &d->outputs[i];
    float *left = bus_row(d, p->bus), *right = left + d->stride;
    if (p->level) seg_gain(left, d->stride, 2, t, n, p->level);
    if (p->limited) seg_limit(left, right, n, p->limiter, d->threshold, d->release);
    seg_gain(left, d->stride, 2, t, n, d->fade);
    if (p->channels[1] < 0)
      seg_scatter_mono(out, channels, p->channels[0], n, left, right);
    else {
      seg_scatter(out, channels, p->channels[0], n, left);
      seg_scatter(out, channels, p->channels[1], n, right);
    }
  }
  for (int i = 0; i < d->line_count; i++) {
    const seg_line *line = &d->lines[i];
    seg_cv_line(line, t, n, out + line->channel, channels);
    if (line->kept) seg_gather(out, channels, line->channel, n, 1, line->kept);
  }
  float decay = powf(d->peak_decay, (float)n);
  seg_peaks(d->sources, d->stride, 2 * d->source_count, n, decay, d->source_peaks);
  seg_peaks(d->buses, d->stride, 2 * d->bus_count, n, decay, d->bus_peaks);
  for (int i = 0; i < d->tap_count; i++)
    seg_tap(d->taps[i].ring, d->taps[i].rows, d->taps[i].channels, t, n);
  seg_admit(d, SEG_BLOCK, 0, t, (uint32_t)n, 0, 0, 1);
  return bad;
}
