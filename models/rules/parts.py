"""Pitched parts: bass, chords, pads, arpeggio, melody. Beats from the stem's start, MIDI keys."""

from __future__ import annotations

import random

from engine.stem import StemNote
from models.rules.drums import backbeat
from models.rules.harmony import Harmony, nearest, voice_lead

BASS_CENTRE = 36
CHORD_CENTRE = 60
PAD_CENTRE = 62
MELODY_LOW, MELODY_HIGH = 64, 86


def _accent(beat: float) -> int:
    """Velocity of a place in the bar: the one, the beats, the eighths, the rest."""
    if beat == 0:
        return 104
    return 94 if beat == int(beat) else 84 if beat * 2 == int(beat * 2) else 74


def bass(h: Harmony, bars: int, metre: int, density: float, rng: random.Random) -> list[StemNote]:
    """Roots with the kick, fifths and octaves between, a step that leads into the next chord."""
    kicks = backbeat(metre)[0]
    places = [[float(k) for k in kicks] for _ in range(2)]
    for variant in places:
        for eighth in range(1, 2 * metre):
            beat = eighth / 2
            wanted = density * (0.8 if beat == int(beat) else 0.5)
            if beat not in variant and rng.random() < wanted:
                variant.append(beat)
        variant.sort()
    colour = rng.choice((12, 7, 0, 12))
    out: list[StemNote] = []
    for bar in range(bars):
        onsets = places[bar % 2]
        root = nearest(h.pitch_classes(bar)[0], BASS_CENTRE)
        fifth = nearest(h.pitch_classes(bar)[2], root + 5)
        target = nearest(h.pitch_classes((bar + 1) % bars)[0], BASS_CENTRE)
        for i, beat in enumerate(onsets):
            end = onsets[i + 1] if i + 1 < len(onsets) else float(metre)
            key = root
            if beat >= metre - 1 and beat > 0 and target != root:
                ladder = [k for k in h.ladder(target - 3, target + 3) if k != target]
                key = min(ladder, key=lambda k: (abs(k - target), abs(k - root)))
            elif beat not in kicks:
                key = rng.choice((root, root + colour, fifth))
            length = (end - beat) * (0.9 if density < 0.6 else 0.7)
            out.append(StemNote(bar * metre + beat, length, key, _accent(beat)))
    return out


def _comp_rhythm(metre: int, density: float, rng: random.Random) -> list[tuple[float, float]]:
    """A bar's chord strokes: (beat, length)."""
    if density < 0.3:
        return [(0.0, float(metre))]
    if density < 0.55:
        starts = sorted({0.0, *(float(k) for k in backbeat(metre)[0])})
    else:
        starts = [0.0]
        for eighth in range(1, 2 * metre):
            off = eighth % 2 == 1
            if rng.random() < density * (0.65 if off else 0.45):
                starts.append(eighth / 2)
    ends = [*starts[1:], float(metre)]
    hold = rng.choice((0.5, 0.9, 0.9))
    return [(s, (e - s) * hold) for s, e in zip(starts, ends, strict=True)]


def chords(h: Harmony, bars: int, metre: int, density: float, rng: random.Random) -> list[StemNote]:
    """Voice-led chords, one a bar, struck in a rhythm that returns every second bar."""
    rhythms = [_comp_rhythm(metre, density, rng) for _ in range(2)]
    size = 4 if rng.random() < 0.4 else 3
    out: list[StemNote] = []
    voices: list[int] = []
    for bar in range(bars):
        voices = voice_lead(h.pitch_classes(bar, size), voices, CHORD_CENTRE)
        for beat, length in rhythms[bar % 2]:
            for i, key in enumerate(voices):
                velocity = _accent(beat) - 16 + (4 if i == len(voices) - 1 else 0)
                out.append(StemNote(bar * metre + beat, length, key, velocity))
    return out


