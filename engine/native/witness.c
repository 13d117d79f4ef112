/* A minimal native JACK client that plays, captures and counts, and owes segue nothing.
 *
 *   witness --name NAME [--in PEER]... [--out PEER]... [--capture FILE] [--log FILE]
 *           [--play FILE [--play-at FRAME | --hold] [--loop]] [--through] [--seconds N]
 *
 * Ports in_1.., out_1.. are made in the order of --in and --out; PEER is a port name, several
 * separated by commas, or "-" for none. Connections are made when the peers appear, and again
 * whenever they reappear. --capture: float32, interleaved by input, file frame 0 is the start
 * frame. --play: float32, interleaved by output; begins at JACK frame FRAME, or else in the first
 * cycle that finds every output that has a peer connected; --hold: on SIGUSR1. --through: out_k repeats in_k.
 * Without ports it only counts missed cycles: the smallest native client there is.
 *
 * Standard output: "ready FRAME", then "connected" when every peer has been connected once.
 * Exit: 0 told to stop or time over, 2 usage, 3 server died, 4 no server, 5 file.
 *
 * Threads: process() runs in JACK's thread and does no I/O, takes no lock, allocates nothing; it
 * hands cycles and samples to the main thread through two single-producer rings in locked memory.
 * The main thread writes files, keeps the played file's next seconds in memory, and connects.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jack/jack.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PORTS = 64, CYCLES = 1 << 15, AHEAD_SECONDS = 8, TICK_MS = 10, CONNECT_TICKS = 10 };
enum { EXIT_USAGE = 2, EXIT_SERVER_DIED = 3, EXIT_NO_SERVER = 4, EXIT_FILE = 5 };
enum { LATE = 1, SKIPPED = 2, LOST = 4 };            /* flags of a cycle */
enum { RUNNING = 0, FINISHED = 1, SERVER_DIED = 2 }; /* state in the header */

/* engine/bench/native.py reads both structures. */
typedef struct {
  int64_t frame;    /* first frame of the cycle */
  int64_t wake_us;  /* process() began, CLOCK_MONOTONIC */
  uint32_t frames;  /* in the cycle */
  uint32_t flags;   /* LATE: the server had begun a later cycle before this one was finished.
                       SKIPPED: frames before this one were never processed.
                       LOST: samples not captured, the ring was full */
  uint32_t used_us; /* from waking to finishing */
  uint32_t skipped; /* frames between the last cycle and this one */
} Cycle;

typedef struct {
  char magic[8];
  uint32_t rate, block, inputs, outputs, state, locked;
  int64_t start_frame, play_frame;
  uint64_t cycles, dropped; /* dropped: cycles not logged, the ring was full */
} Header;

static jack_client_t *client;
static jack_port_t *in_port[MAX_PORTS], *out_port[MAX_PORTS];
static const char *in_peer[MAX_PORTS], *out_peer[MAX_PORTS];
static int inputs, outputs;
static bool through, loop_play, hold;

static Cycle *cycle_ring;
static _Atomic uint64_t cycles_in, cycles_out, dropped;
static float *sample_ring; /* interleaved frames */
static uint64_t ring_frames;
static _Atomic uint64_t samples_in, samples_out; /* in frames */

static const float *play;
static uint64_t play_frames;
static _Atomic int64_t play_frame = -1; /* JACK frame of the file's first */
static int64_t play_at = -1;

static _Atomic int64_t start_frame = -1, now_frame = -1;
static _Atomic bool stop_asked, server_died, go_asked;

static void on_signal(int number) {
  (void)number;
  atomic_store(&stop_asked, true);
}

static void on_go(int number) {
  (void)number;
  atomic_store(&go_asked, true);
}

static void on_shutdown(void *unused) {
  (void)unused;
  atomic_store(&server_died, true);
}

static void quiet(const char *message) { (void)message; }

static bool all_connected(void) {
  for (int k = 0; k < outputs; k++)
    if (strcmp(out_peer[k], "-") != 0 && jack_port_connected(out_port[k]) == 0) return false;
  return true;
}

