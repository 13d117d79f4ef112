"""Risk: over a real server, what is captured is not what was played, or the capture process' death
takes more than itself away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stage as staging
from stage import Stage, interface, lost, music, soon

from engine.bench.jackd import JackServer

pytestmark = [pytest.mark.jack, pytest.mark.slow]

# Dry alone on main; what was captured of it alone on cue.
PATCH = """
name: captured
audio: {{device: "{device}"}}
clock: {{bpm: 120, beats_per_bar: 4, bars_per_phrase: 1}}
inputs:
  line: {{channel: 1, dry: segue, to: {{main: 0}}}}
roles:
  loops: {{maker: capture, bars: 1, enter: bar, to: {{cue: 0}}}}
capture: {{kept: 2, bars: 4}}
outputs:
  main: {{channels: [1, 2], limit: false}}
  cue: {{channels: [3, 4], limit: false}}
"""


def captured(s: Stage) -> dict[str, Any]:
    """Two bars of the line, that play. A machine that stalls may have kept their end from being
    heard: then, as a player would, again."""
    asked = 0

    def plays() -> bool:
        nonlocal asked
        if len(s.stems("failed")) == asked:
            s.act("capture", source="line", bars=2)
            asked += 1
        return bool(s.stems("playing"))

    soon(plays, "a captured stem that plays")
    assert asked < 4, [e["reason"] for e in s.stems("failed")]
    stem: dict[str, Any] = s.stems("playing")[0]
    return stem


def test_what_was_played_comes_back_from_the_queue_bit_for_bit(tmp_path: Path) -> None:
    with (
        JackServer() as server,
        interface(server, music(20), captures=4) as witness,
        Stage(server, tmp_path, patch=PATCH) as s,
    ):
        s.wait_sound()
        soon(lambda: s.heard_from("capture", 0), "the capture process")
        s.act("this_is_one")
        s.act("let_in")
        began = s.frame()
        soon(lambda: s.frame() > began + 7 * staging.RATE, "two whole bars since the one")
        stem = captured(s)
        soon(lambda: s.frame() > stem["start_frame"] + stem["frames"], "once through")
        s.kill("engine.capture_host")
        soon(lambda: s.pid("engine.capture_host"), "it comes back")
        before = [e["id"] for e in s.stems("failed")]
        s.act("capture", source="line", bars=4)
        soon(lambda: len(s.stems("failed")) > len(before), "it says that it does not remember")
        (failed,) = [e for e in s.stems("failed") if e["id"] not in before]
        assert "remembered" in failed["reason"]
        ends = s.frame()
        soon(lambda: s.frame() > ends + staging.RATE, "another second")
        assert [e["id"] for e in s.stems("playing")] == [stem["id"]]
        events = s.events()
    heard = witness.recording()
    frames, start = stem["frames"], stem["start_frame"]
    first = int(stem["provenance"]["first_frame"])
    free = ~lost(heard, events)
    audio = np.asarray(heard.audio)
    whole = frames - 256  # up to the seam
    at = next(
        (
            delay
            for delay in range(0, 4 * staging.BLOCK + 1, staging.BLOCK // 2)
            if np.any(audio[start + delay - heard.start : start + delay - heard.start + 64, 2])
        ),
        None,
    )
    assert at is not None
    a, b = start + at - heard.start, first + at - heard.start
    dry, again = audio[b : b + whole, 0], audio[a : a + whole, 2]
    judged = free[a : a + whole] & free[b : b + whole]
    judged[: staging.EASE] = False  # it enters without a step
    assert judged.mean() > 0.9
    assert np.array_equal(dry[judged], again[judged])
    assert float(np.abs(again).max()) > 0.05
