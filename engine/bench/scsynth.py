"""The peer: SuperCollider's scsynth (Debian's supercollider-server) under a comparable mix.

The mix, as near to segue's standard load as scsynth's own unit generators come, and no heavier:

  4 live inputs     HPF, Compander as gate, BPeakEQ x 3, Compander as compressor
  16 stereo stems   PlayBuf, looping, of 16 different buffers
  2 textures        stereo, read from buses
  16 sampler voices PlayBuf with a rate and an envelope, panned
  effects           FreeVerb, CombN
  outputs           clipped stereo main, 4 monitor mixes of inputs and groups, 4 CV
  recorder feed     RecordBuf of 4 inputs and main

It can be switched on and off (`run`), and its DSP thread's CPU time is read from the kernel's
scheduler (nanoseconds), the same way as segue's.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from engine.bench.child import end_process
from engine.bench.jackd import JackServer, need_tool, wait_until
from engine.bench.scsynth_synthdef import AUDIO, CONTROL, Out, SynthDef

INPUTS, STEMS, TEXTURES, VOICES, MONITORS, CVS = 4, 16, 2, 16, 4, 4
OUTPUTS = 2 + MONITORS + CVS
STEM_SECONDS = 8
VOICE_BUFFER, RECORD_BUFFER = STEMS, STEMS + 1
START_SECONDS = 10.0
STOP_SECONDS = 5.0
GROUP = 100

# Private buses, after the hardware outputs and inputs.
_FIRST = OUTPUTS + INPUTS
MAIN, STEM_BUS, VOICE_BUS, TEXTURE_BUS = _FIRST, _FIRST + 2, _FIRST + 4, _FIRST + 6
SEND, FEED = TEXTURE_BUS + 2 * TEXTURES, TEXTURE_BUS + 2 * TEXTURES + 2
BUSES = FEED + INPUTS


class ScsynthError(RuntimeError):
    """scsynth is missing, did not start, or refused; says what it said."""


def strip() -> SynthDef:
    d = SynthDef("strip", {"channel": 0.0, "gain": 0.5})
    source = d.ugen("In", AUDIO, [d["channel"]])
    cut = d.ugen("HPF", AUDIO, [source, 80.0])
    gated = d.ugen("Compander", AUDIO, [cut, cut, 0.003, 10.0, 1.0, 0.002, 0.1])
    low = d.ugen("BPeakEQ", AUDIO, [gated, 200.0, 1.0, 2.0])
    mid = d.ugen("BPeakEQ", AUDIO, [low, 1000.0, 1.0, -2.0])
    high = d.ugen("BPeakEQ", AUDIO, [mid, 5000.0, 1.0, 1.5])
    pressed = d.ugen("Compander", AUDIO, [high, high, 0.25, 1.0, 0.33, 0.005, 0.1])
    loud = d.mul(pressed, d["gain"])
    d.out(MAIN, [loud, loud])
    d.out(SEND, [d.mul(loud, 0.2), d.mul(loud, 0.1)])
    for m in range(MONITORS):
        d.out(2.0 + m, [d.mul(loud, 0.4 + 0.1 * m)])
    feed = d.ugen("BinaryOpUGen", CONTROL, [d["channel"], float(FEED - OUTPUTS)], 0)
    d.out(feed, [source])
    return d


def stem() -> SynthDef:
    d = SynthDef("stem", {"buffer": 0.0, "gain": 0.05})
    sides = d.ugens("PlayBuf", AUDIO, [d["buffer"], 1.0, 1.0, 0.0, 1.0, 0.0], 2)
    d.out(STEM_BUS, [d.mul(side, d["gain"]) for side in sides])
    return d


def texture() -> SynthDef:
    d = SynthDef("texture", {"bus": 0.0, "gain": 0.3})
    d.out(MAIN, [d.mul(side, d["gain"]) for side in d.ugens("In", AUDIO, [d["bus"]], 2)])
    return d


def voice() -> SynthDef:
    d = SynthDef("voice", {"rate": 1.0, "place": 0.0, "gate": 1.0})
    sample = d.ugen("PlayBuf", AUDIO, [VOICE_BUFFER, d["rate"], 1.0, 0.0, 1.0, 0.0])
    # Env.adsr(0.01, 0.3, 0.5, 1): start, segments, release node, loop node, then each segment
    shape = [0.0, 3.0, 2.0, -99.0, 1.0, 0.01, 5.0, -4.0, 0.5, 0.3, 5.0, -4.0, 0.0, 1.0, 5.0, -4.0]
    envelope = d.ugen("EnvGen", AUDIO, [d["gate"], 0.05, 0.0, 1.0, 0.0, *shape])
    d.out(VOICE_BUS, d.ugens("Pan2", AUDIO, [d.mul(sample, envelope), d["place"], 1.0], 2))
    return d


def master() -> SynthDef:
    d = SynthDef("master", {f"cv{k}": 0.1 * k for k in range(CVS)})
    main, stems, voices = (d.ugens("In", AUDIO, [bus], 2) for bus in (MAIN, STEM_BUS, VOICE_BUS))
    send = d.ugens("In", AUDIO, [SEND], 2)
    room = d.ugen("FreeVerb", AUDIO, [d.sum([send[0], d.mul(voices[0], 0.2)]), 1.0, 0.7, 0.5])
    echo = d.ugen("CombN", AUDIO, [send[1], 1.0, 0.375, 3.0])
    mixed = []
    for k in range(2):
        both = d.sum([main[k], stems[k], voices[k], room, echo])
        mixed.append(d.ugen("Clip", AUDIO, [both, -0.98, 0.98]))
    d.out(0.0, mixed)
    for m in range(MONITORS):
        d.out(2.0 + m, [d.sum([d.mul(stems[m % 2], 0.3), d.mul(voices[m % 2], 0.3 + 0.1 * m)])])
    for k in range(CVS):
        level: Out = d.ugen("Lag", CONTROL, [d[f"cv{k}"], 0.005])
        d.out(2.0 + MONITORS + k, [d.ugen("K2A", AUDIO, [level])])
    feed = d.ugens("In", AUDIO, [FEED], INPUTS)
    d.ugen("RecordBuf", AUDIO, [RECORD_BUFFER, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, *feed, *mixed], 0)
    return d


SYNTHDEFS = (strip, stem, texture, voice, master)


def thread_cpu_ns(pid: int) -> dict[int, int]:
    """CPU time of each thread of a process, by thread id, in nanoseconds (Linux schedstat)."""
    found: dict[int, int] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found[int(task.name)] = int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return found


def busiest_ns(before: dict[int, int], after: dict[int, int]) -> int:
    """CPU nanoseconds, between two readings, of the thread that used the most: the DSP thread."""
    return max((after[t] - before.get(t, 0) for t in after), default=0)


class Scsynth:
    """scsynth on a server, loaded with the mix above and switched off. Not thread-safe."""

    def __init__(self, server: JackServer, *, inputs_from: tuple[str, ...] = ()) -> None:
        self._server = server
        self._inputs_from = inputs_from
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(START_SECONDS)
        self.process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> Scsynth:
        """Start, load the mix, connect. Raises ScsynthError, JackError."""
        program = need_tool("scsynth", "supercollider-server")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = {"-u": port, "-B": "127.0.0.1", "-i": INPUTS, "-o": OUTPUTS, "-a": BUSES + 64}
        options |= {"-D": 0, "-R": 0, "-m": 65536, "-H": "scsynth"}
        words = [str(word) for pair in options.items() for word in pair]
        # SC_JACK_DEFAULT_*: unset, so that it connects to nothing by itself
        environment = {k: v for k, v in self._server.env.items() if not k.startswith("SC_JACK")}
        self.process = subprocess.Popen(
            [program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._port = port
        self._socket.connect(("127.0.0.1", port))
        try:
            self._server.wait_ports("scsynth:in_1", f"scsynth:out_{OUTPUTS}")
            if not wait_until(self._answers, START_SECONDS):
                raise ScsynthError("scsynth does not answer /status")
            self._load()
            for k, source in enumerate(self._inputs_from):
                self._server.connect(source, f"scsynth:in_{k + 1}")
        except BaseException:
            self.stop()
            raise
        return self

    def send(self, address: str, *values: object) -> None:
        builder = OscMessageBuilder(address=address)
        for value in values:
            builder.add_arg(value)
        self._socket.send(builder.build().dgram)

    def _receive(self) -> OscMessage:
        return OscMessage(self._socket.recv(65536))

    def sync(self, number: int = 1) -> None:
        """Wait until everything sent so far is done. Raises ScsynthError when a part failed."""
        self.send("/sync", number)
        while True:
            try:
                reply = self._receive()
            except TimeoutError:
                raise ScsynthError("scsynth did not answer /sync") from None
            if reply.address == "/fail":
                raise ScsynthError(f"scsynth refused: {list(reply)}")
            if reply.address == "/synced":
                return

    def _answers(self) -> bool:
        try:
            self.send("/status")
            return self._receive().address == "/status.reply"
        except ConnectionRefusedError:
            return False  # its socket is not open yet

    def status(self) -> tuple[int, int]:
        """(unit generators, synths) running."""
        self.send("/status")
        reply = list(self._receive())
        return int(reply[1]), int(reply[2])

    def _load(self) -> None:
        for make in SYNTHDEFS:
            self.send("/d_recv", make().encode())
        frames = STEM_SECONDS * self._server.rate
        for k in range(STEMS):
            self.send("/b_alloc", k, frames, 2)
            self.send("/b_gen", k, "sine1", 7, *(1.0 / h for h in range(100, 140 + k)))
            self.sync()
        self.send("/b_alloc", VOICE_BUFFER, self._server.rate, 1)
        self.send("/b_gen", VOICE_BUFFER, "sine1", 7, *(1.0 / h for h in range(220, 260)))
        self.send("/b_alloc", RECORD_BUFFER, frames, INPUTS + 2)
        self.send("/g_new", GROUP, 0, 0)
        self.run(on=False)
        self.sync()
        tail = (-1, 1, GROUP)  # node number chosen by the server, at the group's tail
        for k in range(INPUTS):
            self.send("/s_new", "strip", *tail, "channel", float(OUTPUTS + k))
        for k in range(STEMS):
            self.send("/s_new", "stem", *tail, "buffer", float(k))
        for k in range(TEXTURES):
            self.send("/s_new", "texture", *tail, "bus", float(TEXTURE_BUS + 2 * k))
        for k in range(VOICES):
            rate = 2.0 ** ((k - 8) / 12)
            self.send("/s_new", "voice", *tail, "rate", rate, "place", k / 8 - 1.0)
        self.send("/s_new", "master", *tail)
        self.sync()

    def run(self, *, on: bool) -> None:
        """Switch the whole mix on or off; done when this returns."""
        self.send("/n_run", GROUP, int(on))
        self.sync()

    def stop(self) -> None:
        """End it by its process id and reap it."""
        if self.process is not None:
            end_process(self.process, STOP_SECONDS)
            self.process = None
            # scsynth makes it and never removes it: eight megabytes of memory.
            Path(f"/dev/shm/SuperColliderServer_{self._port}").unlink(missing_ok=True)
        self._socket.close()

    def __enter__(self) -> Scsynth:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
