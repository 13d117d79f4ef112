"""Risk: stems play beside the band's beat unheard by the judge, or good ones are called wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from engine.gig.judge import judge
from engine.gig.judge_stems import HALF, STEM_KEYS, hits, phrases_off
from engine.gig.night import Loops, Night, Song

RATE = 24_000
BEATS = 16  # of a stem: four bars
BAR = 4
FIRST, SECOND, END = 16, 64, 112  # beats: two stems, three passes each
JITTER = round(0.008 * RATE)  # of a stem's slices


@cache
def song(drift: float) -> Song:
    """120 BPM, wandering by a share over 24 beats: faster than any drummer."""
    tempo = 1.0 + drift * np.sin(2 * np.pi * np.arange(END + 8) / 24)
    beats = np.concatenate([[RATE], RATE + np.cumsum(0.5 * RATE / tempo)])
    return Song("a", RATE, int(beats[END]), np.round(beats).astype(np.int64))


@cache
def line(seed: int) -> np.ndarray:
    """Four bars of a bass: a note every half beat or rest, no bar like another."""
    rng = np.random.default_rng(seed)
    half = RATE // 4
    t = np.arange(half) / RATE
    out = np.zeros(2 * BEATS * half)
    for k in range(2 * BEATS):
        if rng.uniform() < 0.3 and k % 8:
            continue
        hz = 55.0 * 2.0 ** (rng.integers(0, 12) / 12)
        tone = sum(np.sin(2 * np.pi * n * hz * t) / n for n in range(1, 6))
        envelope = np.minimum(t / 0.004, 1) * np.exp(-t / 0.2) * np.minimum((t[-1] - t) / 0.01, 1)
        out[k * half : (k + 1) * half] = 0.2 * tone * envelope
    return out


@cache
def kit(seed: int) -> np.ndarray:
    """Four bars of percussion: kick, snare, hat or nothing on every half beat; kick on the one."""
    rng = np.random.default_rng(seed)
    half = RATE // 4
    t = np.arange(half) / RATE
    noise = rng.standard_normal((2, half))
    attack = 0.5 * noise[0] * np.exp(-t / 0.003)
    kick = 0.4 * np.sin(2 * np.pi * 60 * t) * np.exp(-t / 0.08) + attack
    hat = 0.2 * np.diff(noise[1], prepend=0.0) * np.exp(-t / 0.02)
    snare = 0.2 * (noise[0] + np.sin(2 * np.pi * 190 * t)) * np.exp(-t / 0.06)
    drums = [kick, snare, hat, hat, 0.0 * t]
    return np.concatenate([drums[0 if k % 8 == 0 else rng.integers(5)] for k in range(2 * BEATS)])


def plays(stems: list[np.ndarray], entries: list[float], of: Song, late: float = 0.0) -> np.ndarray:
    """Stems in slices of half a beat, each a little off its place, from beat to beat; late:
    seconds."""
    rng = np.random.default_rng(1)
    numbers = np.arange(len(of.beats))
    out = np.zeros(int(of.beats[-1]) + RATE)
    half = RATE // 4
    for stem, begin, end in zip(stems, entries, [*entries[1:], float(END)], strict=True):
        for k in range(round(2 * (end - begin))):
            a, b = np.interp([begin + k / 2, begin + (k + 1) / 2], numbers, of.beats)
            at = int(a + late * RATE) + int(rng.integers(-JITTER, JITTER + 1))
            place = (k * half + np.arange(int(b - a))) % len(stem)
            out[at : at + len(place)] = stem[place]
    return out.astype(np.float32)


def night(bus: np.ndarray, of: Song, struck: bool) -> Night:
    lines = (int(of.beats[FIRST]), int(of.beats[SECOND]))
    loops = Loops("stem", "a", BEATS, lines, int(of.beats[END]), struck=struck)
    main = np.stack([bus, bus], axis=1)
    return Night(RATE, 0, [of], main, stems={"stem": bus}, loops=[loops])


def wrong(of: Night) -> set[str]:
    counts = judge(of)
    return {key for key in (*STEM_KEYS, "wrong_bar_entries") if counts[key]}


Make = Callable[[int], np.ndarray]
STEMS = [pytest.param(line, False, id="bass"), pytest.param(kit, True, id="percussion")]


@pytest.mark.parametrize(("make", "struck"), STEMS)
@pytest.mark.parametrize("drift", [0.0, 0.03, -0.03])
def test_stems_on_the_drummers_beat_are_faultless(make: Make, struck: bool, drift: float) -> None:
    of = song(drift)
    bus = plays([make(1), make(2)], [FIRST, SECOND], of)
    assert wrong(night(bus, of, struck)) == set()
    bus[int(of.beats[80]) :] *= 0.3  # a scene takes it down
    assert wrong(night(bus, of, struck)) == set()


@pytest.mark.parametrize(("make", "struck"), STEMS)
@pytest.mark.parametrize("off", [2, 0.5, 1, BAR, -0.5, -2, -BAR])
def test_stems_that_replace_each_other_off_their_line_are_seen(
    make, struck: bool, off: float
) -> None:
    of = song(0.02)
    entries = [FIRST, FIRST + 2 * BEATS, FIRST + 4 * BEATS]
    bus = plays([make(k) for k in range(3)], [entries[0], *(k + off for k in entries[1:])], of)
    one = night(bus, of, struck)
    lines = tuple(int(of.beats[k]) for k in entries)
    assert "stem_place_errors" in wrong(replace(one, loops=[replace(one.loops[0], lines=lines)]))


@pytest.mark.parametrize("off", [2.0, 0.5, -BAR, BAR])
def test_both_stems_off_the_band_are_seen(off: float) -> None:
    of = song(0.02)
    bus = plays([line(1), line(2)], [FIRST + off, SECOND + off], of)
    assert "stem_place_errors" in wrong(night(bus, of, False))


@pytest.mark.parametrize(("make", "struck"), STEMS)
def test_a_clock_that_slips_by_two_beats_under_a_stem_is_seen(make: Make, struck: bool) -> None:
    of = song(0.02)
    stem = make(1)
    turned = np.roll(stem, -2 * RATE // 2)
    bus = plays([stem, turned], [FIRST, FIRST + 2 * BEATS + 4], of)
    bus[int(of.beats[SECOND]) :] = 0.0
    one = night(bus, of, struck)
    lines = (int(of.beats[FIRST]),)
    loops = replace(one.loops[0], lines=lines, end=int(of.beats[SECOND]))
    assert "stem_place_errors" in wrong(replace(one, loops=[loops]))


def test_what_fades_out_with_its_song_is_no_stray_sound() -> None:
    of = song(0.02)
    bus = plays([line(1), line(2)], [FIRST, SECOND], of)
    one, fades = night(bus, of, False), int(of.beats[END - 3 * BAR])
    early = replace(one, loops=[replace(one.loops[0], end=fades)])
    assert "stem_stray_sound" in wrong(early)
    late = replace(one, loops=[replace(one.loops[0], end=fades, gone=int(of.beats[END]))])
    assert wrong(late) == set()


def test_a_stem_that_stops_by_itself_or_plays_unasked_is_seen() -> None:
    of = song(0.0)
    bus = plays([line(1), line(2)], [FIRST, SECOND], of)
    stopped = bus.copy()
    stopped[int(of.beats[SECOND + 20]) : int(of.beats[SECOND + 24])] = 0.0
    assert wrong(night(stopped, of, False)) == {"stem_place_errors"}
    never = bus.copy()
    never[int(of.beats[SECOND]) :] = 0.0
    assert wrong(night(never, of, False)) == {"stem_place_errors"}
    assert wrong(night(0.0 * bus, of, True)) == {"stem_place_errors"}
    hidden = (int(of.beats[SECOND + 20]), int(of.beats[SECOND + 24]))
    dry = night(stopped, of, False)
    assert wrong(replace(dry, loops=[replace(dry.loops[0], hidden=(hidden,))])) == set()
    early = bus.copy()
    early[int(of.beats[FIRST - 4]) : int(of.beats[FIRST])] = bus[
        int(of.beats[FIRST]) : 2 * int(of.beats[FIRST]) - int(of.beats[FIRST - 4])
    ]
    assert "stem_stray_sound" in wrong(night(early, of, False))


@pytest.mark.parametrize("late", [-0.035, -0.03, 0.03, 0.035])
def test_percussion_beside_the_beat_is_seen(late: float) -> None:
    of = song(0.02)
    bus = plays([kit(1), kit(2)], [FIRST, SECOND], of, late)
    assert wrong(night(bus, of, True)) == {"stems_off_the_beat"}
    little = night(plays([kit(1), kit(2)], [FIRST, SECOND], of, late / 2), of, True)
    assert wrong(little) == set()
    found = [off for _, _, off in phrases_off(little, little.loops[0])]
    assert np.median(found) == pytest.approx(late / 2, abs=0.004)


def test_silence_and_hum_have_no_hits() -> None:
    assert not len(hits(np.zeros(RATE), RATE))
    assert not len(hits(np.zeros(2), RATE))
    hum = 0.3 * np.sin(2 * np.pi * 220.0 * np.arange(RATE) / RATE)
    assert len(hits(hum, RATE)) <= 1  # it begins
    assert HALF == 8
