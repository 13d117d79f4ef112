"""The rule-based pieces that the shipped Notochord was trained on: duets of a call and its answer.

write_corpus() writes MIDI files; every piece follows from its seed alone. Two players share a key,
a chord sequence and a motif. They take turns (a call, then an answer made of the call's motif),
fill each other's long notes, or play together, with hands or a rhythm section beneath. Times are
beats until the last step, which adds swing, the players' looseness and seconds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import mido

from models.notochord.steering import SCALES

TICKS_PER_BEAT = 480
ANONYMOUS = -1  # a part without a program change: Notochord makes it an anonymous instrument
DRUMS = -2

# Degrees (0-based), one a bar.
PROGRESSIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "major": ((0, 5, 3, 4), (1, 4, 0, 0), (0, 4, 5, 3), (0, 3, 4, 0), (2, 5, 1, 4), (0, 0, 3, 4)),
    "minor": ((0, 6, 5, 4), (0, 3, 4, 0), (0, 5, 2, 6), (1, 4, 0, 0), (0, 0, 3, 4)),
    "dorian": ((0, 3, 0, 3), (0, 1, 0, 6), (0, 0, 3, 3)),
    "mixolydian": ((0, 6, 3, 0), (0, 3, 0, 4), (0, 0, 6, 3)),
}
# Bars of rhythm by metre: durations in beats; a negative one is a rest.
RHYTHMS: dict[int, tuple[tuple[float, ...], ...]] = {
    4: (
        (1, 1, 1, 1),
        (0.5, 0.5, 1, 0.5, 0.5, 1),
        (1, 0.5, 0.5, 1, 1),
        (1.5, 0.5, 1, 1),
        (0.5,) * 8,
        (0.5, 0.5, 0.5, 0.5, 1, 1),
        (-0.5, 0.5, 0.5, 0.5, 1.5, 0.5),
        (-1, 0.5, 0.5, 0.5, 0.5, 1),
        (1.5, 1.5, 1),
        (0.75, 0.75, 0.5, 1, 1),
        (0.25, 0.25, 0.5, 0.5, 0.5, 1, 1),
        (1 / 3, 1 / 3, 1 / 3, 1, 1 / 3, 1 / 3, 1 / 3, 1),
        (2, 1, 1),
        (0.5, 1, 0.5, 0.5, 1, 0.5),
    ),
    3: (
        (1, 1, 1),
        (2, 1),
        (1, 0.5, 0.5, 1),
        (0.5,) * 6,
        (1.5, 0.5, 1),
        (-0.5, 0.5, 1, 0.5, 0.5),
        (0.5, 0.5, 1, 1),
    ),
}
ENDINGS: dict[int, tuple[tuple[float, ...], ...]] = {
    4: ((1, 1, 2), (0.5, 0.5, 1, 2), (2, -2), (0.5, 0.5, 3), (1, 2, -1), (3, -1)),
    3: ((1, 2), (0.5, 0.5, 2), (3,), (2, -1)),
}
CALLERS = (0, 0, 0, 0, 4, 24, 25, 65, 71, 40, ANONYMOUS, ANONYMOUS)
ANSWERERS = (11, 11, 11, 4, 73, 56, 66, 0, 26, 12, 80, ANONYMOUS, ANONYMOUS)


@dataclass
class Part:
    """notes: (start beat, duration in beats, key, velocity)."""

    program: int
    notes: list[tuple[float, float, int, int]] = field(default_factory=list)


@dataclass
class Song:
    """What all players know. Durations in beats; tonic: pitch class; bars: degree of each bar."""

    rng: random.Random
    tonic: int
    mode: str
    metre: int
    bars: list[int]

    def pitch(self, step: int) -> int:
        """MIDI key of a scale step counted from the tonic near C4 (negative: below)."""
        scale = SCALES[self.mode]
        octave, degree = divmod(step, len(scale))
        return 60 + self.tonic + 12 * octave + scale[degree]

    def chord_step(self, near: int, bar: int) -> int:
        """The step nearest to `near` that belongs to the bar's triad."""
        root = self.bars[bar % len(self.bars)]
        tones = {root % 7, (root + 2) % 7, (root + 4) % 7}
        return min(
            (s for s in range(near - 4, near + 5) if s % 7 in tones),
            key=lambda s: (abs(s - near), s),
        )


@dataclass
class Motif:
    """A bar's rhythm and its contour in scale steps from the first note."""

    rhythm: tuple[float, ...]
    contour: tuple[int, ...]


