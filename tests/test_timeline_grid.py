"""Risk: musical time and frames disagree: something enters a frame, or a phrase, off its grid."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.timeline import BPM_MAX, BPM_MIN, Boundary, Timeline, check_bpm

frames = st.integers(0, 48_000 * 60 * 60 * 12)
tempi = st.floats(BPM_MIN, BPM_MAX)


@st.composite
def lines(draw: st.DrawFn) -> Timeline:
    return Timeline(
        frame=draw(frames),
        beat=draw(st.floats(-64, 40_000)),
        bpm=draw(tempi),
        rate=draw(st.sampled_from([44_100.0, 48_000.0, 96_000.0, 47_999.3])),
        beats_per_bar=draw(st.sampled_from([2, 3, 4, 5, 7])),
        bars_per_phrase=draw(st.sampled_from([1, 2, 4, 8])),
    )


@given(lines(), frames)
def test_frame_to_beat_and_back_is_the_same_frame(line: Timeline, frame: int) -> None:
    assert line.frame_at(line.beat_at(frame)) == frame


@given(lines(), st.floats(-64, 40_000))
def test_beat_to_frame_and_back_is_within_half_a_frame(line: Timeline, beat: float) -> None:
    off_frames = (line.beat_at(line.frame_at(beat)) - beat) * line.frames_per_beat
    assert abs(off_frames) <= 0.5 + 1e-3  # 1e-3: float64 over twelve hours of frames


@given(lines(), frames, st.sampled_from(list(Boundary)))
def test_next_boundary_is_the_first_grid_frame_at_or_after(
    line: Timeline, frame: int, boundary: Boundary
) -> None:
    at = line.next_boundary(frame, boundary)
    grid = line.beats_of(boundary)
    if boundary is Boundary.NOW:
        assert at == frame
        return
    assert at >= frame
    k = round(line.beat_at(at) / grid)
    assert line.frame_at(k * grid) == at  # on the grid
    assert line.frame_at((k - 1) * grid) < frame  # and no earlier grid frame would have done
    assert line.next_boundary(at, boundary) == at


def test_a_boundary_that_rounds_up_is_its_own_next_boundary() -> None:
    # 7 beats at 111 BPM are 181,621.62 frames: the boundary's frame is 0.38 after the exact point.
    line = Timeline(frame=0, beat=0.0, bpm=111.0, rate=48_000.0, beats_per_bar=7)
    assert line.frame_at(7) == 181_622
    assert line.next_boundary(181_622, Boundary.BAR) == 181_622
    assert line.bar_at(181_622) == 1
    assert line.bar_at(181_621) == 0


@given(lines(), frames)
def test_a_bar_begins_on_its_boundary_frame(line: Timeline, frame: int) -> None:
    start = line.next_boundary(frame, Boundary.BAR)
    assert line.bar_at(start) == line.bar_at(start - 1) + 1
    assert line.bar_at(start) * line.beats_per_bar == round(line.beat_at(start))


@given(lines(), frames, tempi)
def test_a_tempo_change_keeps_the_phase(line: Timeline, frame: int, bpm: float) -> None:
    changed = line.with_tempo(frame, bpm)
    assert changed.bpm == bpm
    assert changed.beat_at(frame) == line.beat_at(frame)
    assert (changed.beats_per_bar, changed.rate) == (line.beats_per_bar, line.rate)


@given(lines(), frames, frames)
def test_anchoring_elsewhere_changes_nothing(line: Timeline, anchor: int, frame: int) -> None:
    assert math.isclose(line.at(anchor).beat_at(frame), line.beat_at(frame), abs_tol=1e-5)


@pytest.mark.parametrize("bpm", [0.0, -90.0, 10_000.0, float("nan"), float("inf")])
def test_a_tempo_that_is_none_is_refused_by_name(bpm: float) -> None:
    line = Timeline(frame=0, beat=0.0, bpm=100.0, rate=48_000.0)
    with pytest.raises(ValueError, match="expected 20 to 400 beats a minute"):
        check_bpm(bpm)
    with pytest.raises(ValueError, match=r"tempo is "):
        line.with_tempo(100, bpm)


@pytest.mark.parametrize(
    "wrong",
    [{"beat": float("nan")}, {"rate": 0.0}, {"beats_per_bar": 0}, {"bars_per_phrase": 0}],
)
def test_a_line_that_has_no_meaning_is_refused(wrong: dict[str, float]) -> None:
    good: dict[str, float] = {"frame": 0, "beat": 0.0, "bpm": 100.0, "rate": 48_000.0}
    with pytest.raises(ValueError, match="timeline: "):
        Timeline(**{**good, **wrong})  # type: ignore[arg-type]
