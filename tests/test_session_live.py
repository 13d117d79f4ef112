"""Risk: a set that was played live, with players that answered when they could and parts that were
killed, cannot be rendered again as the audience heard it."""

from __future__ import annotations

import json
import logging
import random
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from stage import BLOCK, OUTPUTS, RATE, Stage, end, interface, keyboard, lost, music, soon

from engine.bench.jackd import JackServer
from engine.bench.native import Recording
from engine.performance import LivePerformance
from engine.replay import Block, Replay
from engine.replay_check import check
from engine.session import read_session

pytestmark = [pytest.mark.jack, pytest.mark.slow]

KILLS = 6
LONG_KILLS = 100
log = logging.getLogger("segue.tests")
PARTS = (
    ("devices.audio.process",),
    ("engine.recorder",),
    ("engine.player_host", "answer"),
    ("engine.conductor_process",),
    ("devices.midi.process",),
    ("engine.player_host", "mist"),
    ("engine.listener_host",),
    ("engine.pool_host",),
)


def play_live(folder: Path, kills: int, seed: int = 3) -> tuple[Path, Recording]:
    """A set with `kills` kills in it: its session folder, and what the interface captured."""
    rng = random.Random(seed)
    with JackServer(inputs=2, outputs=2) as server, interface(server, music(10)) as witness:
        keys: subprocess.Popen[bytes] = keyboard(server)
        try:
            with Stage(server, folder) as stage:
                stage.wait_sound()
                stage.let_in()
                for k in range(kills):
                    until = stage.frame() + rng.randrange(RATE // 4, RATE // 2)
                    soon(lambda until=until: stage.frame() > until, "music")  # type: ignore[misc]
                    stage.kill(*PARTS[k % len(PARTS)])
                    soon(lambda: plays(stage), "sound after a death")
                until = stage.frame() + 2 * RATE
                soon(lambda: stage.frame() > until, "the rest of the music")
                session = stage.session
        finally:
            end(keys)
        witness.stop()
        recording = witness.recording()
    return session, recording


def plays(stage: Stage) -> bool:
    """Whether the audio process of this moment has been called."""
    clock = stage.shared.clock()
    return stage.sounds() and clock is not None and clock.pid == stage.pid(*PARTS[0])


def compare(session: Path, recording: Recording) -> tuple[int, int, int | None]:
    """All outputs as rendered again against the capture: (frames compared, frames different, first
    of them). Until an audio process has faded in, the dry path is heard beside it or in its place.

    What the session itself knows to be lost counts as lost: a log may end in a conductor's death.
    The interface and segue feed each other, so one of the two ways takes a period more; JACK
    chooses which when they are connected: once in each life of the audio process, for all of it.
    """
    read = read_session(session)
    known = [*read.jumps, *((frame, BLOCK) for frame in read.again["frame"].tolist())]
    gaps = [{"event": "gap", "frame": frame, "a": frames} for frame, frames in known]
    free = ~lost(recording, [*read.events, *gaps])
    engine: LivePerformance | None = None
    lives: list[dict[int, Difference]] = []
    for block in Replay(read).blocks():
        fade = block.engine.state[0]["fade"]
        if fade["g1"] == 0.0 or block.t < fade["f1"] + BLOCK:
            continue
        if block.engine is not engine:
            engine = block.engine
            lives.append({d: Difference() for d in (0, BLOCK)})
        for delay, difference in lives[-1].items():
            difference.add(block, recording, free, delay)
    chosen = [min(delays.values(), key=lambda d: d.different) for delays in lives]
    first = next((d.first for d in chosen if d.first is not None), None)
    return sum(d.frames for d in chosen), sum(d.different for d in chosen), first


@dataclass
class Difference:
    """Of one life at one delay: frames compared, frames that differ, the first of them."""

    frames: int = 0
    different: int = 0
    first: int | None = None

    def add(self, block: Block, recording: Recording, free: np.ndarray, delay: int) -> None:
        a = block.t + delay - recording.start
        heard = recording.audio[a : a + block.n] if a >= 0 else recording.audio[:0]
        if len(heard) < block.n:
            return
        good = free[a : a + block.n]
        same = (heard.view(np.uint32) == block.out.view(np.uint32)).all(axis=1)
        wrong = np.flatnonzero(good & ~same)
        self.frames += int(good.sum())
        self.different += len(wrong)
        if len(wrong) and self.first is None:
            self.first = block.t + int(wrong[0])


def test_live_set_with_kills_is_rendered_again_as_the_interface_heard_it(tmp_path: Path) -> None:
    session, recording = play_live(tmp_path, KILLS)
    read = read_session(session)
    found = check(read, Replay(read))
    assert (found.equal, found.problems) == (True, []), found
    assert found.lives == 2
    assert found.frames > 5 * RATE
    frames, different, first = compare(session, recording)
    assert recording.audio.shape[1] == OUTPUTS
    assert frames > 5 * RATE
    assert different == 0, f"{different} of {frames} frames differ, the first at {first}"


@pytest.mark.long
def test_live_set_with_a_hundred_kills_is_rendered_again_as_it_was_heard(tmp_path: Path) -> None:
    """Minutes of it: `python -m pytest -m long --log-cli-level=INFO tests/test_session_live.py`
    says what it found."""
    begun = time.monotonic()
    session, recording = play_live(tmp_path, LONG_KILLS)
    read = read_session(session)
    found = check(read, Replay(read))
    frames, different, first = compare(session, recording)
    figures = {
        "kills": LONG_KILLS,
        "equal": found.equal,
        "frames": found.frames,
        "gaps": len(found.gaps),
        "gap_frames": sum(n for _, n in found.gaps),
        "first_difference": found.first_difference,
        "lives": found.lives,
        "speed": round(found.speed, 2),
        "heard_frames": frames,
        "heard_different": different,
        "heard_first_difference": first,
        "seconds": round(time.monotonic() - begun),
    }
    log.info("%s", json.dumps(figures))
    assert (found.equal, found.problems) == (True, []), found
    assert found.lives > LONG_KILLS // len(PARTS)
    assert frames > 20 * RATE
    assert different == 0, figures


def test_set_that_was_killed_in_the_middle_is_rendered_up_to_its_last_second(
    tmp_path: Path,
) -> None:
    with JackServer(inputs=2, outputs=2) as server, interface(server, music(10)):
        with Stage(server, tmp_path) as stage:
            stage.wait_sound()
            stage.let_in()
            until = stage.frame() + 3 * RATE
            soon(lambda: stage.frame() > until, "music")
            killed = stage.frame()
            assert stage.process is not None
            folder = stage.shared.folder
            stage.process.kill()
            stage.process.wait()
            session = read_session(stage.session)
        assert folder is not None
        shutil.rmtree(folder)
    found = check(session, Replay(session))
    assert found.equal
    last = int(session.lives[-1].records[-1]["t"])
    assert last > killed - RATE
    assert session.first_frame + session.frames > killed - RATE
