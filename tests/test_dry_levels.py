"""Risk: the dry path beside the audio process opens a muted microphone, or jumps in level."""

from __future__ import annotations

import numpy as np
import pytest
from engine_stage import Stage

from engine.layout import COMMAND, CommandKind, LevelKind
from engine.mixer import dry_level
from engine.patch import Groups, Input, Output, Patch

PATCH = Patch(
    inputs={
        "mic": Input(channel=1, trim_db=3.0, to={"main": -2.0, "monitor1": -5.0}),
        "line": Input(channel=2, to={"main": 0.0}),
    },
    outputs={"main": Output((1, 2), limit=False, level_db=-4.0), "monitor1": Output((3,))},
    groups=Groups(dry=-6.0),
)
CASES: list[tuple[str, dict[str, float]]] = [
    ("nothing", {}),
    ("mute", {"kind": CommandKind.LEVEL, "slot": 0, "c": LevelKind.MUTE, "x": 0.0}),
    ("fader", {"kind": CommandKind.LEVEL, "slot": 0, "c": LevelKind.FADER, "x": 0.25}),
    ("send", {"kind": CommandKind.GAIN, "slot": 0, "c": 0, "x": 0.5}),
]


@pytest.mark.parametrize(("what", "command"), CASES, ids=[c[0] for c in CASES])
def test_it_is_as_loud_as_the_mixer_was(what: str, command: dict[str, float]) -> None:
    stage = Stage(PATCH)
    if command:
        record = np.zeros(1, COMMAND)
        for name, value in {"a": 480, **command}.items():
            record[name] = value
        stage.shared.ring("commands").push(record)
    stage.play(4800)
    sound = np.zeros((960, 2), np.float32)
    sound[:, 0] = 0.25
    out = stage.play(sound)[-1]
    state = stage.engine.state[0]
    for bus, channel in (("main", 0), ("monitor1", 2)):
        level = dry_level(PATCH, state, "mic", bus)
        assert out[channel] == pytest.approx(0.25 * level, abs=1e-6), (what, bus)
        if what == "nothing":
            assert dry_level(PATCH, None, "mic", bus) == pytest.approx(level, rel=1e-6)