/* Fill the outputs from the file; frames outside it are silent. */
static void play_cycle(int64_t frame, jack_nframes_t n, float **out) {
  int64_t begin = atomic_load_explicit(&play_frame, memory_order_relaxed);
  if (begin < 0 && (hold ? atomic_load(&go_asked) : play_at >= 0 || all_connected())) {
    begin = play_at >= 0 ? play_at : frame;
    atomic_store_explicit(&play_frame, begin, memory_order_relaxed);
  }
  for (jack_nframes_t i = 0; i < n; i++) {
    int64_t at = frame + (int64_t)i - begin;
    bool sounds = begin >= 0 && at >= 0 && (loop_play || at < (int64_t)play_frames);
    const float *from = sounds ? play + (uint64_t)at % play_frames * (uint64_t)outputs : NULL;
    for (int k = 0; k < outputs; k++) out[k][i] = from ? from[k] : 0.0f;
  }
}

static bool capture_cycle(jack_nframes_t n, float **in) {
  uint64_t head = atomic_load_explicit(&samples_in, memory_order_relaxed);
  uint64_t tail = atomic_load_explicit(&samples_out, memory_order_acquire);
  if (head + n - tail > ring_frames) return false;
  for (jack_nframes_t i = 0; i < n; i++) {
    float *to = sample_ring + (head + i) % ring_frames * (uint64_t)inputs;
    for (int k = 0; k < inputs; k++) to[k] = in[k][i];
  }
  atomic_store_explicit(&samples_in, head + n, memory_order_release);
  return true;
}

static int process(jack_nframes_t n, void *unused) {
  (void)unused;
  static jack_nframes_t last_frame, last_n;
  static int64_t frame;
  jack_nframes_t current = jack_last_frame_time(client);
  jack_time_t woken = jack_get_time();
  Cycle cycle = {.wake_us = (int64_t)woken, .frames = n};
  if (last_n == 0) {
    frame = current;
    atomic_store_explicit(&start_frame, frame, memory_order_release);
  } else { /* 32-bit frames wrap after a day; their differences do not */
    uint32_t advanced = current - last_frame;
    frame += advanced;
    if (advanced > last_n) {
      cycle.skipped = advanced - last_n;
      cycle.flags |= SKIPPED;
    }
  }
  last_frame = current;
  last_n = n;
  cycle.frame = frame;
  atomic_store_explicit(&now_frame, frame, memory_order_relaxed);

  float *in[MAX_PORTS], *out[MAX_PORTS];
  for (int k = 0; k < inputs; k++) in[k] = jack_port_get_buffer(in_port[k], n);
  for (int k = 0; k < outputs; k++) out[k] = jack_port_get_buffer(out_port[k], n);
  if (play) {
    play_cycle(frame, n, out);
  } else {
    for (int k = 0; k < outputs; k++) {
      if (through && k < inputs)
        memcpy(out[k], in[k], n * sizeof(float));
      else
        memset(out[k], 0, n * sizeof(float));
    }
  }
  uint64_t head = atomic_load_explicit(&cycles_in, memory_order_relaxed);
  bool room = head - atomic_load_explicit(&cycles_out, memory_order_acquire) < CYCLES;
  if (sample_ring && !(room && capture_cycle(n, in))) cycle.flags |= LOST;

  /* The frame counter is the server's, live: it moves on when the next cycle begins. Unlike
     jack_get_cycle_times(), whose filter is wrong for a second after each stall of the server. */
  if (jack_last_frame_time(client) != current) cycle.flags |= LATE;
  cycle.used_us = (uint32_t)(jack_get_time() - woken);
  if (!room) {
    atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
    return 0;
  }
  cycle_ring[head % CYCLES] = cycle;
  atomic_store_explicit(&cycles_in, head + 1, memory_order_release);
  return 0;
}

static void fail(int code, const char *what, const char *about) {
  fprintf(stderr, "witness: %s: %s\n", about, what);
  exit(code);
}

static void write_all(int file, const void *data, size_t bytes, int64_t offset) {
  const char *at = data;
  while (bytes > 0) {
    ssize_t done = pwrite(file, at, bytes, offset);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) fail(EXIT_FILE, strerror(errno), "writing");
    at += done, bytes -= (size_t)done, offset += done;
  }
}

