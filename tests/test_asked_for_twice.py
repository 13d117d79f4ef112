"""Risk: what is asked for while something of its kind is under way is heard as a step: a stem that
fades is stopped again, a second fill covers what is covered, DRY is let go in a panic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from engine_stage import RATE, Stage

from engine.layout import CommandKind, SafeKind
from engine.patch import Output, Patch, Role

PATCH = Patch(roles={"pad": Role(to={"main": 0.0})}, outputs={"main": Output((1, 2), limit=False)})
STEADY = np.full((2, RATE), 0.5, np.float32)
STEP = 0.5 / 64  # the shortest fade of all


def stop(stage: Stage, fade: int) -> None:
    stage.command(CommandKind.STEM_STOP, slot=0, frame=stage.t, a=fade)


def hush(stage: Stage, until: int) -> None:
    stage.command(CommandKind.STEM_HUSH, slot=0, frame=0, b=until)


def dry_then_let_go_in_a_panic(stage: Stage) -> None:
    stage.safe(SafeKind.PANIC)
    stage.safe(SafeKind.DRY_TOGGLE)


PAIRS: dict[str, tuple[Callable[[Stage], None], Callable[[Stage], None]]] = {
    "stop": (lambda s: stop(s, 960), lambda s: stop(s, 240)),
    "hush": (lambda s: hush(s, s.t + 4000), lambda s: hush(s, s.t + 4000)),
    "panic": (lambda s: s.safe(SafeKind.PANIC), lambda s: s.safe(SafeKind.PANIC)),
    "dry in a panic": (lambda s: s.safe(SafeKind.DRY_ON), dry_then_let_go_in_a_panic),
}


@pytest.mark.parametrize("what", PAIRS)
@pytest.mark.parametrize("between", [128, 512, 896, 2048])
def test_second_one_makes_no_step(what: str, between: int) -> None:
    first, second = PAIRS[what]
    stage = Stage(PATCH)
    stage.stem(STEADY, y=float(RATE))
    heard = [stage.play(2048)]
    first(stage)
    heard.append(stage.play(between))
    second(stage)
    heard.append(stage.play(RATE // 4))
    out = np.concatenate(heard)[100:, 0]
    assert out[0] == 0.5
    assert out.min() < 0.25
    assert np.abs(np.diff(out)).max() <= STEP + 1e-6


def test_stop_that_waits_may_come_sooner_or_later() -> None:
    for sooner, later in ((1000, 3000), (3000, 1000)):
        stage = Stage(PATCH)
        stage.stem(STEADY, y=float(RATE))
        stage.play(512)
        began = stage.t
        for frame in (sooner, later):
            stage.command(CommandKind.STEM_STOP, slot=0, frame=began + frame, a=240)
            stage.play(128)
        out = stage.play(4096)[:, 0]
        assert np.flatnonzero(out)[-1] == later - 256 + 239


def test_dry_that_was_let_go_in_a_panic_is_off_after_it() -> None:
    stage = Stage(PATCH)
    stage.safe(SafeKind.DRY_ON)
    stage.play(2048)
    dry_then_let_go_in_a_panic(stage)
    stage.play(4096)
    stage.stem(STEADY, y=float(RATE))
    assert stage.play(2048)[-1, 0] == 0.5
