"""SoundFont voices inside the audio process (tinysoundfont), one instance to a voice.

Events sound at their exact frame: a render is cut at events and at multiples of 64 frames of
absolute time, where the synthesiser updates its envelopes, so aligned blocks of any multiple of 64
give the same samples. SoundFonts are proved by a child before they get here (engine/soundfont.py).
render() is real-time safe: voices are allocated at load.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tinysoundfont import _tinysoundfont

from engine.kernel import lib, pointer
from engine.layout import NoteKind
from engine.patch import Voice
from engine.tuning import A4_HZ, semitones
from engine.voice_memory import RESET, SOUNDS_OFF, SUSTAIN, SUSTAINED_FROM, Told

MAX_FRAMES = 2048
POLYPHONY = 64
QUANTUM = 64
SUSTAINED_MOST = 24  # keys that the pedal alone holds; then the oldest makes way

VoiceEvent = tuple[int, int, int, int, int]  # offset in the block, kind, key, velocity, value


class SampledVoice:
    """One voice. Notes are (key, velocity) on one internal channel. tuning_hz: A4 (no drums).
    tinysoundfont knows no sustain pedal: that is here. What it alone holds ends with the audio
    process."""

    def __init__(
        self, soundfont: Path, voice: Voice, rate: float, tuning_hz: float = A4_HZ
    ) -> None:
        self._font = _tinysoundfont.SoundFont(str(soundfont))
        self._font.set_output(_tinysoundfont.OutputMode.StereoInterleaved, int(rate), voice.gain_db)
        self._font.set_max_voices(POLYPHONY)
        if voice.bank:
            self._font.channel_set_bank(0, voice.bank)
        self._set_program(voice.program, voice.drums)
        self._tuning = 0.0 if voice.drums else semitones(tuning_hz)
        self._font.channel_set_tuning(0, self._tuning)
        self._pedal = False
        # Keys that are up and held by the pedal, the oldest first.
        self._sustained: dict[int, None] = {}
        self._stereo = np.zeros(2 * MAX_FRAMES, np.float32)
        self._bytes = memoryview(self._stereo.view(np.uint8).data)
        self._source = pointer(self._stereo)
        self._warm()

    def _warm(self) -> None:
        for key in range(30, 90, 4):
            self._font.channel_note_on(0, key, 0.5)
        self._font.render(self._bytes)
        self.silence()
        for _ in range(8):  # what was cut still fades: not into the first block
            self._font.render(self._bytes)

    def note_on(self, key: int, velocity: int) -> None:
        if key in self._sustained:  # struck again: the one before ends
            del self._sustained[key]
            self._font.channel_note_off(0, key)
        self._font.channel_note_on(0, key, velocity / 127.0)

    def note_off(self, key: int) -> None:
        if not self._pedal:
            self._font.channel_note_off(0, key)
            return
        self._sustained[key] = None
        if len(self._sustained) > SUSTAINED_MOST:
            oldest = next(iter(self._sustained))
            del self._sustained[oldest]
            self._font.channel_note_off(0, oldest)

    def _set_pedal(self, down: bool) -> None:
        self._pedal = down
        if not down:
            for key in self._sustained:
                self._font.channel_note_off(0, key)
            self._sustained.clear()

    def silence(self) -> None:
        """Cut everything at once (behind a fade)."""
        self._sustained.clear()
        self._font.channel_sounds_off(0)

    def _set_program(self, program: int, drums: bool) -> None:
        """The one before stays where the SoundFont has no such preset (tinysoundfont raises)."""
        with contextlib.suppress(RuntimeError):
            self._font.channel_set_preset_number(0, program, drums)

    def tell(self, told: Sequence[Told]) -> None:
        """Controllers, bend and programme, at once."""
        for kind, key, value in told:
            self._apply((0, kind, key, 0, value))

    def _apply(self, event: VoiceEvent) -> None:
        _, kind, key, velocity, value = event
        if kind == NoteKind.ON:
            self.note_on(key, velocity)
        elif kind == NoteKind.OFF:
            self.note_off(key)
        elif kind == NoteKind.CC:
            if key in (SUSTAIN, RESET):
                self._set_pedal(key == SUSTAIN and value >= SUSTAINED_FROM)
            elif key == SOUNDS_OFF:
                self._sustained.clear()
            self._font.channel_midi_control(0, key, value)
            if key == RESET:  # it forgets what everybody is tuned to
                self._font.channel_set_tuning(0, self._tuning)
        elif kind == NoteKind.BEND:
            self._font.channel_set_pitch_wheel(0, value)
        elif kind == NoteKind.PROGRAM:
            self._set_program(value, False)

    def render(
        self, t: int, n: int, events: Sequence[VoiceEvent], left: object, right: object
    ) -> None:
        """Frames [t, t+n) into left and right (float pointers). events: ordered by offset."""
        if not events and t % QUANTUM == 0:
            self._font.render(self._bytes[: 8 * n])
            lib.seg_split(self._source, n, left, right)
            return
        position = 0
        pending = 0
        while position < n:
            while pending < len(events) and events[pending][0] <= position:
                self._apply(events[pending])
                pending += 1
            until = events[pending][0] if pending < len(events) else n
            skew = (t + position) % QUANTUM
            if skew:
                until = min(until, position + QUANTUM - skew)
            self._font.render(self._bytes[8 * position : 8 * until])
            position = until
        lib.seg_split(self._source, n, left, right)