/* Move what process() left in the rings to the files. */
static void drain(int log, int capture, Header *header) {
  uint64_t tail = atomic_load_explicit(&cycles_out, memory_order_relaxed);
  uint64_t head = atomic_load_explicit(&cycles_in, memory_order_acquire);
  uint64_t sample = atomic_load_explicit(&samples_out, memory_order_relaxed);
  for (; tail < head; tail++) {
    const Cycle *cycle = &cycle_ring[tail % CYCLES];
    if (log >= 0)
      write_all(log, cycle, sizeof *cycle, (int64_t)(sizeof *header + tail * sizeof *cycle));
    if (capture >= 0 && !(cycle->flags & LOST)) {
      size_t size = sizeof(float) * (size_t)inputs;
      uint64_t at = sample % ring_frames, left = cycle->frames;
      int64_t offset = (cycle->frame - atomic_load(&start_frame)) * (int64_t)size;
      uint64_t first = left < ring_frames - at ? left : ring_frames - at;
      write_all(capture, sample_ring + at * (uint64_t)inputs, first * size, offset);
      if (left > first)
        write_all(capture, sample_ring, (left - first) * size, offset + (int64_t)(first * size));
      sample += left;
    }
    atomic_store_explicit(&samples_out, sample, memory_order_release);
    atomic_store_explicit(&cycles_out, tail + 1, memory_order_release);
  }
  header->cycles = tail;
  header->start_frame = atomic_load(&start_frame);
  header->play_frame = atomic_load(&play_frame);
  header->dropped = atomic_load(&dropped);
  if (log >= 0) write_all(log, header, sizeof *header, 0);
}

/* Read a byte of every page of the next seconds to be played, so process() finds them in memory. */
static void touch_ahead(uint32_t rate) {
  if (!play) return;
  static uint64_t touched;
  int64_t begin = atomic_load(&play_frame), now = atomic_load(&now_frame);
  uint64_t at = begin >= 0 && now > begin ? (uint64_t)(now - begin) : 0;
  uint64_t bytes = play_frames * (uint64_t)outputs * sizeof(float);
  uint64_t want = (at + (uint64_t)AHEAD_SECONDS * rate) * (uint64_t)outputs * sizeof(float);
  volatile const char *from = (volatile const char *)play;
  for (; touched < want && touched < bytes; touched += 4096) (void)from[touched];
}

/* Connect one port to each of its peers that exists. Returns whether all of them are connected. */
static bool connect_port(jack_port_t *port, const char *peers, bool is_output) {
  char names[1024], *rest = NULL;
  bool all = true;
  if (strcmp(peers, "-") == 0) return true;
  snprintf(names, sizeof names, "%s", peers);
  for (char *peer = strtok_r(names, ",", &rest); peer; peer = strtok_r(NULL, ",", &rest)) {
    if (jack_port_connected_to(port, peer)) continue;
    if (!jack_port_by_name(client, peer)) {
      all = false;
      continue;
    }
    const char *own = jack_port_name(port);
    int failed = is_output ? jack_connect(client, own, peer) : jack_connect(client, peer, own);
    all = all && (failed == 0 || failed == EEXIST);
  }
  return all;
}

static bool connect_all(void) {
  bool all = true;
  for (int k = 0; k < inputs; k++) all &= connect_port(in_port[k], in_peer[k], false);
  for (int k = 0; k < outputs; k++) all &= connect_port(out_port[k], out_peer[k], true);
  return all;
}

static int create(const char *path) {
  if (!path) return -1;
  int file = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
  if (file < 0) fail(EXIT_FILE, strerror(errno), path);
  return file;
}

static void map_play(const char *path) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (file < 0 || fstat(file, &info) != 0) fail(EXIT_FILE, strerror(errno), path);
  size_t frame = sizeof(float) * (size_t)outputs;
  if (outputs == 0 || info.st_size == 0 || (size_t)info.st_size % frame != 0)
    fail(EXIT_FILE, "not a whole number of float32 frames for the outputs given", path);
  play_frames = (size_t)info.st_size / frame;
  void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, file, 0);
  if (map == MAP_FAILED) fail(EXIT_FILE, strerror(errno), path);
  close(file);
  play = map;
}

static void *locked_memory(size_t bytes) {
  void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                  -1, 0);
  if (at == MAP_FAILED) fail(EXIT_FILE, strerror(errno), "memory for the rings");
  return at;
}

