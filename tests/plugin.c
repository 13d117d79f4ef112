/* A VST3 effect for tests, in plain C against the published binary interface: one object that is
 * component, processor and controller. What it does is in the name of the bundle it lies in
 * (tests/plugins.py copies it under these names), so that one compilation serves all:
 *
 *   gain      out = 2 * amount * in, amount being its parameter (0..1, 0.5 by default)
 *   late      the same, 96 frames later, and says so
 *   mono      the same, for one channel only
 *   quad      four channels and nothing else
 *   synth     no audio input
 *   random    adds noise that no two instances share
 *   nan       NaN, once it has heard something loud
 *   crash     dies of the first block, crash-load when it is made, crash-later after 2 s of sound
 *   hang      never returns from a block, hang-load from being made, hang-later after 2 s
 *   slow      needs 20 ms a block
 *   nan-later NaN after 2 s of sound
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OPEN __attribute__((visibility("default")))
#define LATE 96
#define CHANNELS 8
enum { OK = 0, FALSE_ = 1, NO_INTERFACE = -1, NOT_IMPLEMENTED = 3 };
typedef int32_t result;
typedef uint8_t tuid[16];
typedef int16_t text[128];

static const tuid I_UNKNOWN = {0, 0, 0, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x46};
static const tuid I_BASE = {0x22, 0x88, 0x8D, 0xDB, 0x15, 0x6E, 0x45, 0xAE,
                            0x83, 0x58, 0xB3, 0x48, 0x08, 0x19, 0x06, 0x25};
static const tuid I_FACTORY = {0x7A, 0x4D, 0x81, 0x1C, 0x52, 0x11, 0x4A, 0x1F,
                               0xAE, 0xD9, 0xD2, 0xEE, 0x0B, 0x43, 0xBF, 0x9F};
static const tuid I_COMPONENT = {0xE8, 0x31, 0xFF, 0x31, 0xF2, 0xD5, 0x43, 0x01,
                                 0x92, 0x8E, 0xBB, 0xEE, 0x25, 0x69, 0x78, 0x02};
static const tuid I_PROCESSOR = {0x42, 0x04, 0x3F, 0x99, 0xB7, 0xDA, 0x45, 0x3C,
                                 0xA5, 0x69, 0xE7, 0x9D, 0x9A, 0xAE, 0xC3, 0x3D};
static const tuid I_CONTROLLER = {0xDC, 0xD7, 0xBB, 0xE3, 0x77, 0x42, 0x44, 0x8D,
                                  0xA8, 0x74, 0xAA, 0xCC, 0x97, 0x9C, 0x75, 0x9E};
static const tuid CLASS = {0x5E, 0x60, 0x7E, 0x00, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static char kind[64];

static int is(const char *name) { return strcmp(kind, name) == 0; }
static void say(text to, const char *from) {
  int i = 0;
  for (; from[i] && i < 127; i++) to[i] = from[i];
  to[i] = 0;
}

typedef struct plug plug;
typedef struct {
  void **call;
  plug *self;
} face; /* what a host holds: its vtable first */

struct plug {
  face component, processor, controller;
  int32_t uses;
  int32_t channels;
  double amount, rate;
  int64_t heard; /* frames that were not silent */
  uint32_t dice;
  float line[CHANNELS][LATE];
  int32_t at;
};

/* ---- every interface begins with these ---- */

static result ask(face *f, const uint8_t *iid, void **made) {
  plug *p = f->self;
  face *found = 0;
  if (!memcmp(iid, I_UNKNOWN, 16) || !memcmp(iid, I_BASE, 16) || !memcmp(iid, I_COMPONENT, 16))
    found = &p->component;
  else if (!memcmp(iid, I_PROCESSOR, 16))
    found = &p->processor;
  else if (!memcmp(iid, I_CONTROLLER, 16))
    found = &p->controller;
  *made = found;
  if (!found) return NO_INTERFACE;
  p->uses++;
  return OK;
}
static uint32_t hold(face *f) { return (uint32_t)++f->self->uses; }
static uint32_t drop(face *f) {
  int32_t left = --f->self->uses;
  if (!left) free(f->self);
  return (uint32_t)left;
}
static result yes(face *f, ...) {
  (void)f;
  return OK;
}
static result not_there(face *f, ...) {
  (void)f;
  return NOT_IMPLEMENTED;
}

/* ---- component ---- */

typedef struct {
  int32_t media, direction, channels;
  text name;
  int32_t kind;
  uint32_t flags;
} bus_info;

