"""The demo's piece: what its two made-up performers play, and when the stems come and go.

48 bars of 4/4 in minor: introduction on keys (0), trombone (8), groove (16), peak (24), breakdown
(32), last chorus (40), end (48). The performers leave holes for answers. Everything is a function
of tempo, rate and tonic alone, so live and offline play the same. Not real-time safe: call before
the start.

A bar of a line reads "G3:1.5 C4:.5 r:2" (note or rest, beats; `>` accents); a chord "C2+Eb4+G4:2".
Notes are written in C minor and transposed to the tonic asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.layout import NOTE, NoteKind
from engine.timeline import check_bpm

BEATS_PER_BAR = 4
BARS = 48
BEATS = float(BARS * BEATS_PER_BAR)
TAIL_BEATS = 8.0  # for the last sounds to die away

TROMBONE_PROGRAM = 57
PEAK_DB = -6.5  # of the trombone, at most
STEP_FRAMES = 480  # vibrato moves this often
VIBRATO_HZ = 5.2
VIBRATO_CENTS = 14.0
VIBRATO_AFTER_S = 0.35
BEND_MIDDLE = 8192
BEND_CENTS = 200.0  # full bend, the General MIDI default

THEME = """
G3:1.5 C4:.5 >Eb4:1.5 D4:.5 | C4:2.5 Bb3:.5 Ab3:1
G3:1 F3:.5 G3:.5 Ab3:1 Bb3:.5 Ab3:.5 | G3:2.5 r:1.5
C4:1.5 D4:.5 >Eb4:1 F4:1 | Eb4:1.5 D4:.5 C4:1 Bb3:1
Ab3:1 >C4:1 Bb3:.5 Ab3:.5 G3:.5 F3:.5 | G3:3 r:1
"""
RIFF = """
>C4:.5 r:.5 C4:.5 Eb4:.5 r:.5 >F4:.5 Eb4:.5 C4:.5 | Bb3:.75 C4:.25 r:1 G3:.5 Bb3:.5 >C4:1
>Eb4:.5 r:.5 Eb4:.5 F4:.5 r:.5 >G4:1 F4:.5 | Eb4:.5 C4:.5 Bb3:.5 C4:1.5 r:1
"""
PEAK = """
>G4:2 F4:1 Eb4:1 | >F4:1.5 Eb4:.5 D4:1 C4:1 | Eb4:.5 F4:.5 >G4:1 Eb4:.5 C4:.5 Bb3:1 | >C4:3 r:1
r:4 | >Ab4:1 G4:.5 F4:.5 Eb4:1 F4:1
>G4:1.5 F4:.5 Eb4:.5 D4:.5 C4:.5 D4:.5 | >Eb4:1 D4:1 C4:1.5 r:.5
"""
BREAKDOWN = """
r:4 | r:4 | C3:3 r:1 | Eb3:2 D3:2
Ab2:3 Bb2:1 | G2:3 r:1 | r:4 | r:2 G3:.5 Ab3:.5 Bb3:.5 B3:.5
"""
CODA = """
C4:1.5 D4:.5 >Eb4:1 F4:1 | Eb4:1.5 D4:.5 C4:1 Bb3:1 | Ab3:1 >C4:1 Bb3:.5 Ab3:.5 D4:1 | >C4:3.9 r:.1
"""
REST = " | ".join(["r:4"] * 8)
HOLE = "r:4 | r:4"
_RIFF_END = RIFF.strip().split("\n")[1]
TROMBONE = (REST, THEME, RIFF, HOLE, _RIFF_END, PEAK, BREAKDOWN, RIFF, CODA)

CM, AB, FM, GM = "Eb4+G4+Bb4+D5", "Eb4+G4+C5", "Eb4+Ab4+C5", "F4+Bb4+D5"
INTRO = f"""
C2+{CM}:4 | Ab1+{AB}:3 G4:.5 Bb4:.5 | >C5:1 Bb4:.5 G4:.5 F4:1 Eb4:.5 F4:.5 | G4:1.5 r:2.5
F2+{FM}:4 | G2+{GM}:3 D5:.5 Eb5:.5 | >F5:.5 Eb5:.5 D5:.5 C5:1 Bb4:.5 G4:1 | C5:1 r:3
"""
UNDER = f"""
C2+{CM}:3 r:1 | Ab1+{AB}:3 r:1 | F2+{FM}:3 r:1 | G2+{GM}:1.5 r:.5 >G4:.5 Bb4:.5 C5:.5 D5:.5
C2+{CM}:3 r:1 | Ab1+{AB}:3 r:1 | F2+{FM}:3 r:1 | r:1 G5:.5 F5:.5 >Eb5:.5 D5:.5 Bb4:.5 G4:.5
"""
GROOVE = f"""
r:1.5 >{CM}:.5 r:1.5 {CM}:.5 | r:1.5 >{AB}:.5 r:1 {AB}:.5 r:.5
r:1.5 >{FM}:.5 r:1.5 {FM}:.5 | r:1.5 >{GM}:.5 r:2
"""
CALL = """
>C5:.5 Eb5:.5 r:.5 F5:.5 >G5:1 F5:.5 Eb5:.5 | C5:.5 r:3.5
"""
AFTER_CALL = f"r:1.5 >{FM}:.5 r:1.5 {FM}:.5 | r:1.5 >{GM}:.5 r:2"
LIFT = f"""
>{CM}:1.5 {CM}:1 >{CM}:1.5 | >{AB}:1.5 {AB}:1 >{AB}:1.5
>{FM}:1.5 {FM}:1 >{FM}:1.5 | >{GM}:1.5 {GM}:1 r:1.5
>G5:.5 F5:.5 Eb5:.5 C5:.5 Bb4:.5 C5:.5 >Eb5:1 | r:4
>{FM}:1.5 {FM}:1 >{FM}:1.5 | >{GM}:2 r:2
"""
STILL = f"""
G5:1 Eb5:.5 D5:.5 >C5:1.5 Bb4:.5 | G4:1 r:3 | C2+{CM}:4 | Ab1+{AB}:4
F2+{FM}:4 | G2+{GM}:3 r:1 | >C5:.5 D5:.5 Eb5:.5 G5:.5 F5:1 Eb5:1 | D5:1 r:3
"""
END = f"""
C2+{CM}:3 r:1 | Ab1+{AB}:3 r:1 | F2+{FM}:2 G2+{GM}:2 | >C2+G2+{CM}:4
"""
KEYS = (INTRO, UNDER, GROOVE, CALL, AFTER_CALL, LIFT, STILL, GROOVE, END)

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SHIFTS = {"": 0, "b": -1, "#": 1}


class ScoreNote(NamedTuple):
    """Beats from the piece's start, MIDI key and velocity."""

    start: float
    duration: float
    key: int
    velocity: int


