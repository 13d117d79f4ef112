"""Risk: what a hand says is not done, is done off the bar, or is undone by something lower."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import Clock
from engine.clock_state import CLOCK_STEPS, ClockState
from engine.layout import OBSERVATION, ObservationKind
from engine.timeline import Timeline

RATE = 48_000


def clock(bpm: float = 100.0, follow: bool = False) -> Clock:
    return Clock(Timeline(0, 0.0, bpm, RATE), follow=follow)


def tap(c: Clock, frames: list[int]) -> int:
    count = 0
    for frame in frames:
        c.advance(frame)
        count = c.tap(frame)
    return count


@given(st.floats(45.0, 230.0), st.integers(0, 500_000), st.integers(4, 9))
def test_four_taps_or_more_set_tempo_and_phase(bpm: float, start: int, count: int) -> None:
    c = clock()
    period = RATE * 60 / bpm
    frames = [start + round(k * period) for k in range(count)]
    assert tap(c, frames) == count
    line = c.advance(frames[-1])
    assert line is not None
    assert line.bpm == pytest.approx(bpm, rel=1e-3)
    assert line.beat_at(frames[-1]) == pytest.approx(round(line.beat_at(frames[-1])), abs=0.002)
    assert round(line.beat_at(frames[0])) % 4 == 0  # counted in: the first tap is a one
    assert c.beat_by_hand
    assert not c.one_by_hand


def test_three_taps_alone_set_nothing_and_two_near_the_tempo_refine() -> None:
    c = clock(100.0)
    tap(c, [10_000, 30_000, 50_000])  # 144 BPM: not about this tempo
    assert c.advance(200_000) is None or not c.beat_by_hand
    assert c.line.bpm == 100.0
    tap(c, [300_000, 328_235])  # 102 BPM
    c.advance(400_000)
    assert c.line.bpm == pytest.approx(101.0, rel=1e-3)
    beat = c.line.beat_at(328_235)
    assert beat == pytest.approx(round(beat), abs=1e-3)


def test_a_bounce_is_no_tap_and_a_stray_tap_starts_anew() -> None:
    c = clock()
    assert tap(c, [0, 2_000, 30_000, 60_000]) == 3
    assert tap(c, [80_000]) == 1


def test_taps_keep_the_bar_that_a_hand_has_set() -> None:
    c = clock(100.0)
    c.advance(100_000)
    c.this_is_one(100_000)
    later = [100_000 + 28_800 * k for k in (1, 2, 3, 4)]
    tap(c, later)
    assert c.line.beat_at(100_000 + 28_800 * 4) % 4 == pytest.approx(0.0, abs=1e-6)


@given(st.integers(0, 10_000_000))
def test_this_is_one_starts_a_phrase_there_and_never_counts_back(frame: int) -> None:
    c = clock(111.0)
    c.advance(frame)
    before = c.line.beat_at(frame)
    c.this_is_one(frame)
    line = c.advance(frame)
    assert line is not None
    assert line.beat_at(frame) % 16 == 0.0
    assert line.beat_at(frame) >= before - 0.5
    assert c.one_by_hand


def test_nudge_and_shift_move_beats_later() -> None:
    c = clock(100.0)
    c.advance(1_000_000)
    first = c.line.frame_at(50.0)
    c.nudge(5.0)
    assert c.line.frame_at(50.0) - first == 240
    c.shift(0.5)
    assert c.line.frame_at(50.0) - first == 240 + 14_400
    c.shift(-1.0)
    assert c.line.frame_at(50.0) - first == 240 - 14_400


@pytest.mark.parametrize(("factor", "expected"), [("double", 200.0), ("halve", 50.0)])
def test_octaves_change_at_the_bar_line_and_not_before(factor: str, expected: float) -> None:
    c = clock(100.0)
    c.advance(30_000)
    getattr(c, factor)()
    bar = c.line.frame_at(4.0)
    c.advance(bar - 1)
    assert c.line.bpm == 100.0
    c.advance(bar)
    assert c.line.bpm == expected
    assert c.line.beat_at(bar) == pytest.approx(4.0, abs=1e-9)


def test_double_and_halve_before_the_bar_line_cancel() -> None:
    c = clock(100.0)
    c.double()
    c.halve()
    c.advance(500_000)
    assert c.line.bpm == 100.0


@pytest.mark.parametrize("bpm", [0.0, float("nan"), 10_000.0, 30.0, -5.0])
def test_a_tempo_out_of_range_is_refused_and_the_old_one_runs_on(bpm: float) -> None:
    c = clock(100.0)
    with pytest.raises(ValueError, match=r"tempo is .* expected"):
        c.set_bpm(bpm)
    assert c.line.bpm == 100.0


def test_senseless_moves_are_refused() -> None:
    c = clock(200.0)
    with pytest.raises(ValueError, match="tempo would be 400"):
        c.double()
    with pytest.raises(ValueError, match="nudge is nan"):
        c.nudge(float("nan"))
    with pytest.raises(ValueError, match=r"shift is 0.3"):
        c.shift(0.3)


def test_a_hand_comes_before_an_external_clock_and_that_before_the_tracker() -> None:
    c = clock(100.0, follow=True)
    assert c.external(48_000, 2.25, 120.0)
    assert c.state is ClockState.EXTERNAL
    assert c.line.bpm == 120.0
    assert c.line.beat_at(48_000) % 4 == pytest.approx(2.25)
    for k in range(20):
        frame = 60_000 + 30_000 * k
        c.advance(frame)
        c.observe(np.array([(frame, 96.0, 1.0, ObservationKind.BEAT, 0, 0)], OBSERVATION)[0])
    assert c.line.bpm == 120.0
    tap(c, [700_000 + 28_800 * k for k in range(4)])
    assert c.state is ClockState.COASTING
    assert not c.external(800_000, 0.0, 120.0)
    assert c.line.bpm == pytest.approx(100.0)
    c.let_go()
    assert c.external(800_000, 0.0, 120.0)


def test_an_external_clock_that_is_no_number_is_not_heard() -> None:
    c = clock(100.0)
    assert not c.external(48_000, 0.0, float("nan"))
    assert c.line.bpm == 100.0


def test_a_hand_takes_back_what_it_did() -> None:
    c = clock(100.0)
    c.advance(1_000_000)
    before, first = c.to_dict(), c.line.frame_at(50.0)
    c.nudge(20.0)
    c.set_bpm(140.0)
    c.set_phrase(8)
    c.halve()
    c.advance(1_050_000)
    c.go_back(json.loads(json.dumps(before)), 1_050_000)
    line = c.advance(1_050_000)
    assert line is not None
    assert (line.bpm, line.bars_per_phrase) == (100.0, 4)
    assert abs(line.frame_at(50.0) - first) <= 1
    assert not c.beat_by_hand
    c.advance(2_000_000)
    assert c.line.bpm == 100.0  # nothing waits for a bar any more


def test_every_state_can_be_left_and_no_step_leads_to_itself() -> None:
    assert set(CLOCK_STEPS) == set(ClockState)
    for state, steps in CLOCK_STEPS.items():
        assert steps
        assert state not in steps


def test_a_restarted_conductor_goes_on_from_the_journal() -> None:
    c = clock(100.0, follow=True)
    tap(c, [28_800 * k for k in range(4)])
    c.this_is_one(28_800 * 4)
    c.advance(28_800 * 5)
    c.double()
    twin = Clock.from_dict(json.loads(json.dumps(c.to_dict())))
    for frame in range(28_800 * 5, 28_800 * 20, 4_800):
        c.advance(frame)
        twin.advance(frame)
        assert twin.line.beat_at(frame) == pytest.approx(c.line.beat_at(frame), abs=1e-9)
    assert twin.line.bpm == 200.0
    assert (twin.beat_by_hand, twin.one_by_hand) == (True, True)
    assert twin.to_dict() == c.to_dict()


def test_the_line_is_given_once_and_again_only_when_it_changes() -> None:
    c = clock()
    assert c.advance(0) is not None
    assert c.advance(480) is None
    c.set_bpm(101.0)
    assert c.advance(960) is not None
    assert c.advance(1_440) is None
    assert c.advance(0) is None  # never back
    c.set_phrase(8)
    line = c.advance(1_920)
    assert line is not None
    assert (line.beats_per_bar, line.bars_per_phrase, line.frame) == (4, 8, 1_920)
