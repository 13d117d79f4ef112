"""LivePerformance.forward(t) -> AudioFrame: one function carries the whole of the music.

Live and offline are two contexts around this one engine. Both give it rings (engine/shm.py: files
in shared memory, or private memory), both call `hear` with the block's input and then `forward`; it
cannot tell which. Output is a function of inputs, admitted records and t: no clock is read here but
for the ledger, and nothing depends on the block size (except what tinysoundfont makes of blocks
that are no multiple of 64 frames).

Real-time safe after __init__: no lock, no file, no log, no allocation that lasts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from engine.admission import Due, NoteIntake, by_voice
from engine.admitted import AdmissionLog
from engine.channel_map import ChannelMap
from engine.control import Control
from engine.cv_in import CvInputs
from engine.cv_out import CvOutputs
from engine.effects import SharedEffects
from engine.inserts import Inserts, late_frames, lay_pedals
from engine.kernel import ffi, lib, pointer
from engine.layout import MAX_STEMS, InsertOff, LevelKind, NoteKind, ReportKind
from engine.mixer import BUS_ORDER, Mixer, linear, sent_buses
from engine.patch import EFFECTS, PERFORMER, Patch
from engine.plugin_proof import proof_of
from engine.sampler import MAX_FRAMES, SampledVoice
from engine.shm import Shared
from engine.shm_records import STAGES, timeline_record
from engine.slices import cut, hold
from engine.sources import pedals_of
from engine.state import FOREVER, fresh
from engine.strip import SETTINGS, begin_duck, begin_strip, fits, set_strip, strip_of, values_of
from engine.successor import Sounding, forget_notes, strike_again, take_over
from engine.taps import connect_taps
from engine.tick import Tick
from engine.timeline import Timeline
from engine.voice_memory import remember

START_FADE_FRAMES = 480
LATE_S = 0.05  # a note that comes later than this is told of: hands' come up to two blocks late


@dataclass
class AudioFrame:
    """Frames [t, t+n) for the device: `out` float32 (n, channels), the place lent to `hear` or a
    view of our own that the next block overwrites."""

    t: int
    n: int
    out: Any


class LivePerformance:
    """patch, rings, and the state array of engine/state.py, resumed where one is given (long_ago:
    it is older than notes last)."""

    def __init__(
        self,
        patch: Patch,
        shared: Shared,
        channels: ChannelMap,
        rate: float,
        soundfont: Path | None,
        resumed: np.ndarray | None = None,
        long_ago: bool = False,
    ) -> None:
        self.patch, self.shared, self.channels, self.rate = patch, shared, channels, rate
        self.state = fresh()
        s = self.state[0]
        self.mixer = Mixer(patch, s, rate)
        s["timeline"] = timeline_record(
            Timeline(
                frame=0,
                beat=0.0,
                bpm=patch.clock.bpm,
                rate=rate,
                beats_per_bar=patch.clock.beats_per_bar,
                bars_per_phrase=patch.clock.bars_per_phrase,
                confidence=0.0,
            )
        )[0]
        begin_duck(s["duck"], patch.ducking, rate)
        for cell, source in zip(s["strips"], patch.inputs.values(), strict=False):
            begin_strip(cell, source.strip, rate)
        for values, source in zip(s["strip_settings"], patch.inputs.values(), strict=False):
            values[:] = values_of(source.strip)
        if resumed is not None:
            self.state[:] = resumed
        self._ramps = {k: pointer(self.state[k], "seg_ramp *") for k in ("master", "ai", "fade")}
        self._notes = self.state["notes"][0]
        self._told = self.state["voices"][0]
        self._t = self.state["t"]
        self._voices = [  # without a SoundFont notes still drive CV
            SampledVoice(soundfont, v, rate, patch.tuning_hz) if soundfont else None
            for v in patch.voices.values()
        ]
        sent = sent_buses(patch)
        self._first_effect = self.mixer.index[f"effect.{EFFECTS[0]}"]
        self.effects = SharedEffects(patch.effects, rate)
        self.effects.tempo(float(s["timeline"]["bpm"]))
        if "reverb" in sent:
            self.mixer.desk.reverb = self.effects.reverb
        if "delay" in sent:
            self.mixer.desk.delay = self.effects.delay
        self._desk = self._lay_desk()
        self._voice_rows = [
            (self.mixer.row(len(patch.inputs) + v), self.mixer.row(len(patch.inputs) + v, 1))
            for v in range(len(self._voices))
        ]
        names = list(patch.players)
        producers = [f"answers.{p}" for p in names if not patch.players[p].to]
        producers += ["stem_notes"] if shared.has_ring("stem_notes") else []
        admitted = shared.ring("admitted") if shared.has_ring("admitted") else None
        self.log = AdmissionLog(self.mixer.desk, admitted)
        self.intakes = [
            NoteIntake(shared.ring(r), self.state[0]["intakes"][i], self.log, i)
            for i, r in enumerate(("midi_notes", *producers))
        ]
        self._late = round(LATE_S * rate)
        self.control = Control(self)
        self.cv_in = CvInputs(patch, self.state, channels.cv_in, rate, self.mixer)
        self.cv = CvOutputs(patch, self.state, channels.cv, rate, self.mixer, self.cv_in.rows)
        self.tick = Tick(rate)
        self._click = self.mixer.sources[self.mixer.index["click"]]
        connect_taps(shared, self.mixer, list(channels.cv))
        lay_pedals(patch, self.mixer, self.state["pedals"][0], rate)
        self._pedals_late = [late_frames(patch, p, rate) for p in pedals_of(patch).values()]
        proofs = {name: proof_of(found) for name, found in shared.meta.get("inserts", {}).items()}
        self.inserts = Inserts(patch, self.mixer, rate, proofs, shared.insert_words)
        self._known_bad = self.mixer.not_finite.copy()
        self.stage_ns = (0,) * len(STAGES)
        self._channels_in = max(1, channels.channels_in)
        self._channels_out = max(1, channels.channels_out)
        self._out = np.zeros((MAX_FRAMES, self._channels_out), np.float32)
        self._own_output = pointer(self._out)
        self._input: Any = ffi.NULL
        self._output: Any = self._own_output
        self._lent: Any = (None, None)
        self._n = 0
        # called with (t, n) of each stretch while the mixer's rows hold it
        self.rendered: Callable[[int, int], None] | None = None
        if resumed is not None and long_ago:
            resumed = forget_notes(self.state, resumed, self.intakes)
        self._sounding: list[Sounding] = []  # a predecessor's, until our first block
        self._begin_life(soundfont, resumed)
        if resumed is not None:
            self._sounding = take_over(patch, self.state[0], self._voices, self.intakes, long_ago)
            self.control.take_again()
        else:
            for intake in self.intakes:
                intake.mark()

    def _begin_life(self, soundfont: Path | None, resumed: np.ndarray | None) -> None:
        """Tell the recorder what this audio process began from."""
        epochs = [intake.epoch for intake in self.intakes]
        if resumed is not None:
            epochs = resumed[0]["intakes"]["epoch"][: len(self.intakes)].tolist()
        facts = {
            "pid": os.getpid(),
            "rate": self.rate,
            "channels": asdict(self.channels),
            "soundfont": None if soundfont is None else str(soundfont),
            "epochs": epochs,
            "inserts": self.inserts.names,
        }
        self.log.life(facts, resumed)

    def _lay_desk(self) -> Any:
        """Tell the kernel what sounds and what leaves."""
        patch, mixer, desk = self.patch, self.mixer, self.mixer.desk
        streams = pointer(self.state["streams"], "seg_stream *")
        strips = pointer(self.state["strips"], "seg_strip *")
        inputs = mixer.keep("seg_input[]", max(1, len(patch.inputs)))
        for i, (name, source) in enumerate(patch.inputs.items()):
            inputs[i].channel = self.channels.inputs.get(name, -1)
            inputs[i].trim = linear(source.trim_db)
            inputs[i].stream = streams + i
            inputs[i].strip = strips + i
            inputs[i].texture = mixer.index.get(f"texture.{source.stream}", -1)
            if source.stream == PERFORMER:
                inputs[i].ring = self.shared.ring(f"stream.{name}").pointer
        desk.inputs, desk.input_count = inputs, len(patch.inputs)
        players = [n for n, p in patch.players.items() if p.to]
        textures = mixer.keep("seg_texture[]", max(1, len(players)))
        for i, name in enumerate(players):
            textures[i].source = mixer.index[f"texture.{name}"]
            textures[i].ring = self.shared.ring(f"texture.{name}").pointer
            textures[i].stream = streams + len(patch.inputs) + i
        desk.textures, desk.texture_count = textures, len(players)
        if patch.roles:
            desk.first_role = mixer.index[f"stems.{next(iter(patch.roles))}"]
        desk.role_count = len(patch.roles) + bool(patch.roles)  # and what is listened to first
        mixer.duck(patch, self.state)
        desk.stems = pointer(self.state["stems"], "seg_stem *")
        desk.stem_count = MAX_STEMS
        cut(desk.slicing, self.rate)
        line = self.state["timeline"][0]
        hold(desk, int(line["frame"]), line["beat"], self.rate * 60 / line["bpm"])
        desk.arena, desk.arena_size = pointer(self.shared.arena), self.shared.arena.size
        desk.master, desk.ai, desk.fade = (self._ramps[k] for k in ("master", "ai", "fade"))
        limiters = pointer(self.state["limiters"], "seg_limiter_state *")
        outputs = mixer.keep("seg_output[]", max(1, len(self.channels.outputs)))
        for output, (bus, chans) in zip(outputs, self.channels.outputs.items(), strict=False):
            output.bus, output.limited = BUS_ORDER.index(bus), patch.outputs[bus].limit
            output.channels = [*chans, -1][:2]
            output.limiter = limiters + output.bus
            output.level = mixer.level(LevelKind.BUS, output.bus)
        desk.outputs, desk.output_count = outputs, len(self.channels.outputs)
        return desk

    # ---- one block

    def hear(self, block: Any, n: int, out: Any = None) -> None:
        """Lend the next n (at most MAX_FRAMES) frames of input: anything with a buffer of float32
        (n, channels_in), C-contiguous, or None: silence; and a place for the output likewise, or
        None: a buffer of our own."""
        self._n = n
        self._lent = (block, out)  # kept alive until the next block
        self._input = ffi.NULL if block is None else ffi.from_buffer("float[]", block)
        own = out is None
        self._output = self._own_output if own else ffi.from_buffer("float[]", out)

    def forward(self, t: int) -> AudioFrame:
        """The block of the n frames that `hear` announced, from device frame t on. It is rendered
        in one stretch, or cut where a command of the conductor begins to hold."""
        begun = time.perf_counter_ns()
        end = t + self._n
        due, until = self.control.admit(t), self.control.cut(end)
        self._render(t, until - t, due, begun)
        if until < end:
            self._render_rest(t, until, end)
        self.control.flush()
        lent = self._lent[1]
        return AudioFrame(t, self._n, self._out[: self._n] if lent is None else lent)

    def _render_rest(self, t: int, at: int, end: int) -> None:
        """Frames [at, end) of the block that began at t."""
        heard, out, stages = self._input, self._output, self.stage_ns
        while at < end:
            begun = time.perf_counter_ns()
            due: list[Due] = []
            self.control.reach(at, due)
            until = self.control.cut(end)
            if heard != ffi.NULL:
                self._input = heard + (at - t) * self._channels_in
            self._output = out + (at - t) * self._channels_out
            self._render(at, until - at, due, begun)
            stages = tuple(map(add, stages, self.stage_ns))
            at = until
        self.stage_ns = stages

    def _render(self, t: int, n: int, due: list[Due], begun: int) -> None:
        """Frames [t, t+n), throughout which the same commands hold. begun: when, by the ledger."""
        clock = time.perf_counter_ns
        late = t - self._late
        for intake in self.intakes:
            intake.take(t + n, due, late)
            if intake.trouble:
                self._tell_notes(intake, t)
        if self._sounding:
            strike_again(self._sounding, self._voices, self.intakes, due)
        admitted = clock()
        if lib.seg_desk_inputs(self._desk, self._input, self._channels_in, t, n):
            self._tell_missing(t)
        if self._desk.edge_count:
            self._tell_gates()
        heard = clock()
        self._sampler(t, n, due)
        if self.inserts.busy:
            self.inserts.run(self.control, t, n)
        sampled = clock()
        self.tick.render(self.state, t, n, self._click)
        bad = lib.seg_desk_mix(self._desk, t, n)
        started, ended = self._desk.started, self._desk.ended
        if started or ended:
            self.control.report_stems(t, n, started, ended)
            self.cv.stems(t, n, started, ended)
        mixed = clock()
        bad += lib.seg_desk_out(self._desk, self._output, self._channels_out, t, n)
        if bad:
            self._tell_not_finite(t)
        self._t[0] = t + n
        if self.rendered is not None:
            self.rendered(t, n)
        ended_at = clock()
        self.stage_ns = (
            admitted - begun,
            heard - admitted,
            sampled - heard,
            mixed - sampled,
            ended_at - mixed,
        )

    def _tell_notes(self, intake: NoteIntake, t: int) -> None:
        for frame, voice in intake.late:
            self.control.report(ReportKind.NOTE_LATE, t, slot=voice, a=min(t - frame, FOREVER))
        if intake.dropped:
            which = self.intakes.index(intake)
            self.control.report(ReportKind.DROPPED, t, slot=which, a=min(intake.dropped, FOREVER))
        intake.told()

    def _tell_missing(self, t: int) -> None:
        for i in range(self._desk.input_count):
            missing = self._desk.inputs[i].missing
            if missing:
                self.control.report(ReportKind.STREAM_LATE, t, slot=i, a=missing)
        for i in range(self._desk.pedal_count):
            pedal = self._desk.pedals[i]
            if pedal.turned > 0:
                late = self._pedals_late[i]
                self.control.report(ReportKind.INSERT_ON, t, slot=pedal.source, a=late)
            elif pedal.turned < 0:
                self.control.report(ReportKind.INSERT_OFF, t, pedal.source, a=InsertOff.ABSENT)
        self._tell_not_finite(t)

    def _tell_gates(self) -> None:
        for frame, index, up in self.cv_in.edges():
            self.control.report(ReportKind.CV_GATE, frame, slot=index, a=int(up))

    def _tell_not_finite(self, t: int) -> None:
        """Name the sources that were stopped, and let effects forget what they heard."""
        new = (self.mixer.not_finite - self._known_bad).sum(axis=1)
        self._known_bad[:] = self.mixer.not_finite
        for index in np.flatnonzero(new).tolist():
            self.control.report(ReportKind.NOT_FINITE, t, slot=index, a=int(new[index]))
            if index >= self._first_effect:
                self.effects.reset()

    def _sampler(self, t: int, n: int, due: list) -> None:
        if not due:
            for v, voice in enumerate(self._voices):
                if voice is not None:
                    voice.render(t, n, (), *self._voice_rows[v])
            return
        events = by_voice(due, t, n, len(self._voices))
        notes = self._notes
        for v, voice in enumerate(self._voices):
            for offset, kind, key, velocity, value in events[v]:
                if kind == NoteKind.ON:
                    notes[v, key] = velocity
                    self.control.report(ReportKind.NOTE_ON, t + offset, slot=v, a=key, b=velocity)
                elif kind == NoteKind.OFF:
                    notes[v, key] = 0
                    self.control.report(ReportKind.NOTE_OFF, t + offset, slot=v, a=key)
                else:
                    remember(self._told[v], kind, key, value)
            if events[v]:
                self.cv.notes(v, t, events[v])
            if voice is not None:
                voice.render(t, n, events[v], *self._voice_rows[v])

    # ---- what the control asks for

    def silence_generated(self, generated: list[bool]) -> None:
        """Cut every voice a model plays, and effect tails; behind a fade."""
        for v, voice in enumerate(self._voices):
            if generated[v] and voice is not None:
                voice.silence()
                self.state[0]["notes"][v] = 0
        self.effects.reset()

    def fade_to(self, t: int, gain: float, frames: int = START_FADE_FRAMES) -> None:
        """Everything that leaves, to a linear gain."""
        self.set_ramp("fade", t, gain, frames)
        self.log.fade(t, self.state["fade"])

    def set_strip(self, source: int, setting: int, value: float, t: int) -> None:
        """One setting of an input's strip (engine/strip.py SETTINGS), from t on. NaN: stage off."""
        if source < len(self.patch.inputs) and setting < len(SETTINGS) and fits(setting, value):
            values = self.state[0]["strip_settings"][source]
            values[setting] = value
            set_strip(self.state[0]["strips"][source], strip_of(values), self.rate, t)

    def fade_in(self, first: int, last: int) -> None:
        """Everything that leaves: from silence at frame `first` to unity at `last`."""
        self.state[0]["fade"] = (first, last, 0.0, 1.0)
        self.log.fade(first, self.state["fade"])

    def leave(self, t: int) -> None:
        """On the way out: fade, gates down and never up again."""
        self.fade_to(t, 0.0)
        self.log.leave(t)
        self.cv.gates_down(t)

    def set_ramp(self, name: str, t: int, gain: float, frames: int) -> None:
        """From wherever a ramp stands at t."""
        ramp = self.state[0][name]
        ramp["g0"] = lib.seg_ramp_at(self._ramps[name], t)
        ramp["f0"], ramp["f1"], ramp["g1"] = t, t + frames, gain
