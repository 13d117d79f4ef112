/* The kernel's interface, read by the C compiler and by cffi alike (engine/kernel.py): plain
 * declarations only. NumPy mirrors of the structs stand in engine/state.py.
 *
 * Every function here is real-time safe: no lock, no allocation, no system call. All gains, steps
 * and recursions are functions of the absolute frame, so the block size changes no sample. */

/* Shared-memory ring, single producer, single consumer. Data follows at SEG_RING_DATA bytes. */
typedef struct {
  uint64_t magic;
  uint32_t record_size;
  uint32_t capacity; /* a power of two */
  uint32_t epoch;    /* raised by each new producer */
  uint32_t pad0;
  uint64_t dropped; /* records the producer could not store */
  uint64_t pad1[4];
  uint64_t write; /* producer's */
  uint64_t pad2[7];
  uint64_t read; /* consumer's */
  uint64_t pad3[7];
} seg_ring;

/* Linear from g0 at frame f0 to g1 at frame f1, constant outside. */
typedef struct {
  int64_t f0;
  int64_t f1;
  double g0;
  double g1;
} seg_ramp;

/* What a source's sends are multiplied by. Any may be none. */
typedef struct {
  const seg_ramp *mute;  /* from here on: monitors too */
  const seg_ramp *guard; /* against howling */
  const seg_ramp *fader; /* from here on: what is after the fader */
  const seg_ramp *group;
} seg_level;

/* dst += ramp * src, times the first `reach` (0, 2 or 4) of the level's four ramps. */
typedef struct {
  const float *src;
  float *dst;
  const seg_ramp *ramp;
  const seg_level *level;
  int32_t reach;
  int32_t pad;
  const float *gain; /* times this, a value a frame; or NULL */
} seg_job;

typedef struct {
  int64_t start;   /* frame of the first sample */
  int64_t stop;    /* the fade-out begins here */
  int64_t offset;  /* in the arena, in floats: left channel; right follows after `length` */
  int64_t length;  /* frames stored */
  double loop;     /* exact loop length in frames; 0: once */
  double gain;
  int64_t fade;    /* frames of the fade-out */
  uint32_t id;
  int32_t role;
  int32_t state;   /* 0 free, 1 waiting for start, 2 sounding */
  int32_t ease;    /* frames over which an offset at its first sample comes in */
  double beat;     /* of the timeline at its start */
  double per_beat; /* frames of the source a beat; 0: it plays on, whatever the tempo */
  /* the kernel's own (engine/stems.c) */
  int64_t slice;   /* slices whose beginning is settled */
  int64_t shift;   /* source frame minus frame */
  int64_t before;  /* the same before the last join */
  int64_t join;    /* frame at which the last crossfade began */
  double likeness; /* of what it joined, 0..1 */
  int64_t hush;    /* in [hush, unhush) it plays on unheard: a fill covers it */
  int64_t unhush;
} seg_stem;

/* Beats are linear in frames. */
typedef struct {
  int64_t frame;   /* of the line's anchor */
  double beat;     /* there */
  double per_beat; /* frames a beat */
} seg_beats;

/* How stems are cut to follow a tempo; lengths in frames. */
typedef struct {
  double step;    /* beats a slice */
  int32_t fade;   /* of a crossfade, at most 2048 */
  int32_t reach;  /* a slice may come this far off, at most 2048 */
  int32_t margin; /* a crossfade ends this long before what strikes */
  int32_t pad;
  double alike;   /* correlation from which a better place is worth it */
} seg_slicing;

typedef struct {
  double gain;     /* the limiter's present gain */
  uint64_t active; /* frames with gain below 1 */
} seg_limiter_state;

typedef struct {
  double last[2]; /* what left last */
  double hold[2]; /* held while frames are missing and faded from when they are back; decays */
  double fade;    /* 0..1: how far the stream has come in */
  uint64_t missing;
  uint32_t epoch;
  uint32_t pad;
} seg_stream;

/* Musical time in force: `beat` at `frame`, `bpm` beats a minute. */
typedef struct {
  int64_t frame;
  double beat;
  double bpm;
  double rate;
  double confidence;
  int32_t beats_per_bar;
  int32_t bars_per_phrase;
} seg_timeline;

