"""Risk: a real player's sound does not come through segue whole, or stems enter off their frame."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from stage import (
    ANSWERS,
    CUE,
    MAIN,
    RATE,
    TEXTURE,
    Stage,
    end,
    entered,
    keyboard,
    lost,
    soon,
    wrong,
)

from engine.bench.jackd import JackServer
from engine.bench.latency import bench_latency
from engine.bench.native import Recording, Witness
from engine.timeline import Timeline

pytestmark = [pytest.mark.jack, pytest.mark.slow]


PIECE = "*/data/core/music/transience.ogg"


@pytest.fixture
def server() -> Iterator[JackServer]:
    with JackServer(inputs=2, outputs=8) as server:
        yield server


def player(server: JackServer) -> subprocess.Popen[bytes]:
    """A recorded piece by mpv, in mono, at half its level."""
    program = shutil.which("mpv")
    pieces = sorted(Path("/usr/share/games/wesnoth").glob(PIECE))
    if program is None or not pieces:
        pytest.skip("needs Debian's mpv and wesnoth's music: make bench-setup")
    return subprocess.Popen(
        [
            *(program, "--no-config", "--no-video", "--really-quiet", "--loop-file=inf"),
            *("--ao=jack", "--jack-name=player", "--jack-connect=no", "--audio-channels=mono"),
            *(f"--audio-samplerate={RATE}", "--volume=70", str(pieces[-1])),
        ],
        env=server.env,
        stdin=subprocess.DEVNULL,
    )


def phrase_boundary(stage: Stage, frame: int) -> bool:
    """Whether a phrase begins at a frame, by the timelines of the log."""
    row = [e for e in stage.events("timeline") if e["frame"] <= frame][-1]
    line = Timeline(row["frame"], row["beat"], row["bpm"], float(RATE), 4, 1, 1.0)
    beat = line.beat_at(frame)
    phrase = 4 * round(beat / 4)
    return line.frame_at(float(phrase)) == frame


def test_a_players_music_passes_whole_and_stems_stand_at_their_frames(
    server: JackServer, tmp_path: Path
) -> None:
    peers = ["player:out_0", *(f"segue:out_{k}" for k in range(8))]
    keys = keyboard(server)
    plays = player(server)
    try:
        witness = Witness(server, inputs=peers)
        with witness, Stage(server, tmp_path, device="") as stage:
            stage.wait_sound()
            server.wait_ports("player:out_0", "segue:in_0", "segue:out_0")
            server.connect("player:out_0", "segue:in_0")
            witness.wait_connected()
            begun = stage.frame() + RATE // 10
            stage.let_in()
            soon(lambda: answers(stage), "an answer")
            known = stage.stems("playing")[0]
            loop = stage.loop_of(known)
            until = stage.frame() + 6 * RATE
            soon(lambda: stage.frame() > until, "six seconds")
            sounded = witness.recording()
            ended = sounded.end - RATE
            started = {e["id"]: e["frame"] for e in stage.events("stem_started")}
            boundary = phrase_boundary(stage, started[known["id"]])
            events = stage.events()
    finally:
        end(plays)
        end(keys)
    heard = witness.recording()
    free = ~lost(heard, events)
    judge_dry(heard, free, begun, ended)
    assert boundary
    judge_stem(heard, free, started[known["id"]], loop, ended)
    assert np.abs(heard.between(begun, ended)[:, 1:][:, ANSWERS]).max() > 0.01
    assert np.abs(heard.between(begun, ended)[:, 1:][:, TEXTURE]).max() > 0.001


def answers(stage: Stage) -> bool:
    """Voice 1 is the answer's."""
    return any(e["slot"] == 1 for e in stage.events("note_on"))


def judge_dry(heard: Recording, free: np.ndarray, begun: int, ended: int) -> None:
    """Bit for bit, with the delay that `segue bench latency` states."""
    added = round(float(bench_latency()["added_frames"]))
    assert added == 0
    ok = free[begun - heard.start : ended - heard.start]
    played = heard.between(begun - added, ended - added)[:, 0]
    out = heard.between(begun, ended)[:, 1:][:, MAIN]
    assert 0.01 < np.abs(played).max() <= 0.5
    assert ok.sum() > 3 * RATE
    assert not wrong((out == played[:, None]).all(1), ok, begun)


def judge_stem(heard: Recording, free: np.ndarray, at: int, loop: np.ndarray, ended: int) -> None:
    """Silence up to the frame that the log states, the stem itself from there on."""
    cue = heard.audio[:, 1:][:, CUE]
    i = at - heard.start
    assert not cue[:i].any()
    assert cue[i : i + RATE].any()
    ok = free[i : ended - heard.start]
    expected = entered(loop, at, ended)
    assert ok.sum() > 2 * RATE
    sounded = cue[i : ended - heard.start]
    assert not wrong((sounded == expected).all(1), ok, at)
