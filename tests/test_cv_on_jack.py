"""Risk: what stands on the wire is not what was meant: a gate before its pitch, or one that stays
up after the audio process has died."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stage import BLOCK, RATE, Stage, end, interface, keyboard, lost, music, runs, soon

from engine.bench.jackd import JackServer
from engine.bench.measures import cv as measure_cv
from engine.cv_out import PITCH_LEAD_S
from engine.timeline import Boundary, Timeline

PATCH = """
name: voltages
audio: {{device: "{device}"}}
clock: {{bpm: 120, beats_per_bar: 4, bars_per_phrase: 1}}
inputs:
  line: {{channel: 1, to: {{main: -20}}}}
midi:
  keys: {{port: "Keystation", voice: keys}}
voices:
  keys: {{to: {{}}}}
outputs:
  main: {{channels: [1, 2]}}
cv:
  pitch: {{channel: 3, source: keys}}
  gate: {{channel: 4, source: keys, kind: gate}}
  trigger: {{channel: 5, source: keys, kind: trigger}}
  envelope: {{channel: 6, source: keys, kind: envelope, release_ms: 40}}
  clock: {{channel: 7, kind: clock}}
  run: {{channel: 8, kind: run}}
"""
PITCH, GATE, TRIGGER, ENVELOPE, CLOCK, RUN = range(2, 8)
LEAD = math.ceil(PITCH_LEAD_S * RATE)


def mended(x: np.ndarray, gone: np.ndarray, died: int, resumed: int) -> np.ndarray:
    """Stretches that somebody lost and said so hold what was before: they are judged elsewhere. A
    witness that is late a few times in a row makes a long one of many. Not what the death took."""
    for first, frames in runs(gone):
        if (
            first > 0
            and not first < resumed <= first + frames
            and not first <= died < first + frames
        ):
            x[first : first + frames] = x[first - 1]
    return x


def rises(x: np.ndarray) -> np.ndarray:
    return 1 + np.flatnonzero(np.diff((x > 1.0).astype(np.int8)) > 0)


@pytest.mark.jack
@pytest.mark.slow
def test_gates_after_a_death_are_down_until_somebody_plays(tmp_path: Path) -> None:
    with (
        JackServer(inputs=2, outputs=2) as server,
        interface(server, music(10), captures=8) as witness,
        Stage(server, tmp_path, patch=PATCH) as stage,
    ):
        stage.wait_sound()
        player = keyboard(server)
        try:
            soon(lambda: len(stage.events("note_on")) > 8, "notes")
            stage.act("this_is_one")
            before = len(stage.events("note_on"))
            soon(lambda: len(stage.events("note_on")) > before + 8, "notes on the grid")
            soon(lambda: stage.shared.sections["state"].read()[0]["cv"][1]["value"] > 0, "a gate")
            killed = stage.kill("devices.audio.process")
            soon(lambda: len(stage.events("resumed")) > 1, "a successor")
            back = len(stage.events("note_on"))
            soon(lambda: len(stage.events("note_on")) > back + 12, "notes afterwards")
        finally:
            end(player)
        line, leaves = stage.shared.timeline(), stage.frame()
    witness.stop()
    events = stage.events()  # of the whole life, the leaving too: every gap that was captured
    recording = witness.recording()
    gone = lost(recording, events)
    resumed = [e["frame"] for e in events if e["event"] == "resumed"][1] - recording.start
    died = killed.frame - recording.start
    volts = 10.0 * mended(np.array(recording.audio, np.float64), gone, died, resumed)
    delay = judge_gates(volts, events, recording.start, gone)
    judge_successor(volts, events, recording.start, died, resumed, delay)
    assert line is not None
    last = leaves - recording.start
    judge_run(volts, gone, line, recording.start, resumed, last, delay)


def judge_gates(
    volts: np.ndarray, events: list[dict[str, Any]], start: int, gone: np.ndarray
) -> int:
    """Every gate and trigger rises a lead after a note that the log knows; pitch stands by then.
    Returns the whole periods that JACK puts between the two clients."""
    notes = {e["frame"] - start: e["a"] for e in events if e["event"] == "note_on"}
    frames = np.array(sorted(notes))
    delays = set()
    for channel in (GATE, TRIGGER):
        found = rises(volts[:, channel])
        assert len(found) > 20
        for at in found.tolist():
            if gone[at - BLOCK : at + LEAD].any():
                continue
            behind = at - LEAD - frames
            note = int(frames[np.flatnonzero(behind >= 0)[-1]])
            delays.add(at - LEAD - note)
            wanted = (notes[note] - 60) / 12
            np.testing.assert_allclose(volts[at - LEAD : at + LEAD, PITCH], wanted, atol=1e-4)
    assert len(delays) == 1, delays
    delay: int = delays.pop()
    assert delay % (BLOCK // 2) == 0
    return delay


def judge_successor(
    volts: np.ndarray,
    events: list[dict[str, Any]],
    start: int,
    died: int,
    resumed: int,
    delay: int,
) -> None:
    """0 V from the death (and what hung in JACK then) to the first note after it, which is a key
    that is held at that moment; pitch takes no value that nobody played."""
    notes = [(e["frame"] - start, e["a"]) for e in events if e["event"] == "note_on"]
    first = min(frame for frame, _ in notes if frame >= resumed) + delay
    for channel in (GATE, TRIGGER, ENVELOPE):
        assert volts[:died, channel].max() > 4.0
        assert not volts[died + RATE // 4 : first + LEAD, channel].any(), channel
    played = {round((key - 60) / 12, 4) for _, key in notes} | {0.0}
    assert played >= set(np.unique(np.round(volts[:, PITCH], 4)).tolist())


def judge_run(
    volts: np.ndarray,
    gone: np.ndarray,
    line: Timeline,
    start: int,
    resumed: int,
    last: int,
    delay: int,
) -> None:
    """Run rises with the first bar of the successor; until it is told to leave, pulses stand on the
    grid, none is made up for: whoever counts starts again with run."""
    bar = line.next_boundary(start + resumed, Boundary.BAR) - start + delay
    first = resumed + delay
    assert (rises(volts[first:, RUN]) + first).tolist() == [bar]
    pulses = set((rises(volts[first:, CLOCK]) + first).tolist())
    k = math.ceil(line.beat_at(resumed + 1 + start) * 24)
    while (tick := line.frame_at(k / 24) - start + delay) < last:
        assert tick in pulses or gone[tick - BLOCK : tick + BLOCK].any()
        pulses.discard(tick)
        k += 1
    assert all(p >= last or gone[p - 4 * BLOCK : p + 1].any() for p in pulses)


@pytest.mark.jack
@pytest.mark.slow
def test_figures_of_the_bench_hold(tmp_path: Path) -> None:
    figures = measure_cv.judge(*measure_cv.perform(tmp_path))
    assert figures["pitch_cents_p95"] < 1.0
    assert figures["gate_frames_p95"] == 0.0