def make_motif(song: Song) -> Motif:
    rhythm = song.rng.choice(RHYTHMS[song.metre])
    walk, at = [0], 0
    direction = song.rng.choice((-1, 1))
    for _ in range(len(rhythm) - 1):
        if song.rng.random() < 0.3:
            direction = -direction
        at += direction * song.rng.choices((0, 1, 2, 3), (1, 6, 3, 1))[0]
        walk.append(at)
    return Motif(rhythm, tuple(walk))


def vary(song: Song, motif: Motif) -> Motif:
    """The same idea, said by someone else: kept, inverted, backwards, or in another rhythm."""
    kind = song.rng.choices(("same", "inverted", "backwards", "rhythm"), (5, 2, 1, 2))[0]
    if kind == "inverted":
        return Motif(motif.rhythm, tuple(-s for s in motif.contour))
    if kind == "backwards":
        last = motif.contour[-1]
        return Motif(motif.rhythm, tuple(s - last for s in reversed(motif.contour)))
    if kind == "rhythm":
        other = make_motif(song)
        contour = (motif.contour * 3)[: len(other.rhythm)]
        return Motif(other.rhythm, contour)
    return motif


def phrase(
    song: Song, part: Part, motif: Motif, bar: int, bars: int, centre: int, loud: int
) -> None:
    """Write `bars` bars of melody from `bar` on: the motif over the chords, then a long end."""
    low, high = centre - 9, centre + 9
    base = centre + song.rng.randint(-3, 3)
    for k in range(bars):
        last = k == bars - 1
        now = motif if k % 2 == 0 or song.rng.random() < 0.5 else vary(song, motif)
        rhythm = song.rng.choice(ENDINGS[song.metre]) if last else now.rhythm
        start = song.chord_step(base, bar + k)
        at = 0.0
        for i, length in enumerate(rhythm):
            step = start + now.contour[i % len(now.contour)]
            while step > high:
                step -= 7
            while step < low:
                step += 7
            on_beat = abs(at - round(at)) < 1e-6
            if (on_beat and at % 2 == 0) or length >= 1.5:
                step = song.chord_step(step, bar + k)
            if last and length >= 1.5 and song.bars[(bar + k) % len(song.bars)] == 0:
                step = round(step / 7) * 7  # home
            if length > 0:
                arc = 1.0 - abs((k + at / song.metre) / bars - 0.6) * 0.35
                accent = 8 if at == 0 else (3 if on_beat else -4)
                velocity = round(loud * arc) + accent + song.rng.randint(-6, 6)
                hold = length * song.rng.uniform(0.7, 0.98)
                start_beat = (bar + k) * song.metre + at
                part.notes.append((start_beat, hold, song.pitch(step), velocity))
            at += abs(length)
        base += song.rng.choice((-1, 0, 0, 1))


def accompany(song: Song, part: Part, bar: int, bars: int, style: str, loud: int) -> None:
    """A left hand or a comping player: chords, broken chords or a bass, one bar at a time."""
    for k in range(bar, bar + bars):
        root = song.bars[k % len(song.bars)]
        start = k * song.metre
        steps = [root - 7, root - 5, root - 3]
        if song.rng.random() < 0.35:
            steps.append(root - 1)
        steps = [s - 7 if s > -3 else s for s in steps]

        def add(at: float, hold: float, step: int, soft: int = 0, start: int = start) -> None:
            velocity = loud - soft + song.rng.randint(-5, 5)
            part.notes.append((start + at, hold, song.pitch(step), velocity))

        if style == "block":
            for at in range(0, song.metre, 2 if song.metre == 4 else 3):
                for step in steps:
                    add(at, (2 if song.metre == 4 else 3) * 0.92, step)
        elif style == "broken":
            order = [steps[0], steps[1], steps[2], steps[1]]
            for i in range(song.metre * 2):
                add(i / 2, 0.48, order[i % 4], 4 if i % 2 else 0)
        elif style == "bass":
            for i in range(song.metre):
                walk = root - 14 + (0, 2, 4, song.rng.choice((1, 3, 5, 7)))[i % 4]
                add(i, 0.9, walk)
        else:  # off-beat stabs
            for stab in (0.5, 1.5, 2.5) if song.metre == 4 else (1.0, 2.0):
                if song.rng.random() < 0.7:
                    for step in steps:
                        add(stab, 0.35, step, 5)


def drum_bars(song: Song, part: Part, bars: int) -> None:
    for k in range(bars):
        for i in range(song.metre * 2):
            at = k * song.metre + i / 2
            part.notes.append(
                (at, 0.2, 42, 60 + song.rng.randint(-8, 8) + (10 if i % 2 == 0 else 0))
            )
            if i in (0, 4) or (i == 5 and song.rng.random() < 0.4):
                part.notes.append((at, 0.3, 36, 92 + song.rng.randint(-6, 6)))
            if i in (2, 6):
                part.notes.append((at, 0.3, 38, 88 + song.rng.randint(-6, 6)))


