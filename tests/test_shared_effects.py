"""Risk: reverb or delay runs away, clicks when the tempo moves, or has no end."""

from __future__ import annotations

import numpy as np
import pytest
from engine_stage import Stage

from engine.effects import CROSSFADE_S, SharedEffects
from engine.kernel import lib, pointer
from engine.layout import CommandKind
from engine.patch import DelaySettings, Effects, Input, Output, Patch, ReverbSettings

RATE = 48000


def run(what: str, effects: SharedEffects, x: np.ndarray, block: int = 128) -> np.ndarray:
    """x float32 (2, n), wet out."""
    y = np.array(x, np.float32)
    kernel, struct = (
        (lib.seg_reverb_run, effects.reverb)
        if what == "reverb"
        else (lib.seg_delay_run, effects.delay)
    )
    for a in range(0, y.shape[1], block):
        n = min(block, y.shape[1] - a)
        kernel(struct, pointer(y[0, a:]), pointer(y[1, a:]), n)
    return y


def made(beats: float = 0.75, feedback: float = 0.35, **reverb: float) -> SharedEffects:
    settings = Effects(ReverbSettings(**reverb), DelaySettings(beats, feedback))
    effects = SharedEffects(settings, RATE)
    effects.tempo(120)
    return effects


def impulse(frames: int) -> np.ndarray:
    x = np.zeros((2, frames), np.float32)
    x[:, 0] = 1.0
    return x


def noise(frames: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (2, frames)).astype(np.float32)


def test_echoes_stand_where_the_tempo_puts_them() -> None:
    y = run("delay", made(beats=0.5, feedback=0.5), impulse(60_000))
    hits = np.flatnonzero(y[0])
    assert hits.tolist() == [12_000, 24_000, 36_000, 48_000]
    np.testing.assert_allclose(y[0, hits], [1, 0.5, 0.25, 0.125])


def test_echo_follows_a_command_of_the_conductor() -> None:
    patch = Patch(
        inputs={"in": Input(channel=1, to={"delay": 0.0})},
        outputs={"main": Output((1, 2), limit=False)},
        effects=Effects(delay=DelaySettings(beats=1.0, feedback=0.0)),
    )
    stage = Stage(patch)
    fields = {"x": 0.0, "y": 240.0, "a": 4, "b": 4}
    stage.command(CommandKind.TIMELINE, frame=stage.t, **fields)
    stage.play(RATE)
    x = np.zeros((20_000, 1), np.float32)
    x[100] = 0.5
    assert np.flatnonzero(stage.play(x)[:, 0]).tolist() == [12_100]


@pytest.mark.parametrize("bpm", [119.3, 60.0, 200.0])
def test_a_tempo_that_moves_makes_no_click(bpm: float) -> None:
    effects = made(beats=0.75, feedback=0.3)
    t = np.arange(RATE)
    x = np.tile(0.5 * np.sin(2 * np.pi * 220 * t / RATE), (2, 1)).astype(np.float32)
    steady = run("delay", effects, x)
    effects.tempo(bpm)
    y = np.concatenate([steady[:, -1:], run("delay", effects, x)], axis=1)
    most = 0.5 / (1 - 0.3)
    steepest = most * 2 * np.pi * 220 / RATE
    assert np.abs(np.diff(y[0])).max() < steepest + 2 * most / (CROSSFADE_S * RATE)
    assert effects.delay.length == round(0.75 * 60 / bpm * RATE)


def test_echoes_further_apart_than_the_memory_come_twice_as_often() -> None:
    effects = made(beats=4.0)
    effects.tempo(30)  # eight seconds
    assert effects.delay.wanted == 4 * RATE


@pytest.mark.parametrize("what", ["reverb", "delay"])
@pytest.mark.parametrize("block", [1, 64, 65, 1031])
def test_block_size_changes_no_bit(what: str, block: int) -> None:
    def played(block: int) -> np.ndarray:
        effects = made(beats=0.01, feedback=0.6)
        first = run(what, effects, noise(5001), block)
        effects.tempo(97)
        return np.concatenate([first, run(what, effects, noise(4001, 2), block)], axis=1)

    wanted = played(128)
    assert np.abs(wanted).max() > 0.05
    assert np.array_equal(played(block), wanted)


@pytest.mark.parametrize("decay_s", [0.5, 1.7, 5.0])
def test_reverb_decays_by_60_db_in_the_time_that_was_asked(decay_s: float) -> None:
    y = run("reverb", made(decay_s=decay_s, damping=0.0), impulse(round(1.2 * decay_s * RATE)))
    energy = np.cumsum((y.astype(float) ** 2).sum(axis=0)[::-1])[::-1]
    db = 10 * np.log10(energy / energy[0])
    slope = (np.argmax(db < -35) - np.argmax(db < -5)) / RATE
    assert 2 * slope == pytest.approx(decay_s, rel=0.1)


def test_damping_takes_the_height_first() -> None:
    def bright(damping: float) -> float:
        y = run("reverb", made(damping=damping), impulse(RATE))[0, RATE // 2 :]
        spectrum = np.abs(np.fft.rfft(y)) ** 2
        return float(spectrum[8000 // 2 :].sum() / spectrum.sum())

    assert bright(0.9) < 0.1 * bright(0.0)


def test_nothing_runs_away_at_the_widest_settings() -> None:
    effects = made(decay_s=20.0, damping=0.0, feedback=0.9)
    x = noise(3 * RATE)
    assert np.abs(run("reverb", effects, x)).max() < 20
    assert np.abs(run("delay", effects, x)).max() < 0.5 / (1 - 0.9) + 1e-3


@pytest.mark.parametrize("what", ["reverb", "delay"])
def test_tails_end_in_silence_and_a_reset_ends_them_at_once(what: str) -> None:
    effects = made(beats=0.1, decay_s=0.3)
    run(what, effects, noise(RATE))
    silence = np.zeros((2, 3 * RATE), np.float32)
    assert not run(what, effects, silence)[:, -RATE // 2 :].any()
    run(what, effects, noise(RATE))
    effects.reset()
    assert not run(what, effects, silence).any()


@pytest.mark.parametrize("what", ["reverb", "delay"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_what_is_no_sound_does_not_stay(what: str, bad: float) -> None:
    effects = made(beats=0.1)
    x = noise(4096)
    x[0, 100:110] = bad
    run(what, effects, x)
    y = run(what, effects, noise(RATE))
    assert np.isfinite(y).all()
    assert 0.01 < np.abs(y[:, RATE // 2 :]).max() < 5
