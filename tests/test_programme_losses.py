"""Risk: a change of song, or standby, is lost when the conductor or the audio process dies."""

from __future__ import annotations

import pytest
from songs_desk import MAIN, REVERB, TWO, Night

from engine.layout import CommandKind, ReportKind
from engine.sources import source_names
from engine.timeline import Boundary


def test_a_conductor_killed_at_any_moment_of_a_change_comes_back_to_the_same() -> None:
    for delay in (0.05, 1.7, 2.2, 3.0, 4.5):
        night = Night()
        night.run(6.3)
        at = night.boundary(Boundary.PHRASE)
        night.act("next_song")
        night.run(delay)
        night.again()
        night.run(6)
        line = night.conductor.line
        assert line is not None
        assert night.status()["song"] == "two"
        assert line.beat_at(at) % 3 == pytest.approx(0, abs=1e-6)
        assert night.playing() == {"drums", "bass"}
        clicks = [(int(c["frame"]), int(c["slot"])) for c in night.of(CommandKind.CLICK)]
        assert clicks == [(at, 1), (at + 96_000, 0)]


def test_standby_survives_the_conductor() -> None:
    night = Night()
    night.run(6.3)
    night.act("next_scene")
    night.run(3)
    night.act("standby")
    night.run(2)
    night.again()
    night.run(1)
    status = night.status()
    assert (status["song"], status["scene"], status["standby"]) == ("one", "full", True)
    assert night.generates() == [0, 0]
    before = len(night.sent)
    night.act("standby")
    night.run(0.1)
    assert any(c["kind"] == CommandKind.GAIN for c in night.sent[before:])


def test_a_new_audio_process_is_told_the_mix_again() -> None:
    night = Night()
    night.run(6.3)
    night.act("next_scene")
    night.run(4)
    before = len(night.sent)
    night.say(ReportKind.RESUMED, frame=night.now)
    night.run(0.05)
    told = [c for c in night.sent[before:] if c["kind"] == CommandKind.GAIN]
    drums = source_names(TWO).index("stems.drums")
    assert {(int(c["slot"]), int(c["c"])) for c in told} >= {(drums, MAIN), (drums, REVERB)}
