"""Risk: the sound server dies under a performance, and somebody has to start something by hand."""

from __future__ import annotations

import logging
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from stage import (
    ANSWERS,
    CUE,
    MAIN,
    RATE,
    Stage,
    end,
    first_run,
    interface,
    keyboard,
    looped,
    music,
    soon,
)

from engine.bench.jackd import JackServer

pytestmark = [pytest.mark.jack, pytest.mark.slow]
log = logging.getLogger("segue.show")


def keys_played(stage: Stage) -> int:
    return sum(e["slot"] == 0 for e in stage.events("note_on"))


def test_a_killed_server_comes_back_and_the_performance_with_it(tmp_path: Path) -> None:
    play = music(10)
    server = JackServer(inputs=2, outputs=2)
    keyboards: list[subprocess.Popen[bytes]] = []
    with server:
        try:
            before = interface(server, play)
            keyboards.append(keyboard(server))
            with Stage(server, tmp_path) as stage:
                with before:
                    stage.wait_sound()
                    stage.let_in()
                    stem = stage.stems("playing")[0]
                    loop = stage.loop_of(stem)
                    old = stage.pid("devices.audio.process")
                    server.kill()
                    soon(lambda: stage.pid("devices.audio.process") != old, "the old one's end")
                    waited = stage.frame() + RATE // 2
                    soon(lambda: stage.frame() > waited, "half a second without a server")
                server.restart()
                returned = time.monotonic_ns()
                after = interface(server, play)
                with after:
                    keyboards.append(keyboard(server))
                    counted = keys_played(stage)
                    soon(lambda: len(stage.events("resumed")) > 1, "audio")
                    soon(lambda: keys_played(stage) > counted, "keys")
                    clock = stage.shared.clock()
                    assert clock is not None
                    until = stage.frame() + 3 * RATE
                    soon(lambda: stage.frame() > until, "three seconds")
                    state = stage.shared.sections["state"].read()
                    assert state is not None
                    offset = int(state[0]["frame_offset"])
                    heard = after.recording()
                    resumed = stage.events("resumed")[-1]["frame"]
                    played_at = [
                        e["frame"] for e in stage.events("note_on")
                        if e["slot"] == 0 and e["frame"] > resumed
                    ]  # fmt: skip
                    now, now_ns = stage.frame(), time.monotonic_ns()
        finally:
            for process in keyboards:
                end(process)
    assert heard.play_frame is not None
    first, last = heard.start + 512, heard.end - RATE
    dry = [
        first_run((heard.between(first, last)[:, MAIN][:, 0]) == looped(
            play, heard.play_frame + d, first, last)[:, 0], RATE // 4)
        for d in (0, 128)
    ]  # fmt: skip
    start = stem["start_frame"] - offset
    stems = [
        first_run(
            (heard.between(first, last)[:, CUE] == looped(loop, start + d, first, last)).all(1),
            RATE // 4,
        )
        for d in (0, 128)
    ]
    assert any(d is not None for d in dry), "no dry sound after the server's return"
    assert any(s is not None for s in stems), "the stem is not in its place"
    assert np.abs(heard.audio[:, ANSWERS]).max() > 0.01

    def seconds(frame: int) -> float:
        """After the server's return, of a Timestamp."""
        return (frame - now) / RATE + (now_ns - returned) / 1e9

    log.info(
        "after the server's return: dry %.2f s, stems %.2f s, keys %.2f s",
        seconds(first + offset + min(d for d in dry if d is not None)),
        seconds(first + offset + min(s for s in stems if s is not None)),
        seconds(played_at[0]),
    )
