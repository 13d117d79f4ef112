"""Risk: a song that fades out jumps to silence, or comes back, when the audio process dies in
it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conducted_stage import Conducted

from engine.conductor import Conductor
from engine.patch import Clock, Output, Patch, Role
from engine.song import Ending, Song

RATE = 48000
BAR = 2 * RATE
PATCH = Patch(
    name="night",
    armed=True,
    roles={"pad": Role(bars=1, to={"main": 0.0})},
    outputs={"main": Output((1, 2)), "click": Output((3,))},
    clock=Clock(bpm=120.0, bars_per_phrase=1),
    songs={
        "fading": Song(ending=Ending("fade", bars=2)),
        "counted": Song(count_in=1, bpm=120.0),
    },
)


def steady(_: str, frames: int) -> np.ndarray:
    return np.full((2, frames), 0.5, np.float32)


def fading() -> Conducted:
    """Just before the bar from which on it fades."""
    stage = Conducted(PATCH, steady)
    stage.go(2 * BAR - RATE // 4)
    assert stage.act("end") == "fades over 2 bars"
    return stage


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("played", [0, RATE // 2, 2 * RATE])
def test_fade_goes_on_where_it_is(played: int, known: bool) -> None:
    """known: the snapshot holds what the conductor had said of it."""
    alive, dies = fading(), fading()
    for stage in (alive, dies):
        stage.go(RATE // 8)
    if not known:
        state = dies.engine.state.copy()
    dies.go(played)
    alive.go(played)
    dies.resume(dies.engine.state if known else _with_gains_of(state, dies.engine.state))
    dies.resumed()
    heard, wanted = dies.go(5 * RATE)[:, 0], alive.go(5 * RATE)[:, 0]
    assert wanted[0] > 0.1
    soon = RATE // 50 if known else 4 * RATE
    assert np.abs(heard - wanted)[soon:].max() < 0.002
    assert np.abs(np.diff(heard)).max() < 0.001
    assert not heard[-RATE // 2 :].any()


def _with_gains_of(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """A snapshot that missed the commands about gains."""
    state = new.copy()
    state["gains"] = old["gains"]
    return state


def test_count_in_stays_silent_and_the_song_opens_on_its_one() -> None:
    stage = Conducted(PATCH, steady)
    stage.go(2 * BAR - RATE // 4)
    stage.act("next_song")
    stage.go(RATE // 2)
    quiet = stage.conductor.programme.quiet
    assert stage.t < quiet[1]
    stage.resume(stage.engine.state)
    stage.resumed()
    out = stage.go(quiet[1] - stage.t + RATE)
    one = len(out) - RATE
    assert not out[RATE // 10 : one, 0].any()
    assert out[:one, 2].any()
    assert not out[one:, 2].any()
    assert out[one + RATE // 2, 0] == 0.5


def test_moves_are_in_the_journal() -> None:
    stage = fading()
    stage.go(RATE)
    again = Conductor(PATCH, stage.shared.slots, stage.shared.slot_frames)
    again.restore(json.loads(json.dumps(stage.conductor.to_dict())))
    moves = list(again.programme.mix.under_way(stage.t))
    assert moves
    assert moves == list(stage.conductor.programme.mix.under_way(stage.t))
