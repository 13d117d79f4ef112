"""Risk: the patch for modular synthesizers loads, and does not do what its comments say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.offline import Offline
from engine.patch_load import load_patch
from engine.soundfont import find_soundfont
from engine.timeline import Boundary, Timeline

RATE = 48_000
PATCH = Path(__file__).parent.parent / "patches" / "eurorack.yaml"


@pytest.mark.slow
def test_drums_enter_at_the_phrase_after_their_gate_and_the_clock_never_stops() -> None:
    patch = replace(load_patch(PATCH), armed=True)  # no hand is here to let anything in
    x = np.zeros((14 * RATE, 4), np.float32)
    seconds = np.arange(len(x)) / RATE
    x[:, 0] = 0.3 * np.sin(2 * np.pi * 110 * seconds)
    x[:, 1] = 0.3 * np.sin(2 * np.pi * 0.2 * seconds)
    x[4 * RATE :, 3] = 0.5
    offline = Offline(patch, find_soundfont(patch), x)
    try:
        played = offline.run(14)
    finally:
        offline.close()
    line = Timeline(0, 0.0, patch.clock.bpm, RATE, 4, 4)
    events = {kind: [e for e in played.events if e["event"] == kind] for kind in EVENTS}
    assert [(e["frame"], e["a"]) for e in events["cv_gate"]] == [(4 * RATE, 1)]
    entered = [e["frame"] for e in events["stem_started"]]
    assert entered == [line.next_boundary(4 * RATE, Boundary.PHRASE)]
    volts = 10.0 * played.outputs
    clock, run, drift = volts[:, 2], volts[:, 3], volts[:, 7]
    pulses = np.flatnonzero(np.diff(np.concatenate([[0.0], clock])) > 1)
    assert pulses.tolist() == [
        frame for k in range(24 * 40) if (frame := line.frame_at(k / 24)) < len(x)
    ]
    assert run.min() == 5.0
    assert 1.0 < np.ptp(drift) <= 5.0
    assert played.status["cv_in"]["drums-in"] == 1.0


EVENTS = ("cv_gate", "stem_started")