static void make_ports(void) {
  char name[16];
  for (int k = 0; k < inputs; k++) {
    snprintf(name, sizeof name, "in_%d", k + 1);
    in_port[k] = jack_port_register(client, name, JACK_DEFAULT_AUDIO_TYPE, JackPortIsInput, 0);
    if (!in_port[k]) fail(EXIT_NO_SERVER, "the server refused the port", name);
  }
  for (int k = 0; k < outputs; k++) {
    snprintf(name, sizeof name, "out_%d", k + 1);
    out_port[k] = jack_port_register(client, name, JACK_DEFAULT_AUDIO_TYPE, JackPortIsOutput, 0);
    if (!out_port[k]) fail(EXIT_NO_SERVER, "the server refused the port", name);
  }
}

static double monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int count, char **word) {
  const char *name = "witness", *capture_path = NULL, *log_path = NULL, *play_path = NULL;
  double seconds = 0.0; /* 0: until told to stop */
  for (int w = 1; w < count; w++) {
    const char *option = word[w];
    if (strcmp(option, "--through") == 0) { through = true; continue; }
    if (strcmp(option, "--loop") == 0) { loop_play = true; continue; }
    if (strcmp(option, "--hold") == 0) { hold = true; continue; }
    if (w + 1 == count) fail(EXIT_USAGE, "unknown option, or its value is missing", option);
    const char *value = word[++w];
    bool port = strcmp(option, "--in") == 0 || strcmp(option, "--out") == 0;
    if (port && (inputs == MAX_PORTS || outputs == MAX_PORTS))
      fail(EXIT_USAGE, "more than 64 ports", option);
    if (strcmp(option, "--in") == 0) in_peer[inputs++] = value;
    else if (strcmp(option, "--out") == 0) out_peer[outputs++] = value;
    else if (strcmp(option, "--name") == 0) name = value;
    else if (strcmp(option, "--capture") == 0) capture_path = value;
    else if (strcmp(option, "--log") == 0) log_path = value;
    else if (strcmp(option, "--play") == 0) play_path = value;
    else if (strcmp(option, "--play-at") == 0) play_at = strtoll(value, NULL, 10);
    else if (strcmp(option, "--seconds") == 0) seconds = strtod(value, NULL);
    else fail(EXIT_USAGE, "unknown option", option);
  }
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  struct sigaction go = {.sa_handler = on_go};
  sigaction(SIGUSR1, &go, NULL);

  jack_set_info_function(quiet);
  client = jack_client_open(name, JackNoStartServer | JackUseExactName, NULL);
  if (!client) fail(EXIT_NO_SERVER, "no JACK server answers, or the name is taken", name);
  Header header = {.magic = "SEGUEWIT", .inputs = (uint32_t)inputs, .outputs = (uint32_t)outputs};
  header.rate = jack_get_sample_rate(client);
  header.block = jack_get_buffer_size(client);
  int log = create(log_path), capture = create(capture_path);
  cycle_ring = locked_memory(CYCLES * sizeof(Cycle));
  ring_frames = 4ull * header.rate;
  if (capture >= 0 && inputs > 0)
    sample_ring = locked_memory(ring_frames * (size_t)inputs * sizeof(float));
  header.locked = mlockall(MCL_CURRENT) == 0;
  if (play_path) map_play(play_path);
  touch_ahead(header.rate);

  make_ports();
  jack_on_shutdown(client, on_shutdown, NULL);
  jack_set_process_callback(client, process, NULL);
  if (jack_activate(client) != 0) fail(EXIT_NO_SERVER, "the server did not activate us", name);

  struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
  bool ready = false, connected = false;
  double end = monotonic() + seconds;
  for (int round = 0; !atomic_load(&stop_asked) && !atomic_load(&server_died); round++) {
    if (seconds > 0.0 && monotonic() >= end) break;
    if (round % CONNECT_TICKS == 0 && connect_all() && !connected && ready) {
      connected = true;
      puts("connected");
      fflush(stdout);
    }
    touch_ahead(header.rate);
    if (atomic_load(&start_frame) >= 0) {
      drain(log, sample_ring ? capture : -1, &header);
      if (!ready && header.cycles > 0) {
        ready = true;
        printf("ready %" PRId64 "\n", atomic_load(&start_frame));
        fflush(stdout);
      }
    }
    nanosleep(&tick, NULL);
  }
  bool died = atomic_load(&server_died);
  if (!died) jack_deactivate(client);
  header.state = died ? SERVER_DIED : FINISHED;
  drain(log, sample_ring ? capture : -1, &header);
  if (died) _exit(EXIT_SERVER_DIED); /* closing a client of a dead server may hang */
  jack_client_close(client);
  return 0;
}
