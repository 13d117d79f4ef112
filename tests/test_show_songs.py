"""Risk: on a real JACK server a song changes with a click or a step, the count-in is heard in the
hall, the dry sound suffers, or a broken patch takes the running one down."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stage import BLOCK, RATE, Stage, interface, lost, music, runs, soon

from engine.bench.jackd import JackServer
from engine.bench.native import Recording

pytestmark = [pytest.mark.jack, pytest.mark.slow]

SONGS = """
name: night
armed: true
audio: {{device: "{device}"}}
clock: {{bpm: 120, bars_per_phrase: 1}}
inputs:
  line: {{channel: 1, dry: segue, to: {{main: 0}}}}
players:
  mist: {{model: rave, listens: line, to: {{monitor1: 0}}}}
roles:
  drums: {{maker: rules, bars: 1, to: {{cue: 0}}}}
  bass: {{maker: rules, bars: 1, to: {{cue: 0}}}}
outputs:
  main: {{channels: [1, 2]}}
  cue: {{channels: [3, 4], limit: false}}
  monitor1: {{channels: [5, 6], limit: false}}
  click: {{channels: [7, 8], limit: false}}
songs:
  one:
    scenes:
      thin: {{stems: {{bass: {{play: false}}}}}}
      full: {{stems: {{bass: {{play: true}}}}, mix: {{stems.drums: {{cue: -6}}}}}}
  two: {{bpm: 150, beats_per_bar: 3, count_in: 2, ending: {{kind: fade, bars: 2}}}}
"""
MAIN, STEMS, TEXTURE, CLICK = slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)


def event(stage: Stage, kind: str, **facts: object) -> list[dict[str, Any]]:
    return [e for e in stage.events(kind) if all(e.get(k) == v for k, v in facts.items())]


def heard(recording: Recording, first: int, last: int) -> np.ndarray:
    return recording.audio[first - recording.start : last - recording.start]


def of_input(recording: Recording, played: np.ndarray, first: int, last: int) -> np.ndarray:
    """What the interface played into segue at frames [first, last)."""
    assert recording.play_frame is not None
    return played[(np.arange(first, last) - recording.play_frame) % len(played), 0]


def delay_of(recording: Recording, played: np.ndarray, free: np.ndarray, first: int) -> int:
    """Frames by which main is behind the input, in a second of which the most is free."""
    part = heard(recording, first, first + RATE)[:, 0]
    ok = free[first - recording.start :][:RATE]
    assert ok.mean() > 0.5
    for delay in range(0, 6 * BLOCK + 1, BLOCK // 2):
        given = of_input(recording, played, first - delay, first - delay + RATE)
        if np.array_equal(part[ok], given[ok]):
            return delay
    raise AssertionError("main does not carry the input")


def reload(stage: Stage) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine.cli", "reload", "--name", stage.name]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)


def test_songs_scenes_standby_and_an_end_over_jack(tmp_path: Path) -> None:
    played = music(10)
    with JackServer() as server, interface(server, played, captures=8) as witness:
        with Stage(server, tmp_path, patch=SONGS) as stage:
            stage.wait_sound()
            soon(lambda: event(stage, "stem_started"), "a stem sounds")
            calm = stage.frame()
            assert "full" in stage.ask(do="act", name="next_scene")["said"]
            soon(lambda: event(stage, "scene", name="full"), "scene")
            text = stage.patch.read_text()
            stage.patch.write_text(text + "  three: {bpm: fast}\n")
            broken = reload(stage)
            stage.patch.write_text(text.replace("cue: -6", "cue: -12"))
            better = reload(stage)
            stage.ask(do="act", name="next_song")
            soon(lambda: event(stage, "song", name="two"), "song two")
            stage.kill("engine.conductor_process")
            (song,) = event(stage, "song", name="two")
            soon(lambda: stage.frame() > song["one"] + 3 * RATE, "song two goes on")
            soon(lambda: stage.ask(do="status").get("song") == "two", "the conductor is back")
            stage.ask(do="act", name="standby")
            standby = stage.frame()
            soon(lambda: stage.frame() > standby + 3 * RATE, "standby lasts")
            stage.ask(do="act", name="standby")
            back = stage.frame()
            soon(lambda: stage.frame() > back + 2 * RATE, "it goes on")
            stage.ask(do="act", name="end")
            soon(lambda: event(stage, "ended"), "the end")
            over = stage.frame()
            soon(lambda: stage.frame() > over + 2 * RATE, "silence")
            done = stage.frame()
            events = stage.events()
        recording = witness.recording()
    assert broken.returncode == 2
    assert "bpm" in broken.stderr
    assert better.returncode == 0, better.stderr
    assert "songs.one.scenes.full.mix.stems.drums.cue" in better.stdout
    free = ~lost(recording, events)
    delay = delay_of(recording, played, free, calm)

    # The dry sound is the input, bit for bit, whatever changes.
    first, last = calm, done - RATE
    whole = heard(recording, first, last)
    expected = of_input(recording, played, first - delay, last - delay)
    wrong = (whole[:, 0] != expected) & free[first - recording.start : last - recording.start]
    assert runs(wrong) == []

    # The count-in is on the click bus, on its frames, and nothing else is.
    clicks = np.abs(heard(recording, first, last)[:, CLICK]).max(axis=1) > 1e-3
    struck = np.array([at for at, _ in runs(_joined(clicks, 2000))]) + first - delay
    beat = 60 / 150 * RATE
    wanted = song["frame"] + np.round(np.arange(6) * beat)
    assert len(struck) == 6
    assert np.abs(struck - wanted).max() <= BLOCK + 8  # the click's own attack

    # In standby nothing generated is heard; in the count-in neither.
    for a, b in ((standby + 2 * RATE, back), (song["frame"] + RATE // 2, song["one"] - 960)):
        silent = heard(recording, a, b)
        assert np.abs(silent[:, STEMS]).max() < 1e-4
        assert np.abs(silent[:, TEXTURE]).max() < 1e-4
    assert np.abs(heard(recording, over + RATE, done)[:, STEMS]).max() == 0.0
    assert np.abs(heard(recording, back + RATE // 2, back + 2 * RATE)[:, STEMS]).max() > 1e-3

    # Stems of song two begin with its first bar.
    after = np.abs(heard(recording, song["one"] - 2400, song["one"] + RATE)[:, STEMS]).max(axis=1)
    begun = int(np.argmax(after > 1e-3)) - 2400 - delay
    assert -BLOCK <= begun < RATE // 8


def _joined(mask: np.ndarray, within: int) -> np.ndarray:
    """True stretches with those closer than `within` made one."""
    out = mask.copy()
    for at, length in runs(~mask):
        if at > 0 and length < within:
            out[at : at + length] = True
    return out
