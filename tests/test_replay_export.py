"""Risk: what is exported does not lie where it was played."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
from recorded_stage import RecordedStage

from engine.journal import Journal
from engine.layout import CommandKind, NoteKind
from engine.replay import Replay
from engine.replay_export import export, metres, midi_file, tempo_map
from engine.session import Session, read_session

RATE = 48_000
RNG = np.random.default_rng(22)
LOOP = RNG.uniform(-0.2, 0.2, (2, 5000)).astype(np.float32)
START = 64_000
GAP = 2000


def timeline(stage: RecordedStage, beat: float, bpm: float) -> None:
    stage.command(CommandKind.TIMELINE, frame=stage.t, x=beat, y=bpm, a=4, b=4)


@pytest.fixture
def stage(tmp_path: Path) -> RecordedStage:
    stage = RecordedStage(tmp_path / "session")
    timeline(stage, 0.0, 120.0)
    stage.stem(LOOP, y=5000.0, x=1.0, frame=stage.t + 640)
    stage.note("midi_notes", NoteKind.ON, 62, frame=stage.t + 24_000)
    stage.note("midi_notes", NoteKind.OFF, 62, frame=stage.t + 36_000)
    stage.play(RNG.uniform(-0.3, 0.3, (48_000, 1)).astype(np.float32))
    stage.resume(stage.engine.state, GAP)
    stage.play(RNG.uniform(-0.3, 0.3, (6400, 1)).astype(np.float32))
    stage.turn()
    return stage


def test_files_are_aligned_gaps_and_all(stage: RecordedStage, tmp_path: Path) -> None:
    session = read_session(stage.take)
    export(session, Replay(session), tmp_path / "out")
    audio = {
        p.stem: soundfile.read(p, dtype="float32")[0] for p in (tmp_path / "out").glob("*.wav")
    }
    assert {len(a) for n, a in audio.items() if not n.startswith("stem.")} == {56_400}
    assert np.array_equal(audio["bus.main"], session.tracks["bus.main"])
    assert not audio["bus.main"][48_000 : 48_000 + GAP].any()
    assert not audio["stems.drums"][:640].any()
    assert np.array_equal(audio["stems.drums"][640:5640], LOOP.T)
    assert np.array_equal(audio["stem.drums.1"], LOOP.T)
    assert "stems.bass" not in audio  # nobody played it


def test_midi_lies_on_the_sound(stage: RecordedStage, tmp_path: Path) -> None:
    session = read_session(stage.take)
    export(session, Replay(session), tmp_path / "out")
    played = mido.MidiFile(tmp_path / "out" / "performance.mid")
    now, notes = 0.0, []
    for message in played:
        now += message.time
        if message.type in ("note_on", "note_off"):
            notes.append((message.type, message.note, round(now, 3)))
    assert notes == [("note_on", 62, 0.5), ("note_off", 62, 0.75)]


def test_pedal_bend_and_programme_lie_beside_the_notes(stage: RecordedStage) -> None:
    at = stage.t
    for kind, fields in (
        (NoteKind.CC, {"key": 64, "value": 127}),
        (NoteKind.BEND, {"key": 0, "value": 8192 + 500}),
        (NoteKind.PROGRAM, {"key": 0, "value": 12}),
        (NoteKind.CC, {"key": 123, "value": 0}),
    ):
        stage.note("midi_notes", kind, frame=at + 24_000, voice=1, **fields)
    stage.play(30_000)
    stage.turn()
    now, found = 0.0, []
    for message in midi_file(read_session(stage.take), []):
        now += message.time
        if not message.is_meta and now:
            found.append((message.type, message.channel, round(now, 3)))
    second = round((at + 24_000 - START) / RATE, 3)
    wanted = ("control_change", "pitchwheel", "program_change")
    assert found == [(kind, 1, second) for kind in wanted]


def markers(session: Session) -> list[str]:
    made = midi_file(session, [])
    return [m.text for m in made.tracks[0] if m.type == "marker"]


def test_markers_of_another_performance_in_the_folder_are_not_in_the_file(
    stage: RecordedStage,
) -> None:
    facts = stage.take / "session.json"
    marked = {**json.loads(facts.read_text()), "performance": "second"}
    facts.write_text(json.dumps(marked))
    log = stage.take.parent / "log.jsonl"
    for performance, role in (("first", "drums"), ("second", "bass"), ("third", "horns")):
        journal = Journal(log.parent, log.parent, performance)
        journal.write({"event": "act", "frame": START + 4800, "name": "enter", "role": role})
        journal.close()
    back = Journal(log.parent, log.parent, "second")  # its conductor died and came back
    back.write({"event": "act", "frame": START + 9600, "name": "panic", "role": None})
    back.close()
    assert markers(read_session(stage.take)) == ["enter bass", "panic"]


def test_a_log_that_says_no_performance_is_all_of_one(stage: RecordedStage) -> None:
    line = {"event": "act", "frame": START + 4800, "name": "enter", "role": "drums"}
    (stage.take.parent / "log.jsonl").write_text(json.dumps(line) + "\n")
    assert markers(read_session(stage.take)) == ["enter drums"]


def test_bars_stay_bars_where_a_hand_moves_the_one_and_seconds_stay_seconds() -> None:
    lines = [(START, 0.3, 100.0, 4), (START + 100_000, 50.0, 120.0, 4)]
    segments = tempo_map(lines, START - 30_000, RATE)
    for s, beat in zip(segments[1:], (0.3, 50.0), strict=True):
        assert (s.q - beat) % 4 == pytest.approx(0.0, abs=1e-9) or (s.q - beat) % 4 > 3.999
    assert [s.frame for s in segments] == [START - 30_000, START, START + 100_000]
    assert all(b.q > a.q for a, b in itertools.pairwise(segments))
    for a, b in itertools.pairwise(segments):
        assert a.q + (b.frame - a.frame) * a.bpm / 60.0 / RATE == pytest.approx(b.q)


def test_moving_tempo_goes_on_without_a_new_bar() -> None:
    lines = [(0, 0.0, 100.0, 4), (28_800, 1.0, 110.0, 4), (28_800 + 26_182, 2.0, 90.0, 4)]
    segments = tempo_map(lines, 0, RATE)
    assert [round(s.q, 3) for s in segments] == [0.0, 1.0, 2.0]
    assert [s.bpm for s in segments] == [100.0, 110.0, 90.0]


@pytest.mark.parametrize(
    "nonsense", [{"a": 2**40}, {"a": 0}, {"y": 1e9}, {"y": 1e-300}, {"x": np.nan}, {"x": 1e300}]
)
def test_tempo_or_metre_that_is_nonsense_is_left_out(
    stage: RecordedStage, tmp_path: Path, nonsense: dict[str, float]
) -> None:
    """As forward leaves it out."""
    hostile = {"frame": stage.t, "x": 8.0, "y": 90.0, "a": 4, "b": 4, **nonsense}
    stage.command(CommandKind.TIMELINE, **hostile)
    stage.play(1280)
    stage.turn()
    session = read_session(stage.take)
    export(session, Replay(session), tmp_path / "out")
    told = mido.MidiFile(tmp_path / "out" / "performance.mid").tracks[0]
    tempi = [m.tempo for m in told if m.type == "set_tempo"]
    assert tempi == [500_000]
    assert [(m.numerator, m.denominator) for m in told if m.type == "time_signature"] == [(4, 4)]


def test_every_metre_counts_its_bars_from_its_own_first_line(stage: RecordedStage) -> None:
    """A song in three after eight bars of four, then one in four again; the tempo moves too."""
    bars = [(START, 0.0, 120.0, 4), (START + 32 * 24_000, 0.0, 90.0, 3)]
    bars += [(START + 32 * 24_000 + 15 * 32_000, 0.0, 100.0, 4)]
    segments = tempo_map(bars, START, RATE)
    assert [(s.q, s.bar, s.bpm) for s in segments] == [(0, 4, 120), (32, 3, 90), (47, 4, 100)]
    assert metres(segments) == [(0.0, 4), (32.0, 3), (47.0, 4)]


def test_metre_that_begins_within_a_bar_is_written_at_its_next_line() -> None:
    lines = [(0, 0.0, 60.0, 4), (8 * RATE, 1.0, 60.0, 3), (20 * RATE, 13.0, 60.0, 3)]
    segments = tempo_map(lines, 0, RATE)
    assert [s.q for s in segments] == [0, 8, 20]
    assert metres(segments) == [(0.0, 4), (10.0, 3)]


def test_songs_metres_and_scenes_are_in_the_file(stage: RecordedStage) -> None:
    begins = stage.t + 40_000
    stage.command(CommandKind.TIMELINE, frame=begins, x=0.0, y=90.0, a=3, b=4)
    stage.play(48_000)
    stage.turn()
    log = stage.take.parent / "log.jsonl"
    events = [
        {"event": "song", "frame": begins, "name": "waltz", "bpm": 90.0},
        {"event": "scene", "frame": begins + 1, "name": "fog"},
        {"event": "standby", "frame": begins + 2, "on": True},
        {"event": "ended", "frame": begins + 3, "song": "waltz", "how": "fade"},
    ]
    log.write_text("".join(json.dumps(e) + "\n" for e in events))
    session = read_session(stage.take)
    assert markers(session) == ["song waltz", "scene fog", "standby", "ended waltz"]
    made = midi_file(session, [])
    now, found = 0.0, []
    for message in made:
        now += message.time
        if message.type == "time_signature":
            found.append((message.numerator, round(now, 3)))
    assert found == [(4, 0.0), (3, round((begins - START) / RATE, 3))]
