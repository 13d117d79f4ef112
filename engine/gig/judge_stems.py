"""What the judge holds against stems: where they play against the band's own beat. Pure functions
on captures, as those of engine/gig/judge.py; each finding is (kind, bus, frame, frames).

The bus of a role carries one looping stem at a time. Between the phrase line at which one had to
come in and that of the next, what is heard has to come again at every pass of the loop, counted in
the drummer's beats. A stem that comes in early or late (by half a beat or by a bar), that replaces
another anywhere but at its line, that goes on beside a clock that has slipped, or that stops breaks
this, and nothing that segue says is needed to see it.

stem_place_errors   stems that nothing is heard of from their line on, for a pass; and stretches in
                    which a bus does not carry what it did a pass ago. Half beats are compared by
                    their spectra (BANDS bands, STEPS a beat), up to one step either way, at the
                    gain that fits best around: one is another where the two differ by more than
                    DIFFERENT of their own variation. Those nearer than a bar are one finding
stem_stray_sound    stretches of sound in a song where no hand has a stem on that bus: before the
                    first one's line (less ENTRY_SECONDS), or RING_SECONDS after the last has ended
stems_off_the_beat  phrases in which what is struck on a bus of percussion is off the drummer's beat
                    by more than OFF_SECONDS: the median, of at least HITS_LEAST hits, to the
                    nearest quarter of a beat. The clock's jitter from hit to hit is not judged

Where DRY is pressed, a fill takes a role's place or cycles were missed is left out.
"""

from __future__ import annotations

import itertools

import numpy as np

from engine.gig.judge_misses import REACH_PERIODS
from engine.gig.night import Loops, Night, Song

Wrong = tuple[str, str, int, int]
STEM_KEYS = ("stem_place_errors", "stem_stray_sound", "stems_off_the_beat")
SILENCE = 1e-3  # -60 dBFS
STEPS = 16  # of a beat
HALF = STEPS // 2
BANDS = 24
LOW_HZ, HIGH_HZ = 50.0, 8000.0
WINDOW_SECONDS = 0.043
DIFFERENT = 0.6  # of real stems in slices the same ones reach 0.45, others mostly 0.8 to 9
FITTED = 3 * STEPS  # either way
GAIN = (0.5, 2.0)  # in the spectra's measure, the square root of the level: 12 dB either way
ENTRY_SECONDS = 0.070
RING_SECONDS = 1.2
OFF_SECONDS = 0.028  # two drummers' flam begins at some 30 ms
PHRASE_BARS = 4
HITS_LEAST = 8
HIT_SECONDS = 0.003  # levels are taken over this
HIT_RISE = 2.0  # of the level, over the most of the three before
HIT_LOUD = 0.1  # of the loud ones
HIT_APART = 17  # levels
HIT_LOW_HZ = 5000.0  # above, attacks are sharp
PARTS = 4  # of a beat, that hits fall on


