"""Risk: a change of song or scene, standby, a reload or an ending is heard as a step, or touches
the dry sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conducted_stage import Conducted

from engine.mixer import linear
from engine.patch import Clock, Input, Output, Patch, Role
from engine.song import Ending, Scene, ScenePart, Song

RATE = 48000
HERTZ = 60.0  # half periods fill every bar below
AMPLITUDE = 0.25
SLOPE = 2 * np.pi * HERTZ / RATE  # of a sine of amplitude 1, a frame
SHORTEST_FADE = 240  # frames
PATCH = Patch(
    name="steady",
    armed=True,
    inputs={"horn": Input(channel=1, to={"main": 0.0})},
    roles={
        "bass": Role(bars=1, to={"cue": 0.0}),
        "pad": Role(bars=1, to={"cue": -3.0}),
    },
    outputs={"main": Output((1, 2)), "cue": Output((3, 4)), "click": Output((5,))},
    clock=Clock(bpm=240.0, bars_per_phrase=1),
    songs={
        "one": Song(
            scenes={
                "both": Scene(),
                "low": Scene(mix={"stems.bass": {"cue": -20.0}}, stems={"pad": ScenePart(False)}),
            },
        ),
        "two": Song(bpm=200.0, count_in=1, ending=Ending("fade", bars=1)),
        "three": Song(bpm=160.0, beats_per_bar=3),
    },
)


def tone(role: str, frames: int) -> np.ndarray:
    wave = AMPLITUDE * np.sin(2 * np.pi * HERTZ * np.arange(frames) / RATE)
    return np.stack([wave, wave]).astype(np.float32)


def sine(t: int, frames: int) -> np.ndarray:
    x = np.arange(t, t + frames) * (2 * np.pi * 331.0 / RATE)
    return (0.9 * np.sin(x)).astype(np.float32)[:, None]


def reload(stage: Conducted) -> None:
    quieter = replace(PATCH, roles={**PATCH.roles, "bass": Role(bars=1, to={"cue": -9.0})})
    assert stage.conductor.take(quieter, stage.t, ["roles.bass.to"]) is None


CHANGES = {
    "song with a count-in": lambda s: s.act("next_song"),
    "song of another metre": lambda s: s.act("song", "three"),
    "scene": lambda s: s.act("next_scene"),
    "standby": lambda s: s.act("standby"),
    "end with the phrase": lambda s: s.act("end"),
    "reload": reload,
}


def playing(block: int = 128) -> Conducted:
    stage = Conducted(PATCH, tone, block=block)
    stage.go(RATE)
    assert stage.engine.state["stems"]["state"].any()
    return stage


@pytest.mark.parametrize("what", CHANGES)
def test_dry_sound_at_unity_stays_as_it_is_bit_for_bit(what: str) -> None:
    stage = playing(block=100)  # boundaries fall inside
    CHANGES[what](stage)
    audio = sine(stage.t, 3 * RATE)
    out = stage.go(audio)
    assert np.array_equal(out[:, :2], np.repeat(audio, 2, axis=1))
    assert stage.conductor.programme.change is None
    assert stage.conductor.programme.end is None


@pytest.mark.parametrize("what", CHANGES)
def test_generated_sound_changes_without_a_step(what: str) -> None:
    """Of slow sines that enter at phase 0, fade, glide and leave: no frame is farther from the one
    before than two of them and a fade may take it, 2 % of full level."""
    stage = playing()
    before = stage.go(RATE)[:, 2]
    CHANGES[what](stage)
    after = stage.go(3 * RATE)[:, 2]
    stage.act("standby")
    back = stage.go(2 * RATE)[:, 2]
    assert np.abs(before).max() > AMPLITUDE
    heard = np.concatenate([before, after, back]).astype(float)
    assert np.ptp([np.abs(heard[a : a + 4800]).max() for a in range(0, len(heard), 4800)]) > 0.05
    loudest = AMPLITUDE * (1 + linear(-3.0))
    assert np.abs(np.diff(heard)).max() < loudest * (2 * SLOPE + 1 / SHORTEST_FADE)
