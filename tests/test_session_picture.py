"""Risk: the picture of a recorded performance fails on what a night or a stranger left in its
folder, or has its bars where they were not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from recorded_stage import RecordedStage

from engine.chronicle import Chronicle
from engine.layout import CommandKind
from engine.session import SessionError, read_session
from engine.session_picture import bar_lines, draw_session

RATE = 48_000
START = 64_000


@pytest.fixture
def stage(tmp_path: Path) -> RecordedStage:
    """Two and a half seconds: 120 BPM in four, then 90 in three from its one at second 1.5."""
    stage = RecordedStage(tmp_path / "session")
    stage.command(CommandKind.TIMELINE, frame=START, x=-1.0, y=120.0, a=4, b=4)
    later = START + 3 * RATE // 2
    stage.command(CommandKind.TIMELINE, frame=later, x=9.0, y=90.0, a=3, b=4)
    stage.play(np.zeros((5 * RATE // 2, 1), np.float32), lambda t: stage.turn())
    stage.turn()
    return stage


def say(stage: RecordedStage, *lines: object) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (stage.take.parent / "log.jsonl").write_text(text)


def test_bars_lie_where_the_timelines_said(stage: RecordedStage) -> None:
    bars = bar_lines(read_session(stage.take))
    assert [(bar - START) / RATE for bar in bars] == [0.5, 1.5]


def test_songs_and_scenes_are_told(stage: RecordedStage, tmp_path: Path) -> None:
    events = [
        {"event": "song", "frame": START + 24_000, "name": "waltz", "bpm": 90.0},
        {"event": "scene", "frame": START + 24_000, "name": "fog"},
        {"event": "standby", "frame": START + 90_000, "on": True},
    ]
    say(stage, *events)
    session = read_session(stage.take)
    frames, first = session.frames, session.first_frame
    night = Chronicle(session.patch, session.events, {}, RATE, first, frames, [first])
    told = [m.text for lane in night.picture("", "").lanes for m in lane.marks]
    assert told == ["song waltz", "scene fog", "standby"]


def test_a_night_is_drawn(stage: RecordedStage, tmp_path: Path) -> None:
    stem = {"event": "stem", "id": 1, "role": "drums", "maker": "rules"}
    say(
        stage,
        {"event": "log_opened", "frame": 0, "performance": "x"},
        {"event": "act", "frame": START + 99, "name": "enter", "role": "drums", "said": "wanted"},
        {**stem, "frame": START + 24_000, "state": "playing"},
        {"event": "note_on", "frame": START + 30_000, "slot": 1, "a": 60, "b": 90, "id": 0},
        {"event": "gap", "frame": START + 40_000, "slot": 0, "a": 9000, "b": 0, "id": 0},
        {**stem, "frame": START + 90_000, "state": "done"},
    )
    draw_session(read_session(stage.take), tmp_path / "night.png")
    with Image.open(tmp_path / "night.png") as image:
        assert image.format == "PNG"


VALUES = st.one_of(
    st.none(), st.integers(-5, 2**40), st.just(10**400), st.text(max_size=5), st.lists(st.just(1))
)
EVENT = st.fixed_dictionaries(
    {
        "event": st.sampled_from(
            ["act", "stem", "note_on", "note_off", "gap", "dry", "panic", "song", "standby"]
        )
    },
    optional={
        "frame": st.one_of(VALUES, st.integers(START, START + 9000)),
        **dict.fromkeys(("slot", "a", "id", "role", "name", "state", "maker", "said"), VALUES),
        "role": st.sampled_from(["drums", "bass", 3]),
        "state": st.sampled_from(["playing", "done", "late"]),
    },
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.one_of(EVENT, VALUES), max_size=6))
def test_any_log_is_drawn_or_refused(stage: RecordedStage, lines: list[object]) -> None:
    picture = stage.take / "night.png"
    picture.unlink(missing_ok=True)
    say(stage, *lines)
    refused = False
    try:
        draw_session(read_session(stage.take), picture)
    except SessionError as error:
        refused = bool(str(error))
    assert picture.exists() != refused


def test_a_log_that_makes_no_sense_is_named(stage: RecordedStage) -> None:
    say(stage, {"event": "stem", "frame": START})
    with pytest.raises(SessionError, match=r"the log of .* is broken"):
        draw_session(read_session(stage.take), stage.take / "night.png")