def spectra(bus: np.ndarray, frames: np.ndarray, rate: int) -> np.ndarray:
    """Fourth roots of the power in some BANDS bands around each frame, float64 (frames, bands)."""
    size = 1 << round(np.log2(WINDOW_SECONDS * rate))
    hann = np.hanning(size)
    edges = np.geomspace(LOW_HZ, HIGH_HZ, BANDS + 1)[:-1] * size / rate
    cuts = np.unique(np.clip(np.round(edges).astype(int), 1, size // 2))
    padded = np.concatenate([np.zeros(size), bus, np.zeros(size)])
    starts = np.clip(frames, 0, len(bus)) + size // 2
    out = np.zeros((len(frames), len(cuts)))
    for k, at in enumerate(starts.tolist()):
        power = np.abs(np.fft.rfft(padded[at : at + size] * hann)) ** 2
        out[k] = np.add.reduceat(power, cuts)
    return np.asarray(np.sqrt(np.sqrt(out)))


def gain_of(one: np.ndarray, other: np.ndarray) -> float:
    """What `other` is to be multiplied by to come nearest to `one`."""
    power = float((other**2).sum())
    return float(np.clip((one * other).sum() / power, *GAIN)) if power > 0.0 else 1.0


def difference(one: np.ndarray, other: np.ndarray, floor: float) -> float:
    """How much two stretches of spectra differ, as a share of what varies in them (1: wholly).
    floor: variation (squared, of a step) below which there is nothing to compare."""
    rest = ((one - other) ** 2).sum()
    varies = ((one - one.mean(axis=0)) ** 2).sum() + ((other - other.mean(axis=0)) ** 2).sum()
    return float(rest / (varies + floor * len(one)))


def _steps(song: Song) -> np.ndarray:
    """Frames of every step of the song's beats."""
    numbers = np.arange((len(song.beats) - 1) * STEPS + 1) / STEPS
    frames = np.interp(numbers, np.arange(len(song.beats)), song.beats)
    return np.asarray(np.round(frames).astype(np.int64))


def _step_of(song: Song, frame: int) -> int:
    return round(float(np.interp(frame, song.beats, np.arange(len(song.beats)))) * STEPS)


def changes(bus: np.ndarray, song: Song, loops: Loops, hidden: np.ndarray, rate: int) -> np.ndarray:
    """First steps of the half beats that are not what they were a pass ago, int64. hidden: bool per
    frame, not to be judged."""
    frames = _steps(song)
    heard = spectra(bus, frames, rate)
    dark = np.concatenate([[0], np.cumsum(hidden)])
    dark_steps = np.diff(dark[np.clip(frames, 0, len(hidden))]) > 0
    first, last = _step_of(song, loops.lines[0]), _step_of(song, loops.end)
    sounds = heard[first:last]
    floor = 0.5 * float(((sounds - sounds.mean(axis=0)) ** 2).sum(axis=1).mean()) + 1e-9
    back, found = loops.beats * STEPS, []
    edges = [_step_of(song, line) for line in loops.lines] + [last]
    for begin, end in itertools.pairwise(edges):
        for step in range(begin + back, end - HALF + 1, HALF):
            ago = step - back
            if dark_steps[step - 1 : step + HALF].any() or dark_steps[ago - 1 : ago + HALF].any():
                continue
            one = heard[step : step + HALF]
            near = np.arange(max(step - FITTED, begin + back), min(step + FITTED, end))
            near = near[~dark_steps[near] & ~dark_steps[near - back]]
            gain = gain_of(heard[near], heard[near - back])
            others = (gain * heard[ago + k : ago + k + HALF] for k in (-1, 0, 1))
            if min(difference(one, other, floor) for other in others) > DIFFERENT:
                found.append(step)
    return np.array(found, np.int64)


def _hidden(night: Night, loops: Loops) -> np.ndarray:
    """Frames (bool) where a stem may not be heard as it is."""
    near = night.rate // 20
    hidden = night.excused_mask(near)
    reach = REACH_PERIODS * night.block
    for first, last in [*loops.hidden, *((m - near, m + reach + near) for m in night.missed)]:
        hidden[max(first, 0) : max(last, 0)] = True
    return hidden


def find_stem_place_errors(night: Night, loops: Loops) -> list[Wrong]:
    """See the module."""
    song = next(s for s in night.songs if s.name == loops.song)
    hidden = _hidden(night, loops)
    bus = _mono(night.stems[loops.bus])
    steps, frames = changes(bus, song, loops, hidden, night.rate), _steps(song)
    wrong: list[Wrong] = []
    for line in loops.lines:
        step = _step_of(song, line)
        first, last = (
            int(frames[step]),
            int(frames[min(step + loops.beats * STEPS, len(frames) - 1)]),
        )
        heard = (np.abs(bus[first:last]) > SILENCE) | hidden[first:last]
        if not heard.any():
            wrong.append(("stem_place_errors", loops.bus, first, last - first))
    for step in steps.tolist():
        first, last = int(frames[step]), int(frames[min(step + HALF, len(frames) - 1)])
        if wrong and first - sum(wrong[-1][2:]) < song.bar_frames(first):
            kind, name, begin, _ = wrong[-1]
            wrong[-1] = (kind, name, begin, last - begin)
        else:
            wrong.append(("stem_place_errors", loops.bus, first, last - first))
    return wrong


def find_stem_stray_sound(night: Night, loops: Loops) -> list[Wrong]:
    """See the module."""
    song = next(s for s in night.songs if s.name == loops.song)
    near, ring = (round(s * night.rate) for s in (ENTRY_SECONDS, RING_SECONDS))
    bus = _mono(night.stems[loops.bus])
    wrong: list[Wrong] = []
    gone = loops.end if loops.gone is None else loops.gone
    for first, last in ((song.first, loops.lines[0] - near), (gone + ring, song.last)):
        loud = np.flatnonzero(np.abs(bus[first : max(last, first)]) > SILENCE)
        if len(loud):
            at = first + int(loud[0])
            wrong.append(("stem_stray_sound", loops.bus, at, int(loud[-1] - loud[0]) + 1))
    return wrong


def hits(bus: np.ndarray, rate: int) -> np.ndarray:
    """Frames at which something is struck: the level above HIT_LOW_HZ rises at once."""
    hop = round(HIT_SECONDS * rate)
    size = len(bus) // hop
    if size < 4:
        return np.zeros(0, np.int64)
    spectrum = np.fft.rfft(bus)
    spectrum[: int(HIT_LOW_HZ / rate * len(bus))] = 0.0
    high = np.fft.irfft(spectrum, len(bus))[: size * hop].reshape(size, hop)
    level = np.sqrt((high**2).mean(axis=1))
    if level.max() <= 0.1 * SILENCE:
        return np.zeros(0, np.int64)
    past = np.max([np.concatenate([np.zeros(k), level[:-k]]) for k in (1, 2, 3)], axis=0)
    loud = HIT_LOUD * float(np.quantile(level[level > 0.1 * SILENCE], 0.95))
    at = np.flatnonzero((level > HIT_RISE * past) & (level > loud))
    return np.asarray(at[np.diff(at, prepend=-HIT_APART - 1) > HIT_APART] * hop + hop // 2)


def off_the_beat(bus: np.ndarray, song: Song, first: int, last: int, rate: int) -> float | None:
    """Seconds by which what is struck from `first` to `last` is late, as the median of the hits;
    None: too few."""
    struck = hits(_mono(bus)[first:last].astype(np.float64), rate) + first
    if len(struck) < HITS_LEAST:
        return None
    numbers = np.arange(len(song.beats))
    beats = np.round(np.interp(struck, song.beats, numbers) * PARTS) / PARTS
    return float(np.median(struck - np.interp(beats, numbers, song.beats))) / rate


def phrases_off(night: Night, loops: Loops) -> list[tuple[int, int, float]]:
    """(first frame, after the last, seconds late) of each phrase of percussion."""
    song = next(s for s in night.songs if s.name == loops.song)
    count = PHRASE_BARS * song.beats_per_bar * STEPS
    frames = _steps(song)
    found = []
    for step in range(_step_of(song, loops.lines[0]), _step_of(song, loops.end) - count + 1, count):
        first, last = int(frames[step]), int(frames[step + count])
        late = off_the_beat(night.stems[loops.bus], song, first, last, night.rate)
        if late is not None:
            found.append((first, last, late))
    return found


def find_of_stems(night: Night) -> list[Wrong]:
    """All findings of this module."""
    wrong: list[Wrong] = []
    for loops in night.loops:
        wrong += find_stem_place_errors(night, loops) + find_stem_stray_sound(night, loops)
        for first, last, late in phrases_off(night, loops) if loops.struck else ():
            if abs(late) > OFF_SECONDS:
                wrong.append(("stems_off_the_beat", loops.bus, first, last - first))
    return wrong


def _mono(bus: np.ndarray) -> np.ndarray:
    return bus if bus.ndim == 1 else bus.mean(axis=1)
