"""Drum patterns on sixteenths: kick and snare by metre, hats by density, a fill at the end."""

from __future__ import annotations

import random

from engine.stem import StemNote

KICK, RIM, SNARE, CLOSED, PEDAL, OPEN, CRASH, RIDE = 36, 37, 38, 42, 44, 46, 49, 51
TOMS = (50, 47, 45, 43)  # high to floor

# beats a bar -> beats of the kick, beats of the snare
BACKBEAT: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    2: ((0,), (1,)),
    3: ((0,), (2,)),
    4: ((0, 2), (1, 3)),
    5: ((0, 3), (2, 4)),
    6: ((0, 3), (2, 5)),
    7: ((0, 2, 4), (1, 3, 6)),
}

HIT = 0.25  # beats: a drum's written length


def backbeat(metre: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Kick and snare beats of any metre; metres not in the table alternate."""
    if metre in BACKBEAT:
        return BACKBEAT[metre]
    return tuple(range(0, metre, 2)), tuple(range(1, metre, 2))


def _bar(metre: int, density: float, rng: random.Random) -> list[tuple[float, int, int]]:
    """One bar's pattern: (beat, key, velocity)."""
    kicks, snares = backbeat(metre)
    hits = [(float(b), KICK, 112 if b == 0 else 104) for b in kicks]
    hits += [(float(b), SNARE, 104) for b in snares]
    taken = {b for b, _, _ in hits}
    for eighth in range(1, 2 * metre, 2):
        beat = eighth / 2
        if beat not in taken and rng.random() < 0.12 + 0.3 * density:
            hits.append((beat, KICK, 90))
    if density > 0.45:
        for sixteenth in range(1, 4 * metre, 2):
            if rng.random() < 0.12 * density:
                hits.append((sixteenth / 4, SNARE, 38))  # a ghost note
    cymbal = RIDE if rng.random() < 0.2 else CLOSED
    step = 1.0 if density < 0.3 else 0.5 if density < 0.78 else 0.25
    opened = metre - 0.5 if density >= 0.4 and rng.random() < 0.5 else -1.0
    for i in range(round(metre / step)):
        beat = i * step
        strength = 84 if beat == int(beat) else 66 if beat * 2 == int(beat * 2) else 50
        hits.append((beat, OPEN if beat == opened else cymbal, strength))
    return hits


def _fill(beats: float, density: float, rng: random.Random) -> list[tuple[float, int, int]]:
    """A fill of `beats` beats that grows louder and falls over the toms."""
    step = 0.25 if density >= 0.4 else 0.5
    count = round(beats / step)
    hits = []
    for i in range(count):
        if i and rng.random() > 0.55 + 0.45 * density:
            continue
        part = i / count
        key = SNARE if part < 0.4 else TOMS[min(3, int((part - 0.4) / 0.6 * 4))]
        hits.append((i * step, key, round(72 + 46 * part)))
    hits.append((0.0, KICK, 96))
    return hits


def drums(bars: int, metre: int, density: float, rng: random.Random) -> list[StemNote]:
    """`bars` bars: a pattern, its variation on every other bar, a fill that ends the last."""
    pattern, other = _bar(metre, density, rng), _bar(metre, density, rng)
    fill_beats = min(float(metre) / 2 if metre < 4 else 2.0, 1.0 if density < 0.5 else 2.0)
    out: list[StemNote] = []
    for bar in range(bars):
        at = float(bar * metre)
        last = bar == bars - 1
        end = metre - fill_beats if last else float(metre)
        hits = [h for h in (other if bar % 2 else pattern) if h[0] < end]
        if last:
            hits += [(end + b, k, v) for b, k, v in _fill(fill_beats, density, rng)]
        if bar == 0 and density >= 0.5:
            hits.append((0.0, CRASH, 96))
        for beat, key, velocity in hits:
            out.append(StemNote(at + beat, HIT, key, velocity + rng.randint(-5, 5), 0, True))
    return out
