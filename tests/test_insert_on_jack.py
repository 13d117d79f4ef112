"""Risk: live, a plug-in takes the performance down for good, or a pedal's client takes the strip
with it when it goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plugins import bundle, compile_plugin
from stage import BLOCK, RATE, Stage, first_run, lost, music, soon

from engine.bench.jackd import JackServer
from engine.bench.native import Recording, Witness
from engine.layout import InsertOff
from engine.replay import Replay
from engine.replay_check import check
from engine.session import read_session

pytestmark = [pytest.mark.jack, pytest.mark.slow]
SENT = 2  # the channel of monitor1
PEDAL = """
name: inserted
audio: {{device: "{device}"}}
inputs:
  line: {{channel: 1, to: {{main: 0}}, insert: {{send: monitor1, returns: back}}}}
  back: {{channel: 2}}
outputs:
  main: {{channels: [1, 2]}}
  monitor1: {{channels: [3], limit: false}}
"""
PLUGIN = """
name: inserted
audio: {{device: "{device}"}}
inputs:
  line: {{channel: 1, to: {{main: 0}}, insert: {{vst3: FILE}}}}
outputs:
  main: {{channels: [1, 2]}}
"""


@pytest.fixture
def server() -> Iterator[JackServer]:
    with JackServer(inputs=2, outputs=2) as server:
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def interface(server: JackServer, outputs: int) -> Witness:
    """It plays music into segue's first input and nothing into the others."""
    sound = np.zeros((10 * RATE, outputs), np.float32)
    sound[:, :1] = music(10.0)
    return Witness(
        server, name="stage", inputs=["-"] * 4, outputs=["-"] * outputs, play=sound, loop=True
    )


def lag_of(late: np.ndarray, early: np.ndarray) -> int | None:
    """Frames by which `late` is `early` again, bit for bit, among whole periods."""
    n = len(early) - 8 * BLOCK
    for lag in range(0, 8 * BLOCK, BLOCK):
        if np.array_equal(late[8 * BLOCK : 8 * BLOCK + n], early[8 * BLOCK - lag :][:n]):
            return lag
    return None


def free_stretch(recording: Recording, events: list[dict[str, Any]], first: int, last: int) -> int:
    """The first frame of half a second of [first, last) that nobody lost a frame of."""
    free = ~lost(recording, events)[first - recording.start : last - recording.start]
    at = first_run(free, RATE // 2)
    assert at is not None, "no half second without a late cycle"
    return first + at


def test_a_pedal_that_is_a_client_is_heard_and_its_strip_outlives_it(
    server: JackServer, tmp_path: Path
) -> None:
    with interface(server, 2) as witness, Stage(server, tmp_path, patch=PEDAL) as stage:
        stage.wait_sound()
        server.wait_ports("segue:out_2", "segue:in_1")
        pedal = Witness(
            server,
            name="pedal",
            inputs=["segue:out_2"],
            outputs=["segue:in_1"],
            through=True,
            capture=False,
        ).start()
        try:
            soon(lambda: stage.events("insert_on"), "what comes back from the pedal")
            on = stage.frame()
            soon(lambda: stage.frame() > on + 3 * RATE, "music through the pedal")
            off = stage.frame()
        finally:
            pedal.stop()
        soon(lambda: stage.events("insert_off"), "the pedal's absence")
        gone = stage.frame()
        soon(lambda: stage.frame() > gone + 3 * RATE, "music without it")
        last = stage.frame()
        assert "nothing comes back" in stage_status(stage)["input.line"]
    recording, events = witness.recording(), stage.events()
    off = min(off, next(e["frame"] for e in events if e["event"] == "insert_off"))
    # main is the send again, a period later or two, and without the pedal it is the send
    first = free_stretch(recording, events, on + RATE // 4, off)
    heard = recording.between(first, first + RATE // 2)
    lag = lag_of(heard[:, 0], heard[:, SENT])
    turns = [(e["event"], e["frame"]) for e in events if e["event"].startswith("insert")]
    assert lag, (lag, turns, first)
    first = free_stretch(recording, events, gone + RATE // 4, last)
    heard = recording.between(first, first + RATE // 2)
    assert np.array_equal(heard[:, 0], heard[:, SENT])
    assert heard.any()
    session = read_session(stage.session)
    found = check(session, Replay(session))
    assert found.equal


def stage_status(stage: Stage) -> dict[str, str]:
    from engine.status import status_of

    found: dict[str, str] = status_of(stage.name)["inserts"]
    return found


@pytest.mark.parametrize("name", ["crash-later", "hang-later"])
def test_a_plugin_in_which_two_audio_processes_ended_plays_no_more(
    server: JackServer, tmp_path: Path, name: str
) -> None:
    path = bundle(compile_plugin(tmp_path), tmp_path, name)
    patch = PLUGIN.replace("FILE", str(path))
    with interface(server, 1) as witness, Stage(server, tmp_path, patch=patch) as stage:
        stage.wait_sound()
        soon(lambda: stage.events("insert_off"), "the plug-in left out")
        left = stage.frame()
        soon(lambda: stage.frame() > left + 4 * RATE, "music without it")
        last = stage.frame()
        assert "2 audio processes ended in it" in stage_status(stage)["input.line"]
        off = stage.events("insert_off")
        assert [e["a"] for e in off] == [InsertOff.ENDED_US]
        begun = stage.events("resumed")
    assert len(begun) == 3  # two died, the third plays on
    recording = witness.recording()
    heard = recording.between(left + RATE, last)
    assert np.abs(heard[:, 0]).max() > 0.1
    said = stage.said.read_text()
    assert "ended us twice: left out until a restart" in said