@dataclass(frozen=True)
class Cue:
    """asked: the beat at which a stem of `role` is asked to `enter` or `leave`. beat: the phrase
    (a multiple of 16) at which it does. role "" with `end`: all stems stop, the tail rings."""

    asked: float
    beat: float
    action: str
    role: str


def scenes() -> list[Cue]:
    """When stems come and go. From bar 16 two roles or more play until the end, so two sources made
    by machine are heard two thirds of the piece, whatever the players answer."""
    plan = [
        (8, "enter", "chords"),
        (16, "enter", "drums"),
        (16, "enter", "bass"),
        (32, "leave", "drums"),
        (40, "enter", "drums"),
        (48, "end", ""),
    ]
    return [
        Cue(float((bar - 2) * BEATS_PER_BAR), float(bar * BEATS_PER_BAR), action, role)
        for bar, action, role in plan
    ]


def trombone_notes(key: int = 0) -> list[ScoreNote]:
    """The trombone's line; key: tonic pitch class 0-11 (0 = C), taken the shorter way."""
    return _read(TROMBONE, key, 88, 108)


def keyboard_notes(key: int = 0) -> list[ScoreNote]:
    """The keyboard's part; key as in trombone_notes."""
    return _read(KEYS, key, 66, 84)


def trombone_audio(
    soundfont: Path, bpm: float, rate: int, beats: float = BEATS + TAIL_BEATS, key: int = 0
) -> np.ndarray:
    """float32 (round(beats * 60 / bpm * rate),), dry, peaks at PEAK_DB. Takes about a second.

    soundfont: one that engine/soundfont.py has proved. ValueError for a tempo that is none.
    """
    from tinysoundfont import Synth

    per_beat = rate * 60.0 / check_bpm(bpm)
    total = round(beats * per_beat)
    synth = Synth(samplerate=rate)
    font = synth.sfload(str(soundfont), max_voices=16)
    synth.program_select(0, font, 0, TROMBONE_PROGRAM)
    events = sorted(
        (round(beat * per_beat), kind, n)
        for n in trombone_notes(key)
        for beat, kind in ((n.start, 1), (n.start + n.duration, 0))
    )
    audio = np.zeros((total, 2), np.float32)
    position, struck, pending = 0, 0, 0
    while position < total:
        while pending < len(events) and events[pending][0] <= position:
            _, on, note = events[pending]
            pending += 1
            if on:
                struck = position
                synth.pitchbend(0, BEND_MIDDLE)
                synth.noteon(0, note.key, note.velocity)
            else:
                synth.noteoff(0, note.key)
        held = (position - struck) / rate - VIBRATO_AFTER_S
        if held > 0:
            cents = VIBRATO_CENTS * min(held / 0.4, 1.0) * np.sin(2 * np.pi * VIBRATO_HZ * held)
            synth.pitchbend(0, BEND_MIDDLE + round(BEND_MIDDLE * cents / BEND_CENTS))
        until = events[pending][0] if pending < len(events) else total
        until = min(until, position + STEP_FRAMES, total)
        block = np.frombuffer(synth.generate(until - position), np.float32)
        audio[position:until] = block.reshape(-1, 2)
        position = until
    mono = audio.mean(axis=1)
    peak = float(np.abs(mono).max())
    return mono * np.float32(10.0 ** (PEAK_DB / 20.0) / peak) if peak else mono


