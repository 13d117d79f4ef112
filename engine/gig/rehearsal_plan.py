"""What is to happen in a rehearsal: when songs begin and end, what the band plays into the inputs.

Pure. See engine/gig/rehearsal.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine import demo_score
from engine.gig.band import TROMBONE_PEAK, TROMBONE_PROGRAM, render
from engine.gig.stage import GigError
from engine.patch import PERFORMER, Patch
from engine.song import FullSong, songs_of

RATE = 48000
LEAD_S = 10.0
PAUSE_S = 12.0  # between two songs, in standby
OUTRO_S = 10.0
BARS_MIN = 16


@dataclass(frozen=True)
class Part:
    """A song of the rehearsal. one: the frame of its first beat after the count-in, as meant."""

    song: FullSong
    one: int
    bars: int

    @property
    def bar_frames(self) -> float:
        return self.song.beats_per_bar * 60.0 / self.song.bpm * RATE

    @property
    def beats(self) -> int:
        return self.bars * self.song.beats_per_bar

    def at(self, bar: float) -> int:
        return self.one + round(bar * self.bar_frames)

    @property
    def counted(self) -> int:
        """The frame at which its count-in begins."""
        return self.at(-self.song.count_in)

    @property
    def end(self) -> int:
        return self.at(self.bars)

    @property
    def end_press(self) -> float:
        """The bar at which a hand has to ask for the end."""
        ending = self.song.ending
        before = float(ending.bars) if ending.kind == "fade" else 1.0
        return self.bars - before - 0.5


def parts_of(patch: Patch, minutes: float) -> list[Part]:
    """The songs over so many minutes (longer where they are too few): whole phrases."""
    songs = songs_of(patch)
    share = (minutes * 60.0 - LEAD_S - OUTRO_S - PAUSE_S * (len(songs) - 1)) / len(songs)
    parts = []
    at = LEAD_S * RATE
    for song in songs:
        bar = song.beats_per_bar * 60.0 / song.bpm
        phrase = song.bars_per_phrase
        bars = max(phrase * -(-BARS_MIN // phrase), phrase * int(share / bar / phrase))
        part = Part(song, round(at + song.count_in * bar * RATE), bars)
        parts.append(part)
        at = part.end + PAUSE_S * RATE
    return parts


def played_to(patch: Patch, parts: list[Part], frames: int, soundfont: Path) -> np.ndarray:
    """What the interface's inputs carry, float32 (frames, channels)."""
    channels = [i.channel for i in patch.inputs.values() if i.stream != PERFORMER]
    numbers = [*channels, *(c.channel for c in patch.cv_in.values() if c.channel is not None)]
    if not all(isinstance(n, int) for n in numbers):
        raise GigError("a rehearsal needs inputs by number; port names stand in a rig")
    wide = max((int(n) for n in numbers if n is not None), default=1)
    audio = np.zeros((frames, wide), np.float32)
    if channels:
        sound = render(soundfont, trombone(parts), frames, RATE, TROMBONE_PROGRAM, False)
        peak = max(float(np.abs(sound).max()), 1e-9)
        audio[:, int(channels[0] or 1) - 1] = sound * (TROMBONE_PEAK / peak)
    held = {c.freeze for c in patch.cv_in.values()}
    for name, cv in patch.cv_in.items():
        if cv.channel is None:
            continue
        volts = np.zeros(frames)
        if cv.kind == "gate":
            for part in parts:
                first, last = (0.5, 0.6) if name in held else (0.2, 1.0)
                volts[part.at(part.bars * first) : part.at(part.bars * last)] = 5.0
        else:
            middle, reach = (cv.low_volts + cv.high_volts) / 2, (cv.high_volts - cv.low_volts) / 2
            volts = middle + 0.8 * reach * np.sin(2 * np.pi * 0.13 * np.arange(frames) / RATE)
        audio[:, int(cv.channel) - 1] = volts / cv.volts_full_scale
    return audio


def trombone(parts: list[Part]) -> list[tuple[int, bool, int, int]]:
    """The demo's line, over and over, from each song's third bar on."""
    notes = demo_score.trombone_notes(0)
    length = notes[-1].start + notes[-1].duration - notes[0].start
    events = []
    for part in parts:
        beat = part.bar_frames / part.song.beats_per_bar
        base = 2.0 * part.song.beats_per_bar
        while part.one + base * beat < part.end:
            for note in notes:
                start = part.one + round((base + note.start - notes[0].start) * beat)
                stop = min(start + round(note.duration * beat), part.end)
                if start < stop:
                    events += [(start, True, note.key, note.velocity), (stop, False, note.key, 0)]
            base += float(np.ceil(length / 4.0) * 4.0)
    return sorted(events, key=lambda e: (e[0], e[1]))


@dataclass
class Rehearsed:
    """said: (frame, action, answer) of hands. left: frames at which standby was left.
    notes: those at which a key was struck."""

    said: list[tuple[int, str, str]] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    notes: list[int] = field(default_factory=list)