static result controller_class(face *f, uint8_t *cid) {
  (void)f;
  memset(cid, 0, 16);
  return NOT_IMPLEMENTED; /* it is this very object */
}
static int32_t bus_count(face *f, int32_t media, int32_t direction) {
  (void)f;
  return media == 0 && !(direction == 0 && is("synth"));
}
static result bus(face *f, int32_t media, int32_t direction, int32_t index, bus_info *info) {
  if (media || index || !bus_count(f, media, direction)) return FALSE_;
  memset(info, 0, sizeof *info);
  info->direction = direction;
  info->channels = f->self->channels;
  say(info->name, direction ? "Out" : "In");
  info->flags = 1; /* on by default */
  return OK;
}

/* ---- processor ---- */

typedef struct {
  int32_t channels;
  uint64_t silent;
  float **rows;
} buffers;
typedef struct {
  int32_t mode, size, frames, inputs, outputs;
  buffers *in, *out;
  face *changes, *changed;
  void *events, *sent, *context;
} block;
typedef struct {
  int32_t mode, size, most;
  double rate;
} setup;

static uint64_t speakers(int32_t channels) { return channels == 1 ? 1ull << 19 : (1ull << channels) - 1; }
static int32_t count_of(uint64_t speaker) { return __builtin_popcountll(speaker); }

static result arrange(face *f, uint64_t *in, int32_t inputs, uint64_t *out, int32_t outputs) {
  if (outputs != 1 || (inputs && count_of(in[0]) != count_of(out[0]))) return FALSE_;
  int32_t wanted = count_of(out[0]);
  if (is("mono") ? wanted != 1 : is("quad") ? wanted != 4 : wanted < 1 || wanted > 2) return FALSE_;
  f->self->channels = wanted;
  return OK;
}
static result arrangement(face *f, int32_t direction, int32_t index, uint64_t *found) {
  if (index || !bus_count(f, 0, direction)) return FALSE_;
  *found = speakers(f->self->channels);
  return OK;
}
static result can(face *f, int32_t size) {
  (void)f;
  return size == 0 ? OK : FALSE_; /* 32 bits */
}
static uint32_t latency(face *f) {
  (void)f;
  return is("late") ? LATE : 0;
}
static result prepare(face *f, setup *s) {
  f->self->rate = s->rate;
  return OK;
}
static result active(face *f, uint8_t on) {
  if (on) memset(f->self->line, 0, sizeof f->self->line);
  return OK;
}
static uint32_t tail(face *f) {
  (void)f;
  return 0;
}

static void follow(plug *p, face *changes) { /* IParameterChanges */
  if (!changes) return;
  int32_t many = ((int32_t(*)(face *))changes->call[3])(changes);
  for (int32_t i = 0; i < many; i++) {
    face *queue = ((face * (*)(face *, int32_t)) changes->call[4])(changes, i);
    if (!queue || ((uint32_t(*)(face *))queue->call[3])(queue) != 0) continue;
    int32_t points = ((int32_t(*)(face *))queue->call[4])(queue), offset;
    double value;
    if (points > 0 && ((result(*)(face *, int32_t, int32_t *, double *))queue->call[5])(
                          queue, points - 1, &offset, &value) == OK)
      p->amount = value;
  }
}

static void misbehave(plug *p, block *b, float peak) {
  int later = p->heard > (int64_t)(2 * p->rate);
  if (is("crash") || (is("crash-later") && later)) *(volatile int *)0 = 1;
  while (is("hang") || (is("hang-later") && later)) sleep(1);
  if (is("slow")) {
    struct timespec wait = {0, 20000000};
    nanosleep(&wait, 0);
  }
  if ((is("nan") && peak > 0.5f) || (is("nan-later") && later))
    for (int32_t c = 0; c < b->out[0].channels; c++) b->out[0].rows[c][0] = NAN;
}

static result process(face *f, block *b) {
  plug *p = f->self;
  follow(p, b->changes);
  if (!b->frames || !b->outputs) return OK;
  int32_t channels = b->out[0].channels < CHANNELS ? b->out[0].channels : CHANNELS, at = p->at;
  float peak = 0, gain = (float)(2 * p->amount);
  for (int32_t c = 0; c < channels; c++) {
    at = p->at;
    for (int32_t i = 0; i < b->frames; i++) {
      float x = b->inputs && c < b->in[0].channels ? b->in[0].rows[c][i] : 0;
      peak = fabsf(x) > peak ? fabsf(x) : peak;
      float y = gain * x;
      if (is("late")) {
        float past = p->line[c][at];
        p->line[c][at] = y;
        y = past;
        at = (at + 1) % LATE;
      }
      if (is("random")) {
        p->dice = p->dice * 1664525u + 1013904223u;
        y += 1e-4f * (float)(int32_t)p->dice / 2147483648.0f;
      }
      b->out[0].rows[c][i] = y;
    }
  }
  p->at = at;
  if (peak > 0) p->heard += b->frames;
  b->out[0].silent = 0;
  misbehave(p, b, peak);
  return OK;
}