def keys_notes(bpm: float, rate: int, voice: int = 0, key: int = 0) -> np.ndarray:
    """layout.NOTE records in order of frame (0: beat 0), every on with its off, of sampler voice
    index `voice`. ValueError for a tempo that is none."""
    per_beat = rate * 60.0 / check_bpm(bpm)
    records = []
    for number, n in enumerate(keyboard_notes(key), start=1):
        on = round(n.start * per_beat)
        off = max(on + 1, round((n.start + n.duration) * per_beat))
        records.append((on, number, 0, 0, voice, NoteKind.ON, 0, n.key, n.velocity, 0))
        records.append((off, number, 0, 0, voice, NoteKind.OFF, 0, n.key, 0, 0))
    records.sort(key=lambda r: (r[0], r[5]))  # offs first: OFF < ON
    return np.array(records, NOTE)


def bars_of(parts: tuple[str, ...]) -> list[str]:
    """The bars of a part's text, in order."""
    lines = [line for part in parts for line in part.strip().split("\n")]
    return [bar.strip() for line in lines for bar in line.split("|")]


def _read(parts: tuple[str, ...], key: int, soft: int, loud: int) -> list[ScoreNote]:
    shift = key % 12 if key % 12 <= 6 else key % 12 - 12
    notes = []
    for number, bar in enumerate(bars_of(parts)):
        at = float(number * BEATS_PER_BAR)
        for word in bar.split():
            names, _, length = word.rpartition(":")
            beats = float(length)
            accent = names.startswith(">")
            names = names.removeprefix(">")
            if names != "r":
                # Even hands are dull: the strong beats a little louder, all notes a little short.
                velocity = (loud if accent else soft) + (4 if at % 2 == 0 else 0)
                notes += [
                    ScoreNote(at, beats * 0.94, _key(name) + shift, velocity)
                    for name in names.split("+")
                ]
            at += beats
    return notes


def _key(name: str) -> int:
    """ "Eb4" -> 63."""
    return 12 * (int(name[-1]) + 1) + _STEPS[name[0]] + _SHIFTS[name[1:-1]]
