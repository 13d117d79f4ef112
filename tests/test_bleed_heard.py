"""Risk: listener or player takes our own output for a musician, or loses the musician with it."""

from __future__ import annotations

import numpy as np
import pytest
from engine_stage import RATE, Stage
from room import response

from engine.adapter import Observer
from engine.bleed import Canceller
from engine.layout import OBSERVATION
from engine.listener_host import ListenerHost
from engine.patch import Input, Output, Patch, Player, Role, Voice

BLOCK = 512
FRAMES = 6 * RATE // BLOCK * BLOCK
T = np.arange(FRAMES) / RATE
ROOMS = [(-12.0, 5.0), (-12.0, 30.0), (0.0, 5.0), (0.0, 30.0)]


def band() -> np.ndarray:
    """Drums and a bass, as our stems."""
    rng = np.random.default_rng(0)
    beat = T % 0.25
    drums = np.where(
        (T // 0.25) % 2 == 0,
        0.5 * np.sin(2 * np.pi * 60 * beat) * np.exp(-20 * beat),
        0.3 * rng.standard_normal(FRAMES) * np.exp(-25 * beat),
    )
    root = 55 * (1 + 0.25 * (np.floor(T) % 4))
    return drums + 0.2 * sum(np.sin(2 * np.pi * k * root * T) / k for k in range(1, 6))


def trombone() -> np.ndarray:
    """Plays two seconds of four."""
    return 0.15 * sum(np.sin(2 * np.pi * 233 * k * T) / k for k in range(1, 9)) * (T % 4 > 2)


def heard(microphone: np.ndarray, ours: np.ndarray, block: int = BLOCK) -> np.ndarray:
    canceller = Canceller(block)
    pieces = range(0, FRAMES - block + 1, block)
    return np.concatenate(
        [canceller(microphone[a : a + block], ours[a : a + block]) for a in pieces]
    )


def db(x: np.ndarray) -> float:
    return 10 * np.log10(float((x.astype(float) ** 2).mean()) + 1e-20)


@pytest.mark.parametrize(("level_db", "delay_ms"), ROOMS)
@pytest.mark.parametrize("block", [512, 2048])
def test_our_own_sound_is_gone_within_seconds(level_db: float, delay_ms: float, block: int) -> None:
    ours = band()
    bleed = np.convolve(ours, response(delay_ms, level_db))[:FRAMES]
    left = heard(bleed, ours, block)
    last = slice(4 * RATE, len(left))
    assert db(left[last]) < db(bleed[last]) - 15


@pytest.mark.parametrize(("level_db", "delay_ms"), ROOMS)
def test_the_musician_stays(level_db: float, delay_ms: float) -> None:
    ours, played = band(), trombone()
    bleed = np.convolve(ours, response(delay_ms, level_db))[:FRAMES]
    left = heard(bleed + played, ours)
    other = left - played  # what is in it that nobody played, or that is missing
    playing, resting = slice(2 * RATE, 4 * RATE), slice(4 * RATE, FRAMES)
    assert db(other[playing]) < db(bleed[playing]) - 1
    assert db(other[resting]) < db(bleed[resting]) - 10


def test_a_musician_quieter_than_we_are_is_let_through() -> None:
    ours = band()
    bleed = np.convolve(ours, response(5.0, 0.0))[:FRAMES]
    played = trombone() * 10 ** ((db(bleed) - 6 - db(trombone())) / 20)
    left = heard(bleed + played, ours)
    playing = slice(2 * RATE, 4 * RATE)
    assert db(left[playing]) > db(played[playing]) - 3


def test_where_we_alone_are_heard_next_to_nothing_is_left() -> None:
    ours = band()
    left = heard(np.convolve(ours, response(5.0, 0.0))[:FRAMES], ours)
    silent = np.abs(left[4 * RATE :]) < 1e-6
    assert silent.mean() > 0.5


def test_where_nothing_is_generated_no_bit_changes() -> None:
    played = trombone().astype(np.float32)
    assert np.array_equal(heard(played, np.zeros(FRAMES)), played)


def test_a_musician_beside_us_in_another_room_loses_nothing() -> None:
    """No bleed at all: what is heard is what was played."""
    played = trombone()
    left = heard(played, band())
    assert db(left - played) < db(played) - 15


class Ear(Observer):
    """Remembers what it hears."""

    hop = BLOCK

    def __init__(self) -> None:
        self.heard: list[np.ndarray] = []

    def load(self, checkpoint: object, rate: int, config: dict) -> None: ...

    def observe(self, frame: int, audio: np.ndarray) -> np.ndarray:
        self.heard.append(audio.copy())
        return np.zeros(0, OBSERVATION)


def test_listener_hears_the_inputs_without_what_main_has_of_stems_and_answers() -> None:
    patch = Patch(
        inputs={"mic": Input(channel=1, to={"main": -6.0})},
        roles={"drums": Role(to={"main": -3.0})},
        outputs={"main": Output((1, 2), limit=False)},
    )
    stage = Stage(patch)
    ear = Ear()
    host = ListenerHost(stage.shared, ear)
    ours = band()[: 3 * RATE].astype(np.float32)
    stage.stem(np.stack([ours, ours]), frame=stage.t)
    microphone = np.convolve(ours, response(12.0, -6.0))[: len(ours), None]
    stage.play(microphone, lambda _: host.turn())
    host.turn()
    sound = np.concatenate([a[0] for a in ear.heard])
    assert {a.shape for a in ear.heard} == {(1, BLOCK)}
    last = slice(2 * RATE, len(sound))
    assert db(sound[last]) < db(microphone[last, 0]) - 10


def test_reference_has_no_musician_and_no_texture() -> None:
    patch = Patch(
        inputs={"mic": Input(channel=1, to={"main": 0.0})},
        voices={"keys": Voice(to={"main": 0.0})},
        players={"sea": Player(model="rave", listens="mic", to={"main": 0.0})},
        roles={"drums": Role(to={"main": -6.0})},
        outputs={"main": Output((1, 2))},
    )
    stage = Stage(patch)
    stage.texture("sea", stage.t, np.full((2, 4096), 0.2, np.float32))
    stage.play(np.full((4096, 1), 0.1, np.float32))
    taken = stage.shared.ring("tap.sea").pop(64)
    assert np.abs(taken["data"][:, 0]).max() == np.float32(0.1)
    assert not taken["data"][:, 1].any()
    stage.stem(np.full((2, 4096), 0.25, np.float32), frame=stage.t)
    stage.play(2048)
    taken = stage.shared.ring("tap.sea").pop(64)
    assert taken["data"][-1, 1].max() == pytest.approx(0.25, abs=0.001)  # both sides at -6 dB