/* A voltage that leaves: edges on their way, and what its shape remembers. */
typedef struct {
  double value; /* volts now; an envelope's level at its last edge; a follower's level */
  int64_t frames[16];
  double volts[16];
  int64_t at;    /* frame of an envelope's last edge, of the last pulse */
  int64_t tick;  /* number of the last pulse */
  int32_t count; /* edges that wait */
  int32_t on;    /* an envelope's gate; pulses: 0 fresh, 1 counting, 2 has pulsed */
  double shown;  /* what left last, -1 to 1 of full scale */
} seg_cv;

/* ---- an input strip (engine/strip.c): settings that Python computes, then state ---- */

typedef struct {
  int64_t f0; /* filters' coefficients go linearly from `from` at f0 to `to` at f1 */
  int64_t f1;
  double from[4][5]; /* b0 b1 b2 a1 a2 of high-pass, low shelf, peak, high shelf */
  double to[4][5];
  double gate;         /* magnitude at which the gate opens; 0: it is open */
  double gate_attack;  /* parts of the way to its goal that the gain goes in a frame */
  double gate_release;
  int64_t gate_hold;   /* frames */
  double threshold;    /* dBFS */
  double slope;        /* dB taken for each dB above it: 1 - 1/ratio; 0: no compressor */
  double knee;         /* dB, above 0 */
  double attack;       /* parts of the way in a frame */
  double release;
  double state[4][2];
  double gate_gain;
  int64_t gate_left;   /* frames until the gate begins to close */
  double peak;         /* dB: the detector's first stage */
  double reduction;    /* dB taken now */
} seg_strip;

/* ---- ducking: what `keys` say lowers what `targets` say (sources both) ---- */

typedef struct {
  double open;    /* magnitude of a key from which on it ducks */
  double depth;   /* linear gain while it does */
  double attack;  /* parts of the way in a frame */
  double release;
  int64_t hold;   /* frames that it stays down after the last 3 dB below `open` */
  double gain;    /* state from here on */
  int64_t left;
} seg_duck;

/* ---- the shared effects (engine/effects.c) ---- */

/* Two rows of `size` (a power of two) floats. */
typedef struct {
  float *line;
  int64_t size;
  int64_t written; /* frames since it was empty */
  int64_t length;  /* frames of delay now */
  int64_t before;  /* and those it crossfades from */
  int64_t wanted;  /* taken up when no crossfade is under way */
  int32_t fade;    /* frames of the crossfade that are left */
  int32_t fade_frames;
  float feedback;
  float pad;
} seg_delay;

/* Twelve rows of `size` (a power of two) floats: eight lines, four all-passes. */
typedef struct {
  float *lines;
  int64_t size;
  int64_t at;
  int64_t length[8]; /* frames, above 64 all */
  int64_t diffuse[4];
  float gain[8];
  float damp[8];
  float low[8];
  float level;
  float pad;
} seg_reverb;

/* ---- the desk: everything a block needs, laid out once; Python decides, these add ---- */

/* A live input: from a device channel, a stream ring (performers), a texture's source (`texture`), or
 * silent (-1, both). */
typedef struct {
  int32_t channel;
  int32_t texture;
  float trim;
  int32_t pad;
  seg_ring *ring;
  seg_stream *stream;
  int64_t missing; /* frames of this block that the ring did not have */
  seg_strip *strip;
} seg_input;

typedef struct {
  int32_t source;
  int32_t pad;
  seg_ring *ring;
  seg_stream *stream;
} seg_texture;

/* What a pedal's insert remembers. */
typedef struct {
  double wet;     /* 0..1: how far what comes back is heard */
  int64_t absent; /* loud frames that went out since anything came back */
  int64_t there;  /* 1: something comes back */
} seg_pedal_state;

/* A strip that goes out and comes back: its first row is what is heard, its second what is sent. */
typedef struct {
  int32_t source;
  int32_t back; /* the input on which it returns */
  int64_t patience; /* loud frames without an answer until it is taken for gone */
  double step;      /* of the crossfade, a frame */
  seg_pedal_state *state;
  const seg_ramp *on; /* by hand: 1 what comes back, 0 the strip */
  int32_t turned; /* of this block: 1 came back, -1 went away */
  int32_t pad;
} seg_pedal;

/* A bus on one or two device channels. */
typedef struct {
  int32_t bus;
  int32_t limited;
  int32_t channels[2]; /* second -1: mono */
  seg_limiter_state *limiter;
  const seg_ramp *level;
} seg_output;

