"""The band's sound, rendered before the night: drums that drift, a trombone, applause.

Mono float32 at the inputs' levels. Deterministic for a seed. Not real-time safe.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from tinysoundfont import Synth

from engine import demo_score
from engine.gig.song import BEATS_PER_BAR, Evening, Truth

KICK, SNARE, HAT, OPEN_HAT, CRASH, STICKS = 36, 38, 42, 46, 49, 37
DRUMS_PEAK = 0.35
TROMBONE_PEAK = 0.2
APPLAUSE_RMS = 0.03
TROMBONE_PROGRAM = 57
HUMAN_S = 0.003  # standard deviation of a hit
CHUNK_FRAMES = 4096

Hit = tuple[float, int, int]  # beat, key, velocity
Event = tuple[int, bool, int, int]  # frame, on, key, velocity


def bar_of_drums(number: int) -> list[Hit]:
    """A rock bar; every fourth ends in a fill. Beats within the bar."""
    hits = [(0.0, KICK, 112), (2.0, KICK, 104), (1.0, SNARE, 108), (3.0, SNARE, 110)]
    hits += [(k / 2, HAT, 84 if k % 2 == 0 else 62) for k in range(8)]
    if number % 2:
        hits.append((2.5, KICK, 88))
    if number % 4 == 3:
        hits += [(3.5, SNARE, 92), (3.75, SNARE, 100)]
    if number and number % 8 == 0:
        hits.append((0.0, CRASH, 90))
    return hits


def drum_hits(bars: int) -> list[Hit]:
    """A count-in on the sticks (beats -4 to -1), the song, and its last note at the end."""
    hits: list[Hit] = [(float(b), STICKS, 96) for b in range(-BEATS_PER_BAR, 0)]
    for bar in range(bars):
        hits += [(bar * BEATS_PER_BAR + beat, key, v) for beat, key, v in bar_of_drums(bar)]
    end = float(bars * BEATS_PER_BAR)
    return sorted([*hits, (end, KICK, 118), (end, CRASH, 104)])


def drum_events(song: Truth, rate: int, random: np.random.Generator) -> list[Event]:
    events: list[Event] = []
    for beat, key, velocity in drum_hits(song.plan.bars):
        frame = round(song.at_beat(beat) + random.normal(0.0, HUMAN_S) * rate)
        events += [(frame, True, key, velocity), (frame + rate // 20, False, key, 0)]
    return sorted(events, key=lambda e: (e[0], e[1]))


def trombone_events(song: Truth) -> list[Event]:
    """The demo's line from the plan's bar on, on the drummer's beats, to the end of the song."""
    if song.plan.trombone is None:
        return []
    events: list[Event] = []
    shift = song.plan.trombone * BEATS_PER_BAR
    notes = demo_score.trombone_notes(0)
    for note in notes:
        start = shift + note.start - notes[0].start
        stop = min(start + note.duration, float(song.plan.bars * BEATS_PER_BAR))
        if start < stop:
            events.append((round(song.at_beat(start)), True, note.key, note.velocity))
            events.append((round(song.at_beat(stop)), False, note.key, 0))
    return sorted(events, key=lambda e: (e[0], e[1]))


def render(
    soundfont: Path, events: list[Event], frames: int, rate: int, program: int, drums: bool
) -> np.ndarray:
    """Mono float32 (frames,). events: in order of frame."""
    synth = Synth(samplerate=rate)
    font = synth.sfload(str(soundfont), max_voices=48)
    synth.program_select(0, font, 128 if drums else 0, program, drums)
    audio = np.zeros(frames, np.float32)
    bounds = [min(max(e[0], 0), frames) for e in events] + [frames]
    at = 0
    for event, until in itertools.zip_longest(events, bounds):
        while at < until:
            n = min(CHUNK_FRAMES, until - at)
            block = np.frombuffer(synth.generate(n), np.float32)
            audio[at : at + n] = block.reshape(-1, 2).mean(axis=1)
            at += n
        if event is not None:
            _, on, key, velocity = event
            if on:
                synth.noteon(0, key, velocity)
            else:
                synth.noteoff(0, key)
    return audio


def applause(frames: int, rate: int, random: np.random.Generator) -> np.ndarray:
    """A crowd: thousands of claps, each a short burst of filtered noise, swelling and dying."""
    grain_frames = rate // 80
    grains = []
    for centre in (900.0, 1300.0, 1900.0, 2600.0):
        n = np.arange(grain_frames)
        ring = np.sin(2 * np.pi * centre / rate * n) * np.exp(-n / (0.0016 * rate))
        noise = random.standard_normal(grain_frames) * np.exp(-n / (0.0012 * rate))
        grains.append(ring + 0.7 * noise)
    out = np.zeros(frames + grain_frames)
    for grain in grains:
        struck = np.zeros(frames + grain_frames)
        at = random.integers(0, frames, max(1, round(frames / rate * 180)))
        np.add.at(struck, at, random.uniform(0.2, 1.0, len(at)))
        size = 1 << int(np.ceil(np.log2(len(struck) + grain_frames)))
        spectrum = np.fft.rfft(struck, size) * np.fft.rfft(grain, size)
        out += np.fft.irfft(spectrum, size)[: len(out)]
    out = out[:frames] + 0.15 * random.standard_normal(frames)
    swell = np.minimum(np.arange(frames) / (1.5 * rate), 1.0)
    fall = np.minimum(np.arange(frames, 0, -1) / (3.0 * rate), 1.0)
    out *= swell * fall**2
    return (out * (APPLAUSE_RMS / max(float(np.sqrt(np.mean(out**2))), 1e-9))).astype(np.float32)


def play(plan: Evening, soundfont: Path, seed: int = 1) -> np.ndarray:
    """What the two inputs carry, float32 (frames, 2): drums (and the hall in them), trombone."""
    random = np.random.default_rng(seed)
    rate = plan.rate
    drums = [e for song in plan.songs for e in drum_events(song, rate, random)]
    brass = [e for song in plan.songs for e in trombone_events(song)]
    audio = np.zeros((plan.frames, 2), np.float32)
    for channel, (events, peak, kit) in enumerate(
        ((drums, DRUMS_PEAK, True), (brass, TROMBONE_PEAK, False))
    ):
        program = 0 if kit else TROMBONE_PROGRAM
        sound = render(soundfont, events, plan.frames, rate, program, kit)
        audio[:, channel] = sound * (peak / max(float(np.abs(sound).max()), 1e-9))
    for before, after in itertools.pairwise(plan.songs):
        first, last = before.end + rate // 2, int(after.frames[0]) - rate // 2
        audio[first:last, 0] += applause(last - first, rate, random)
    return audio