def pads(h: Harmony, bars: int, metre: int, density: float, rng: random.Random) -> list[StemNote]:
    """A whole bar to a chord, open and soft; a note of colour where it is dense."""
    colour = rng.random() < density
    centre = rng.choice((PAD_CENTRE - 4, PAD_CENTRE, PAD_CENTRE + 3))
    spread = rng.choice((12, 12, 0))
    out: list[StemNote] = []
    voices: list[int] = []
    for bar in range(bars):
        voices = voice_lead(h.pitch_classes(bar, 4 if colour else 3), voices, centre)
        opened = [voices[0] - spread, *voices[1:]]
        out += [StemNote(float(bar * metre), float(metre), k, 66 + 3 * i) for i, k in
                enumerate(opened)]  # fmt: skip
    return out


def arp(h: Harmony, bars: int, metre: int, density: float, rng: random.Random) -> list[StemNote]:
    """Chord notes one after the other, up, down or both."""
    step = 0.5 if density < 0.6 else 0.25
    shape = rng.choice(("up", "down", "both"))
    octaves = rng.choice((1, 2))
    out: list[StemNote] = []
    for bar in range(bars):
        voices = voice_lead(h.pitch_classes(bar), [], 66)
        ladder = [v + 12 * o for o in range(octaves) for v in voices]
        if shape == "down":
            ladder = ladder[::-1]
        elif shape == "both":
            ladder = ladder + ladder[-2:0:-1]
        for i in range(round(metre / step)):
            beat = i * step
            if rng.random() < 0.08 * (1 - density) and i:
                continue
            key = ladder[i % len(ladder)]
            out.append(StemNote(bar * metre + beat, step * 0.9, key, _accent(beat) - 10))
    return out


def _motif_rhythm(metre: int, density: float, rng: random.Random) -> list[tuple[float, float]]:
    """A bar's melody rhythm: (beat, length), with room to breathe at its end."""
    weights = (
        (1.5 * density**2, 0.25),
        (1.0 + density, 0.5),
        (1.2 - 0.6 * density, 1.0),
        (0.5, 1.5),
        (1.2 * (1 - density) ** 2, 2.0),
    )
    out, beat = [], rng.choice((0.0, 0.0, 0.5)) if density < 0.8 else 0.0
    while beat < metre - 0.25:
        length = rng.choices([w[1] for w in weights], [w[0] for w in weights])[0]
        if length == 0.25:  # sixteenths come in pairs
            out += [(beat, 0.25), (beat + 0.25, 0.25)]
            beat += 0.5
            continue
        length = min(length, metre - beat)
        if not out or rng.random() < 0.7 + 0.3 * density:
            out.append((beat, length * 0.92))
        beat += length
    return [(b, d) for b, d in out if b + d <= metre]


def melody(h: Harmony, bars: int, metre: int, density: float, rng: random.Random) -> list[StemNote]:
    """A motif A B A C: rhythm and contour return, the beats hold chord notes, C comes to rest."""
    ladder = h.ladder(MELODY_LOW, MELODY_HIGH)
    motifs = []
    for _ in range(2):
        rhythm = _motif_rhythm(metre, density, rng)
        contour = [rng.choice((-2, -1, -1, 1, 1, 2)) for _ in rhythm]
        motifs.append((rhythm, contour))
    rest = [(0.0, 0.95 * min(2.0, metre)), (float(metre - 1), 0.9)][: 2 if density > 0.4 else 1]
    motifs.append(([p for p in rest if p[0] == 0 or p[0] >= 2.0], [1, -1]))
    place = len(ladder) // 3 + rng.randint(-1, 3)
    out: list[StemNote] = []
    for bar in range(bars):
        which = 2 if bar == bars - 1 and bars > 1 else bar % 2
        rhythm, contour = motifs[which]
        tones = h.pitch_classes(bar)
        start = place
        for (beat, length), move in zip(rhythm, contour, strict=False):
            place = max(0, min(len(ladder) - 1, place + move))
            if beat == int(beat):  # chord notes on the beats
                place = min(
                    (i for i, k in enumerate(ladder) if k % 12 in tones),
                    key=lambda i: (abs(i - place), i),
                )
            velocity = _accent(beat) - 4 + rng.randint(-6, 6)
            out.append(StemNote(bar * metre + beat, length, ladder[place], velocity))
        if bar % 2 == 0:
            place = start + rng.choice((0, 1))
        place = max(2, min(len(ladder) - 3, place))
    return out
