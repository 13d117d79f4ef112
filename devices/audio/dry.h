/* The dry path while the audio process is away: what JACK's thread in the supervisor runs. Read by
 * the C compiler and by cffi alike: plain declarations only.
 *
 * WORDS are shared with the audio process (engine/shm_records.py: DRY_*); each has one writer. Frames in
 * them are the server's own, compared modulo 2^32. */

typedef struct {
  int32_t input;
  int32_t output;
  float gain;    /* wanted: the supervisor's */
  float present; /* ours: follows within a block */
} dry_send;

/* A bus with a safety limiter, on one or two outputs (second -1: mono). */
typedef struct {
  int32_t left;
  int32_t right;
  double gain; /* ours: its present gain */
} dry_limiter;

typedef struct {
  void *client;
  void *buffer_of;  /* jack_port_get_buffer */
  void *frame_time; /* jack_last_frame_time */
  void *inputs[64];
  void *outputs[64];
  dry_send sends[256];
  dry_limiter limiters[64];
  double threshold; /* linear; as the mixer's (engine/mixer.py) */
  double release;   /* of the way back to unity that the gain goes in a frame */
  int32_t limiter_count;
  int32_t limiter_pad;
  int32_t input_count;
  int32_t output_count;
  int32_t send_count;
  int32_t patience; /* cycles without a block of the audio process until we play */
  int32_t enabled;
  int32_t quiet; /* ours from here: cycles without a block */
  int64_t *words;
  int64_t done;   /* the audio process's last word that we saw */
  int64_t handed; /* the hand-over that we know of */
  int32_t handing;
  int32_t covering;
  double rise; /* 0..1: how far we have come in */
  float gains[8192];
} dry_path;

int dry_cycle(uint32_t n, void *path);
