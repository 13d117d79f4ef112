"""Risk: a patch that the loader takes is too large for the audio process, which then dies as often
as it is started; or its ducking is silently left out."""

from __future__ import annotations

import numpy as np
from engine_stage import Stage

from engine.patch import Ducking, Input, Output, Patch, Player, Role, Voice
from engine.patch_fields import FIELDS
from engine.patch_kinds import Named


def most(name: str) -> int:
    """How many of a kind the loader takes."""
    kind = FIELDS[Patch][name].kind
    assert isinstance(kind, Named)
    return kind.most


def largest() -> Patch:
    names = [f"p{i}" for i in range(most("players"))]
    return Patch(
        inputs={f"i{i}": Input(channel=1 + i, to={"main": 0.0}) for i in range(most("inputs"))},
        voices={f"v{i}": Voice(to={"main": 0.0}) for i in range(most("voices"))},
        players={n: Player(model="rave", listens="i0", to={"main": 0.0}) for n in names},
        roles={f"r{i}": Role(bars=1, ahead=1, to={"cue": 0.0}) for i in range(most("roles"))},
        outputs={"main": Output((1, 2)), "cue": Output((3,), limit=False)},
        ducking=Ducking(by=("i31",), of=("dry", "ai", "stems"), depth_db=40.0, attack_ms=1.0),
    )


def test_largest_patch_plays_and_ducks() -> None:
    stage = Stage(largest())
    assert len(stage.engine.mixer.names) == 32 + 16 + 8 + 16 + 1 + 2 + 1
    steady = np.full((2, 9600), 0.5, np.float32)
    stage.stem(steady, y=9600.0, c=15)
    assert stage.play(1024)[-1, 2] == 0.5
    loud = np.zeros((4096, 32), np.float32)
    loud[:, 31] = 0.5
    out = stage.play(loud)
    assert np.isfinite(out).all()
    assert 0 < out[-1, 2] < 0.01