/* ---- controller: one parameter ---- */

typedef struct {
  uint32_t id;
  text title, brief, units;
  int32_t steps;
  double standard;
  int32_t unit, flags;
} parameter;

static int32_t parameters(face *f) {
  (void)f;
  return 1;
}
static result about(face *f, int32_t index, parameter *info) {
  (void)f;
  if (index) return FALSE_;
  memset(info, 0, sizeof *info);
  say(info->title, "Amount");
  say(info->brief, "Amount");
  info->standard = 0.5;
  info->flags = 1; /* may be automated */
  return OK;
}
static result as_text(face *f, uint32_t id, double value, text shown) {
  char made[32];
  (void)f, (void)id;
  snprintf(made, sizeof made, "%.3f", value);
  say(shown, made);
  return OK;
}
static result from_text(face *f, uint32_t id, int16_t *shown, double *value) {
  char given[32] = "";
  (void)f, (void)id;
  for (int i = 0; i < 31 && shown[i]; i++) given[i] = (char)shown[i];
  *value = atof(given);
  return OK;
}
static double same(face *f, uint32_t id, double value) {
  (void)f, (void)id;
  return value;
}
static double get(face *f, uint32_t id) {
  (void)id;
  return f->self->amount;
}
static result set(face *f, uint32_t id, double value) {
  (void)id;
  f->self->amount = value;
  return OK;
}
static void *view(face *f, const char *name) {
  (void)f, (void)name;
  return 0;
}

static void *COMPONENT[] = {ask, hold, drop, yes, yes, controller_class, yes, bus_count, bus,
                            not_there, yes, active, yes, yes};
static void *PROCESSOR[] = {ask, hold, drop, arrange, arrangement, can, latency, prepare, yes,
                            process, tail};
static void *CONTROLLER[] = {ask, hold, drop, yes, yes, yes, yes, yes, parameters, about, as_text,
                             from_text, same, same, get, set, yes, view};

/* ---- factory ---- */

typedef struct {
  char vendor[64], url[256], mail[128];
  int32_t flags;
} factory_info;
typedef struct {
  uint8_t cid[16];
  int32_t cardinality;
  char category[32], name[64];
} class_info;

static result factory_ask(void *f, const uint8_t *iid, void **made) {
  int found = !memcmp(iid, I_UNKNOWN, 16) || !memcmp(iid, I_FACTORY, 16);
  *made = found ? f : 0;
  return found ? OK : NO_INTERFACE;
}
static uint32_t one(void *f) {
  (void)f;
  return 1;
}
static result made_by(void *f, factory_info *info) {
  (void)f;
  memset(info, 0, sizeof *info);
  strcpy(info->vendor, "segue tests");
  return OK;
}
static int32_t classes(void *f) {
  (void)f;
  return 1;
}
static result class_of(void *f, int32_t index, class_info *info) {
  (void)f;
  if (index) return FALSE_;
  memset(info, 0, sizeof *info);
  memcpy(info->cid, CLASS, 16);
  info->cardinality = 0x7FFFFFFF;
  strcpy(info->category, "Audio Module Class");
  snprintf(info->name, sizeof info->name, "Test %.40s", kind);
  return OK;
}
static result make(void *f, const uint8_t *cid, const uint8_t *iid, void **made) {
  (void)f;
  if (memcmp(cid, CLASS, 16)) return NO_INTERFACE;
  if (is("crash-load")) *(volatile int *)0 = 1;
  while (is("hang-load")) sleep(1);
  plug *p = calloc(1, sizeof *p);
  p->component = (face){COMPONENT, p};
  p->processor = (face){PROCESSOR, p};
  p->controller = (face){CONTROLLER, p};
  p->uses = 1;
  p->channels = is("mono") ? 1 : is("quad") ? 4 : 2;
  p->amount = 0.5;
  p->rate = 48000;
  p->dice = (uint32_t)(uintptr_t)p ^ (uint32_t)clock() ^ (uint32_t)getpid();
  result found = ask(&p->component, iid, made);
  drop(&p->component);
  return found;
}
static void *FACTORY[] = {factory_ask, one, one, made_by, classes, class_of, make};
static face factory = {FACTORY, 0};

OPEN void *GetPluginFactory(void) { return &factory; }
OPEN int ModuleEntry(void *library) {
  Dl_info here;
  (void)library;
  if (dladdr((void *)GetPluginFactory, &here) && here.dli_fname) {
    const char *name = strrchr(here.dli_fname, '/');
    snprintf(kind, sizeof kind, "%s", name ? name + 1 : here.dli_fname);
    char *end = strrchr(kind, '.');
    if (end) *end = 0;
  }
  return 1;
}
OPEN int ModuleExit(void) { return 1; }