/* A voltage on a device channel: full scale is (volts + offset) * scale. Lengths in frames. */
typedef struct {
  seg_cv *cv;
  const seg_timeline *time;
  const float *left; /* what a follower or a modulation follows; right may be NULL */
  const float *right;
  int32_t channel;
  int32_t kind;   /* see seg_cv_line */
  int32_t shape;  /* of an LFO: see lfo() */
  int32_t seed;
  double scale;
  double offset;
  double volts;   /* height of a pulse or an envelope; an LFO moves so far from its centre */
  double centre;
  double attack;  /* a follower: coefficients a frame */
  double decay;
  double sustain; /* 0..1 */
  double release;
  double beats;   /* period of an LFO in beats; 0: free */
  double rate;    /* of a free LFO: cycles a frame */
  double phase;   /* 0..1 */
  int64_t width;  /* of a pulse */
  int32_t ppqn;   /* pulses a beat; 0: one every bar, -1: every phrase */
  int32_t pad;
  float *kept;    /* recorded: a copy of what left; or NULL */
} seg_line;

typedef struct {
  seg_ring *ring;
  const float *const *rows;
  int32_t channels;
  int32_t pad;
} seg_tap_plan;

/* What a control voltage that comes in, or a chaos made inside, remembers. */
typedef struct {
  double value;   /* 0..1, now */
  double last[2]; /* volts before */
  double x[3];    /* a voltage or a note taken; the state of a chaos */
  int64_t step;   /* of a chaos */
  int32_t high;   /* a gate's state; a sampling gate's; a chaos: 1 once begun */
  int32_t frozen; /* by hand */
} seg_mod;

/* volts = sample * scale - offset; 0..1 = (volts - low) / span. */
typedef struct {
  seg_mod *mod;
  float *row;
  const float *hold;   /* row of the gate that freezes it, or NULL */
  const float *sample; /* row of the gate at whose rise it is taken, or NULL */
  int32_t channel;     /* -1: none */
  int32_t kind;        /* see kernel_mod.c */
  int32_t track;       /* which of the recorded voltages it is, or -1 */
  int32_t pad;
  double scale;
  double offset;
  double low;
  double span;
  double smooth;   /* one-pole coefficient a frame */
  double rate;     /* of a chaos: steps, or time of the flow, a frame */
  double start[3]; /* of a chaos, from its seed */
} seg_mod_in;

typedef struct {
  double from;
  double to;
  seg_ramp on; /* how far it is followed; at 0 the send stands at its own level */
} seg_route_state;

/* A row moves a send: low to high in dB. */
typedef struct {
  seg_route_state *state;
  const float *row;
  float *gain;
  double low;
  double high;
} seg_route;

typedef struct {
  int64_t frame;
  int32_t index;
  int32_t high;
} seg_mod_edge;

/* Sources and buses are pairs of rows of `stride` floats; `bad` and peaks have two a source. */
typedef struct {
  float *sources;
  float *buses;
  int64_t stride;
  int32_t source_count;
  int32_t bus_count;
  int64_t *bad;
  float *held; /* values before the block: two a source, one an input as it came, two an effect */
  float *source_peaks;
  float *bus_peaks;
  seg_input *inputs;
  seg_texture *textures;
  int32_t input_count;
  int32_t texture_count;
  int32_t first_role;
  int32_t role_count;
  seg_stem *stems;
  const float *arena;
  int64_t arena_size;
  seg_beats beats; /* in force */
  int32_t stem_count;
  int32_t stem_pad;
  seg_slicing slicing;
  uint32_t started; /* a bit a stem, of this block */
  uint32_t ended;
  int32_t first_effect;
  int32_t effect_count;
  int32_t generated_count;
  const int32_t *effect_bus;
  seg_reverb *reverb; /* the first effect, or none */
  seg_delay *delay;   /* the second */
  const int32_t *generated; /* sources that DRY silences */
  seg_duck *duck;           /* or none */
  const int32_t *keys;
  const int32_t *targets;
  int32_t key_count;
  int32_t target_count;
  const seg_job *jobs;
  const seg_job *returns;
  int32_t job_count;
  int32_t return_count;
  const seg_ramp *master;
  const seg_ramp *ai;
  const seg_ramp *fade;
  const seg_output *outputs;
  const seg_line *lines;
  const seg_tap_plan *taps;
  int32_t output_count;
  int32_t line_count;
  int32_t tap_count;
  float peak_decay;
  double threshold;
  double release;
  float *raw;         /* recorded: rows of inputs, pairs of textures, voltages, as they came; or NULL */
  seg_ring *admitted; /* recorded: what each block took; or NULL */
  uint32_t admitted_count;
  uint32_t admitted_pad;
  const seg_mod_in *mods;
  const seg_route *routes;
  int32_t mod_count;
  int32_t route_count;
  int32_t edge_count;
  seg_mod_edge edges[16]; /* of gates, in this block */
  seg_pedal *pedals;
  int32_t pedal_count;
  int32_t pedal_pad;
} seg_desk;

