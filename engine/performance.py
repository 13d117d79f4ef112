"""LivePerformance.forward(t) -> AudioFrame: one function carries the whole of the music.

Live and offline are two contexts around this one engine. Both give it rings (engine/shm.py: files
in shared memory, or private memory), both call `hear` with the block's input and then `forward`; it
cannot tell which. Output is a function of inputs, admitted records and t: no clock is read here but
for the ledger, and nothing depends on the block size (except what tinysoundfont and pedalboard make
of blocks that are no multiple of 64 frames).

Real-time safe after __init__: no lock, no file, no log, no allocation that lasts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from engine.admission import NoteIntake, by_voice
from engine.control import Control
from engine.cv_out import CvOutputs
from engine.effects import Chain, effect_chain, strip_chain
from engine.kernel import lib, pointer
from engine.layout import MAX_STEMS, NoteKind, ReportKind
from engine.mixer import BUS_ORDER, Mixer, linear, sends_of
from engine.patch import EFFECTS, Patch
from engine.sampler import MAX_FRAMES, SampledVoice
from engine.shm import STAGES, Shared, timeline_record
from engine.state import fresh
from engine.taps import Taps
from engine.tick import Tick
from engine.timeline import Timeline

START_FADE_FRAMES = 480


@dataclass
class AudioFrame:
    """Frames [t, t+n) for the device: `out` float32 (n, channels), a view that the next block
    overwrites."""

    t: int
    n: int
    out: np.ndarray


@dataclass(frozen=True)
class ChannelMap:
    """Device channels (from 0) of inputs and outputs; inputs without one are silent."""

    inputs: dict[str, int]
    outputs: dict[str, tuple[int, ...]]
    cv: dict[str, int]
    channels_in: int
    channels_out: int


class LivePerformance:
    """patch, rings, and the state array of engine/state.py, resumed where one is given."""

    def __init__(
        self,
        patch: Patch,
        shared: Shared,
        channels: ChannelMap,
        rate: float,
        soundfont: Path | None,
        resumed: np.ndarray | None = None,
    ) -> None:
        self.patch, self.shared, self.channels, self.rate = patch, shared, channels, rate
        self.state = fresh()
        s = self.state[0]
        self.mixer = Mixer(patch, s["gains"], rate)
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
        if resumed is not None:
            self.state[:] = resumed
        self._ramps = {k: pointer(self.state[k], "seg_ramp *") for k in ("master", "ai", "fade")}
        self._stems = pointer(self.state["stems"], "seg_stem *")
        self._limiters = pointer(self.state["limiters"], "seg_limiter_state *")
        self._streams = pointer(self.state["streams"], "seg_stream *")
        self._arena = pointer(shared.arena)
        self._marks = np.zeros(2, np.uint32)  # stems started, ended
        self._mark_pointers = (
            pointer(self._marks, "uint32_t *"),
            pointer(self._marks[1:], "uint32_t *"),
        )
        self._notes = self.state["notes"][0]
        self._voices = [
            SampledVoice(soundfont, v, rate) for v in patch.voices.values() if soundfont
        ]
        self._strips = {n: strip_chain(i.strip, rate) for n, i in patch.inputs.items()}
        sent = {bus for name in self.mixer.names for bus in sends_of(patch, name)}
        self._effects: dict[str, Chain] = {
            n: effect_chain(n, rate, patch.clock.bpm) for n in EFFECTS if n in sent
        }
        self._sources = self._input_plan()
        self._textures = [
            (
                self.mixer.index[f"texture.{n}"],
                shared.ring(f"texture.{n}").pointer,
                self._streams + len(patch.inputs) + i,
            )
            for i, n in enumerate(n for n, p in patch.players.items() if p.to)
        ]
        self._role = None
        if patch.roles:
            self._role = self.mixer.row(self.mixer.index[f"stems.{next(iter(patch.roles))}"])
        self._first_voice = len(patch.inputs)
        self._outputs = [
            (BUS_ORDER.index(bus), patch.outputs[bus].limit, chans)
            for bus, chans in channels.outputs.items()
        ]
        names = list(patch.players)
        producers = [f"answers.{p}" for p in names if not patch.players[p].to]
        self.intakes = [NoteIntake(shared.ring(r)) for r in ("midi_notes", *producers)]
        self.control = Control(self)
        self.cv = CvOutputs(patch, self.state, channels.cv, rate)
        self.tick = Tick(rate)
        self.taps = Taps(shared, self.mixer)
        self.stage_ns = (0,) * len(STAGES)
        self._in = np.zeros((MAX_FRAMES, max(1, channels.channels_in)), np.float32)
        self._out = np.zeros((MAX_FRAMES, max(1, channels.channels_out)), np.float32)
        self._input, self._output = pointer(self._in), pointer(self._out)
        self._n = 0
        if resumed is not None:
            self._strike_again()

    def _input_plan(self) -> list[tuple]:
        """An input: source, device channel or None, trim, strip, stream ring and its state."""
        plan = []
        for i, (name, source) in enumerate(self.patch.inputs.items()):
            index = self.mixer.index[f"input.{name}"]
            ring = self.shared.ring(f"stream.{name}").pointer if source.stream else None
            plan.append(
                (
                    index,
                    self.channels.inputs.get(name),
                    linear(source.trim_db),
                    self._strips[name],
                    ring,
                    self._streams + i,
                )
            )
        return plan

    def _strike_again(self) -> None:
        """Sounding notes of the snapshot start again; their producers will release them."""
        for v, voice in enumerate(self._voices):
            for key in np.flatnonzero(self.state[0]["notes"][v]):
                voice.note_on(int(key), int(self.state[0]["notes"][v][key]))
                owner = self.intakes[0 if self._is_thru(v) else -1]
                owner.held[v, int(key)] = int(self.state[0]["notes"][v][key])

    def _is_thru(self, voice: int) -> bool:
        name = list(self.patch.voices)[voice]
        return any(m.voice == name for m in self.patch.midi.values())

    # ---- one block

    def hear(self, block: np.ndarray | None, n: int) -> None:
        """Give the next n (at most MAX_FRAMES) frames: float32 (n, channels_in), None: silence."""
        self._n = n
        self._in[:n] = 0.0 if block is None else block

    def forward(self, t: int) -> AudioFrame:
        """The block of the n frames that `hear` announced, from device frame t on."""
        n = self._n
        clock = time.perf_counter_ns
        marks = [clock()]
        due = self.control.admit(t, n)
        for intake in self.intakes:
            due.extend(intake.take(t + n))
        self.mixer.clear(n)
        marks.append(clock())
        self._inputs(t, n)
        marks.append(clock())
        self._sampler(t, n, due)
        marks.append(clock())
        self._stems_and_textures(t, n)
        marks.append(clock())
        self._mix(t, n)
        marks.append(clock())
        frame = self._outputs_of(t, n)
        self.taps.write(t, n)
        self.control.flush()
        self.state["t"] = t + n
        marks.append(clock())
        self.stage_ns = tuple(b - a for a, b in pairwise(marks))
        return frame

    def _inputs(self, t: int, n: int) -> None:
        mixer = self.mixer
        for index, channel, trim, strip, ring, stream in self._sources:
            row = mixer.row(index)
            if ring is not None:
                missing = lib.seg_stream_read(ring, stream, 1, row, MAX_FRAMES, t, n)
                if missing:
                    self.control.report(ReportKind.STREAM_LATE, t, slot=index, a=missing)
            elif channel is None:
                lib.seg_zero(row, MAX_FRAMES, 1, n)
            else:
                lib.seg_gather(self._input, self.channels.channels_in, channel, n, trim, row)
            bad = mixer.guard(n, index, 1)
            if strip is not None:
                strip.process(mixer.sources[index, :1, :n])
                bad_after = mixer.guard(n, index, 1)
                if bad_after:
                    strip.reset()
                bad += bad_after
            if bad:
                self.control.report(ReportKind.NOT_FINITE, t, slot=index, a=bad)

    def _sampler(self, t: int, n: int, due: list) -> None:
        events = by_voice(due, t, n, len(self._voices))
        first = self._first_voice
        notes = self._notes
        for v, voice in enumerate(self._voices):
            for offset, kind, key, velocity, _ in events[v]:
                if kind == NoteKind.ON:
                    notes[v, key] = velocity
                    self.control.report(ReportKind.NOTE_ON, t + offset, slot=v, a=key, b=velocity)
                elif kind == NoteKind.OFF:
                    notes[v, key] = 0
                    self.control.report(ReportKind.NOTE_OFF, t + offset, slot=v, a=key)
            if events[v]:
                self.cv.notes(v, t, events[v])
            row = self.mixer.row(first + v)
            voice.render(t, n, events[v], row, row + MAX_FRAMES)

    def _stems_and_textures(self, t: int, n: int) -> None:
        for index, ring, stream in self._textures:
            row = self.mixer.row(index)
            lib.seg_stream_read(ring, stream, 2, row, MAX_FRAMES, t, n)
        if self._role is not None:
            self._marks[:] = 0
            lib.seg_zero(self._role, MAX_FRAMES, 2 * len(self.patch.roles), n)
            lib.seg_stems(
                self._stems,
                MAX_STEMS,
                self._arena,
                self.shared.arena.size,
                self._role,
                MAX_FRAMES,
                t,
                n,
                *self._mark_pointers,
            )
            started, ended = self._marks.tolist()
            if started or ended:
                self.control.report_stems(t, n, started, ended)
        click = self.mixer.index["click"]
        self.tick.render(self.state, t, n, self.mixer.sources[click])

    def _mix(self, t: int, n: int) -> None:
        mixer = self.mixer
        first = self._first_voice
        if mixer.guard(n, first):
            self.control.report(ReportKind.NOT_FINITE, t, slot=0xFFFF)
        mixer.duck_generated(t, n, self._ramps["ai"])
        mixer.mix(t, n)
        for name, chain in self._effects.items():
            index = mixer.index[f"effect.{name}"]
            target = mixer.sources[index, :, :n]
            target[:] = mixer.buses[BUS_ORDER.index(name), :, :n]
            chain.process(target)
            if mixer.guard(n, index, 1):
                chain.reset()
                self.control.report(ReportKind.NOT_FINITE, t, slot=index)
        if self._effects:
            mixer.duck_effects(t, n, self._ramps["ai"])
            mixer.mix_returns(t, n)

    def _outputs_of(self, t: int, n: int) -> AudioFrame:
        mixer = self.mixer
        out = self._out[:n]
        out[:] = 0.0
        target = self._output
        count = self._out.shape[1]
        lib.seg_gain(mixer.bus(0), MAX_FRAMES, 2, t, n, self._ramps["master"])
        for bus, limited, channels in self._outputs:
            if limited:
                mixer.limit(bus, n, self._limiters + bus)
            lib.seg_gain(mixer.bus(bus), MAX_FRAMES, 2, t, n, self._ramps["fade"])
            left, right = mixer.bus(bus), mixer.bus(bus, 1)
            if len(channels) == 1:
                lib.seg_scatter_mono(target, count, channels[0], n, left, right)
            else:
                for side, channel in zip((left, right), channels, strict=False):
                    lib.seg_scatter(target, count, channel, n, side)
        self.cv.render(t, n, target, count)
        mixer.meter(n)
        return AudioFrame(t, n, out)

    # ---- what the control asks for

    def silence_generated(self, generated: list[bool]) -> None:
        """Cut every voice a model plays, and effect tails; behind a fade."""
        for v, voice in enumerate(self._voices):
            if generated[v]:
                voice.silence()
                self.state[0]["notes"][v] = 0
        for chain in self._effects.values():
            chain.reset()

    def fade_to(self, t: int, gain: float, frames: int = START_FADE_FRAMES) -> None:
        """Everything that leaves, to a linear gain."""
        self.set_ramp("fade", t, gain, frames)

    def set_ramp(self, name: str, t: int, gain: float, frames: int) -> None:
        """From wherever a ramp stands at t."""
        ramp = self.state[0][name]
        ramp["g0"] = lib.seg_ramp_at(self._ramps[name], t)
        ramp["f0"], ramp["f1"], ramp["g1"] = t, t + frames, gain


def plain_map(patch: Patch) -> ChannelMap:
    """Channels as the patch numbers them, for offline use (patterns have no meaning there)."""
    inputs = {n: i.channel - 1 for n, i in patch.inputs.items() if isinstance(i.channel, int)}
    outputs = {
        n: tuple(c - 1 for c in o.channels if isinstance(c, int)) for n, o in patch.outputs.items()
    }
    cv = {n: c.channel - 1 for n, c in patch.cv.items() if isinstance(c.channel, int)}
    highest_out = [*(c for chans in outputs.values() for c in chans), *cv.values()]
    return ChannelMap(
        inputs=inputs,
        outputs=outputs,
        cv=cv,
        channels_in=max(inputs.values(), default=-1) + 1,
        channels_out=max(highest_out, default=-1) + 1,
    )
