"""Risk: the judge lets a late DRY, a wrong capture or a missing fill pass."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from engine.gig.judge import judge
from engine.gig.judge_hands import HAND_KEYS, placed
from engine.gig.night import Captured, DryPath, Fill, Night, Song

RATE = 16_000
BEAT = 8000
BAR = 4 * BEAT
BARS = 12
FRAMES = (BARS + 1) * BAR
TAKEN = Captured("trombone", "loops", 2 * BAR, 4 * BAR, 8 * BAR)
FILL = Fill("fills", 7 * BAR, 8 * BAR)
DRY = (10 * BAR + 100, 11 * BAR)
LATE = round(0.04 * RATE)  # within what DRY may take


def melody() -> np.ndarray:
    """A mono line, no two bars alike; a rest at each bar's end."""
    keys = np.random.default_rng(4).permutation(np.arange(48, 48 + 4 * BARS)) - 12
    out = np.zeros(FRAMES)
    t = np.arange(BEAT) / RATE
    for k, key in enumerate(keys):
        if k % 4 == 3:
            continue
        hz = 440.0 * 2.0 ** ((key - 69) / 12)
        tone = sum(np.sin(2 * np.pi * n * hz * t) / n for n in (1, 2, 3))
        out[k * BEAT : (k + 1) * BEAT] = 0.1 * tone * np.exp(-t / 0.3) * np.minimum(t / 0.01, 1)
    return out.astype(np.float32)


def sliced(bars: np.ndarray, shift: int) -> np.ndarray:
    """As a stem that follows the tempo: half-beats, each a little off its place."""
    steps = np.random.default_rng(2).integers(-shift, shift + 1, len(bars) // (BEAT // 2) + 1)
    index = np.arange(len(bars)) + np.repeat(steps, BEAT // 2)[: len(bars)]
    return bars[np.clip(index, 0, len(bars) - 1)]


def night(loops: np.ndarray | None = None) -> Night:
    """Two bars captured come again at bar 8, after a fill; DRY takes it all at bar 10."""
    line = melody()
    taken = line[TAKEN.first : TAKEN.last] if loops is None else loops
    bus = np.zeros(FRAMES, np.float32)
    bus[8 * BAR : 10 * BAR] = 0.5 * taken
    bus[10 * BAR : DRY[0] + LATE] = 0.05
    fills = np.zeros(FRAMES, np.float32)
    for hit in range(8):
        fills[FILL.first + hit * BEAT // 2 :][:2000] = 0.2
    main = np.stack([line + bus + fills] * 2, axis=1)
    beats = np.arange(0, FRAMES, BEAT)
    return Night(
        rate=RATE,
        start=0,
        songs=[Song("a", 0, BARS * BAR, beats)],
        main=main,
        dry={"trombone": DryPath(line, line)},
        stems={"loops": bus, "fills": fills},
        dries=[DRY],
        captures=[TAKEN],
        fills=[FILL],
    )


def wrong(of: Night) -> list[str]:
    counts = judge(of)
    return [key for key in HAND_KEYS if counts[key]]


def test_a_night_as_it_should_be_is_faultless() -> None:
    assert wrong(night()) == []
    assert judge(night())["skipped"] == []


def test_a_capture_in_slices_is_what_was_played() -> None:
    bars = melody()[TAKEN.first : TAKEN.last]
    assert wrong(night(sliced(bars, RATE // 125))) == []


@pytest.mark.parametrize("bar", [0, 1, 3, 4])
def test_other_bars_than_those_captured_are_wrong(bar: int) -> None:
    other = melody()[bar * BAR : (bar + 2) * BAR]
    assert wrong(night(other)) == ["capture_errors"]


def test_silence_noise_and_bars_out_of_order_are_wrong() -> None:
    bars = melody()[TAKEN.first : TAKEN.last]
    noise = np.random.default_rng(3).standard_normal(2 * BAR).astype(np.float32) * 0.1
    for instead in (np.zeros_like(bars), noise, np.roll(bars, BAR), np.roll(bars, BEAT)):
        assert wrong(night(instead)) == ["capture_errors"]


def test_a_capture_that_comes_before_its_phrase_is_wrong() -> None:
    of = night()
    of.stems["loops"][:] = np.roll(of.stems["loops"], -RATE // 5)
    assert "capture_errors" in wrong(of)


def test_sound_that_outlasts_dry_is_wrong() -> None:
    of = night()
    of.stems["loops"][: DRY[0] + round(0.06 * RATE)] += np.float32(0.02)
    assert "dry_late" in wrong(of)


def test_a_dry_with_nothing_to_take_proves_nothing() -> None:
    of = night()
    of.stems["loops"][10 * BAR - RATE :] = 0.0
    found = judge(replace(of, skipped=["screen"]))["skipped"]
    assert isinstance(found, list)
    assert found[0] == "screen"
    assert found[1].startswith("DRY at")


@pytest.mark.parametrize("fault", ["none", "late", "short", "again"])
def test_a_fill_fills_its_bar_and_nothing_else(fault: str) -> None:
    of = night()
    fills = of.stems["fills"]
    if fault == "none":
        fills[:] = 0.0
    elif fault == "late":
        fills[FILL.first : FILL.first + BEAT] = 0.0
    elif fault == "short":
        fills[FILL.first + BEAT :] = 0.0
    else:
        fills[9 * BAR : 9 * BAR + BEAT] = 0.1
    assert "fill_errors" in wrong(of)


def slower(share: float) -> tuple[np.ndarray, np.ndarray]:
    """(the drummer's beats, the captured bars on them): the drummer goes on steadily up to bar 6,
    then slower by a share; the bars come at bar 8, each half-beat at its place."""
    numbers = np.arange(0, FRAMES // BEAT)
    late = np.maximum(numbers - 24, 0) * BEAT * share
    beats = np.round(numbers * BEAT + late).astype(np.int64)
    line, bus = melody(), np.zeros(FRAMES, np.float32)
    places = np.interp(32 + np.arange(17) / 2, numbers, beats).astype(int)
    for k, (first, last) in enumerate(itertools.pairwise(places)):
        from_ = TAKEN.first + k * BEAT // 2
        bus[first:last] = 0.5 * line[from_ : from_ + last - first]
    return beats, bus


@pytest.mark.parametrize("share", [-0.03, 0.03])
def test_a_capture_follows_a_drummer_who_drifts(share: float) -> None:
    beats, bus = slower(share)
    taken = replace(TAKEN, enters=int(beats[32]))
    of = replace(night(), songs=[Song("a", 0, BARS * BAR, beats)], captures=[taken])
    of = replace(of, stems={**of.stems, "loops": bus}, dries=[])
    assert "capture_errors" not in wrong(of)
    for late in (BEAT // 2, BEAT, 2 * BEAT, round(0.1 * RATE)):
        off = replace(of, stems={**of.stems, "loops": np.roll(bus, late)})
        assert "capture_errors" in wrong(off)


@pytest.mark.parametrize("late", [-0.06, 0.0, 0.03, 0.06])
def test_how_late_it_is_can_be_told(late: float) -> None:
    line = melody().astype(np.float64)
    where = np.arange(RATE, RATE + 2 * BAR, dtype=np.float64)
    frames = round(late * RATE)
    share, found = placed(line[RATE - frames : RATE + 2 * BAR - frames], line, where, RATE)
    assert found == pytest.approx(late, abs=0.003)
    assert share > 0.9
    assert placed(np.zeros(BAR), np.zeros(FRAMES), where, RATE) == (0.0, 0.0)