/* What a block took from its rings, for the recorder (engine/admitted.py names the kinds). Records
 * that find no room are lost; `seq` then jumps. */
typedef struct {
  int64_t t;
  uint32_t n;
  uint32_t seq;
  uint8_t kind;
  uint8_t which;
  uint16_t size; /* bytes of data used */
  uint32_t pad;
  uint8_t data[96];
} seg_admitted;

void seg_admit(seg_desk *desk, int kind, int which, int64_t t, uint32_t n, const void *records,
               uint32_t size, uint32_t count);

int64_t seg_desk_inputs(seg_desk *desk, const float *in, int channels, int64_t t, int n);
int64_t seg_desk_mix(seg_desk *desk, int64_t t, int n);
int64_t seg_desk_out(seg_desk *desk, float *out, int channels, int64_t t, int n);

void seg_publish(uint64_t *sequence, void *dst, const void *src, uint64_t size);
int seg_observe(const uint64_t *sequence, const void *src, void *dst, uint64_t size);

uint32_t seg_ring_push(seg_ring *ring, const void *records, uint32_t count);
uint32_t seg_ring_pop(seg_ring *ring, void *records, uint32_t count);
uint32_t seg_ring_count(const seg_ring *ring);
void seg_ring_clear(seg_ring *ring);
void seg_ring_skip(seg_ring *ring, uint32_t count);

void seg_delay_run(seg_delay *delay, float *left, float *right, int n);
void seg_reverb_run(seg_reverb *reverb, float *left, float *right, int n);
void seg_lend(float *rows, int64_t stride, int mono, int both, int n, float *cell);
int seg_take(const float *made, int both, const seg_ramp *on, int64_t t, int n, float *rows,
             int64_t stride, float *last);
int seg_pedal_run(seg_pedal *pedal, float *row, const float *back, float *sent, int64_t t, int n);
void seg_strip_run(seg_strip *strip, float *x, int64_t t, int n);

int64_t seg_tap(seg_ring *ring, const float *const *rows, int channels, int64_t t, int n);
int64_t seg_stream_read(seg_ring *ring, seg_stream *stream, int channels, float *planes,
                        int64_t stride, int64_t t, int n);

void seg_duck_run(seg_duck *duck, const float *const *keys, int key_count, float *const *targets,
                  int target_count, int n);
void seg_mix(const seg_job *jobs, int count, int64_t t, int n);
void seg_gain(float *rows, int64_t stride, int count, int64_t t, int n, const seg_ramp *ramp);
void seg_zero(float *rows, int64_t stride, int count, int n);
double seg_ramp_at(const seg_ramp *ramp, int64_t frame);
void seg_stems(seg_stem *stems, int count, const float *arena, int64_t arena_size, float *roles,
               int64_t stride, int64_t t, int n, const seg_beats *beats,
               const seg_slicing *slicing, uint32_t *started, uint32_t *ended);
void seg_limit(float *left, float *right, int n, seg_limiter_state *state, double threshold,
               double release);
int64_t seg_guard(float *rows, int64_t stride, int count, int n, int64_t *bad, float *held);
void seg_peaks(const float *rows, int64_t stride, int count, int n, float decay, float *peaks);
void seg_gather(const float *interleaved, int channels, int channel, int n, float gain, float *x);
void seg_scatter(float *interleaved, int channels, int channel, int n, const float *x);
void seg_scatter_mono(float *interleaved, int channels, int channel, int n, const float *left,
                      const float *right);
void seg_split(const float *stereo, int n, float *left, float *right);
int seg_cv_edge(seg_cv *cv, int64_t frame, double volts);
int seg_cv_strike(seg_cv *cv, int64_t frame, double volts, int64_t width, int64_t gap);
void seg_modulate(seg_desk *desk, const float *in, int channels, int64_t t, int n);
void seg_cv_line(const seg_line *line, int64_t t, int n, float *x, int stride);