def compose(seed: int) -> tuple[list[Part], float, float]:
    """One piece from its seed: its parts, its tempo (beats a minute) and its swing (0 to 0.17)."""
    rng = random.Random(seed)
    mode = rng.choices(tuple(PROGRESSIONS), (5, 4, 2, 2))[0]
    metre = rng.choices((4, 3), (5, 1))[0]
    sequence = rng.choice(PROGRESSIONS[mode])
    total = rng.choice((16, 24, 32))
    song = Song(rng, seed % 12, mode, metre, [sequence[k % len(sequence)] for k in range(total)])
    caller, answerer = Part(rng.choice(CALLERS)), Part(rng.choice(ANSWERERS))
    hands = (
        Part(caller.program) if rng.random() < 0.5 else Part(rng.choice((0, 4, 24, 32, ANONYMOUS)))
    )
    left_hand = hands.program == caller.program
    parts = [caller, answerer]
    form = rng.choices(("turns", "fills", "together", "solo"), (6, 2, 2, 1))[0]
    turn = rng.choices((1, 2, 4), (2, 5, 2))[0]
    high = rng.choice((0, 3, 7))
    style = rng.choice(("block", "block", "broken", "bass", "stabs", "none"))
    bar = 0
    motif = make_motif(song)
    while bar < total:
        length = min(turn, total - bar)
        loud = rng.randint(68, 96)
        if rng.random() < 0.3:
            motif = make_motif(song)
        phrase(song, caller, motif, bar, length, high, loud)
        if form == "turns" and bar + length < total:
            reply = min(turn, total - bar - length)
            phrase(song, answerer, vary(song, motif), bar + length, reply, high + 2, loud - 4)
            length += reply
        elif form == "fills":
            phrase(song, answerer, make_motif(song), bar + length - 1, 1, high + 4, loud - 12)
        elif form == "together":
            phrase(song, answerer, vary(song, motif), bar, length, high - 4, loud - 10)
        if style != "none" and (not left_hand or form != "turns" or rng.random() < 0.5):
            accompany(song, hands, bar, length, style, 58)
        elif style != "none":
            accompany(song, hands, bar, min(turn, total - bar), style, 58)
        bar += length
    if left_hand:
        caller.notes += hands.notes
    else:
        parts.append(hands)
    if rng.random() < 0.2:
        drums = Part(DRUMS)
        drum_bars(song, drums, total)
        parts.append(drums)
    swing = rng.choice((0.0, 0.0, 0.0, 0.1, 0.15, 1 / 6))
    return [p for p in parts if p.notes], rng.uniform(66, 156), swing


def to_midi(parts: list[Part], bpm: float, swing: float, seed: int) -> mido.MidiFile:
    """Play the parts by hand: swing moves the off-beats, each player has a lag and a looseness."""
    rng = random.Random(seed + 1)
    midi = mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    head = mido.MidiTrack()
    head.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm)))
    midi.tracks.append(head)
    beat_s = 60.0 / bpm
    for index, part in enumerate(parts):
        channel = 9 if part.program == DRUMS else index
        track = mido.MidiTrack()
        if part.program >= 0:
            track.append(mido.Message("program_change", channel=channel, program=part.program))
        lag, loose = rng.gauss(0.004, 0.008), rng.uniform(0.003, 0.014)
        events: list[tuple[int, int, int, int]] = []
        ends: dict[int, int] = {}  # key: tick of its last off, so that no note is struck while held
        for start, hold, key, velocity in sorted(part.notes):
            if abs(start % 1 - 0.5) < 1e-6:
                start += swing
            start_s = max(0.0, start * beat_s + lag + rng.gauss(0, loose))
            on = max(round(start_s / beat_s * TICKS_PER_BEAT), ends.get(key, 0))
            off = on + max(20, round(hold * TICKS_PER_BEAT * rng.uniform(0.92, 1.02)))
            if not 0 <= key <= 127:
                continue
            ends[key] = off
            events.append((on, 1, key, min(127, max(1, velocity))))
            events.append((off, 0, key, 0))
        tick = 0
        for at, is_on, key, velocity in sorted(events):
            kind = "note_on" if is_on else "note_off"
            message = mido.Message(
                kind, channel=channel, note=key, velocity=velocity, time=at - tick
            )
            track.append(message)
            tick = at
        midi.tracks.append(track)
    return midi


def write_corpus(folder: Path, pieces: int, seed: int) -> None:
    """Write `pieces` MIDI files into an existing folder; the same seed writes the same bytes."""
    for k in range(pieces):
        parts, bpm, swing = compose(seed + k)
        to_midi(parts, bpm, swing, seed + k).save(folder / f"piece{seed + k:05d}.mid")
