"""Risk: a texture or the reverb howls through the room, or the guard takes music for a howl."""

from __future__ import annotations

import numpy as np
import pytest
from engine_stage import RATE
from room import Room, response

from engine.howl import HOP, HowlDetector
from engine.patch import Input, Output, Patch, Player

DRY_DB = -18.0  # so that the dry path alone has a margin in any of these rooms


def patch(reverb: float | None = None, texture: float | None = None) -> Patch:
    sends = {"main": DRY_DB, **({} if reverb is None else {"reverb": reverb})}
    sea = {} if texture is None else {"sea": Player("rave", "mic", to={"main": texture})}
    return Patch(
        inputs={"mic": Input(channel=1, to=sends)}, players=sea, outputs={"main": Output((1, 2))}
    )


def brass(seconds: float, hertz: float = 220.0) -> np.ndarray:
    """Notes of half a second with eight partials, and pauses."""
    t = np.arange(round(seconds * RATE)) / RATE
    partials = sum(np.sin(2 * np.pi * k * hertz * t) / k for k in range(1, 9))
    noise = 0.002 * np.random.default_rng(0).standard_normal(len(t))
    return 0.03 * partials * (t % 1 < 0.5) + noise


def rms_db(x: np.ndarray) -> float:
    return 20 * np.log10(np.sqrt(float((x.astype(float) ** 2).mean())) + 1e-9)


LOOPS = [{"texture": -3.0}, {"texture": 6.0}, {"reverb": 0.0}, {"reverb": 12.0}]


@pytest.mark.parametrize("delay_ms", [5.0, 30.0])
@pytest.mark.parametrize("loop", LOOPS)
def test_no_howl_where_microphones_hear_us_as_loud_as_the_musician(
    loop: dict[str, float], delay_ms: float
) -> None:
    h = response(delay_ms, 0.0)
    wild = Room(patch(**loop), h, guarded=False).play(brass(2.0))
    assert rms_db(wild[-RATE // 2 :]) > -12  # it does howl
    room = Room(patch(**loop), h)
    out = room.play(brass(2.5))
    assert room.howls()
    assert rms_db(out[-RATE // 2 :]) < -30


@pytest.mark.parametrize("delay_ms", [5.0, 30.0])
@pytest.mark.parametrize("loop", [{"texture": -3.0}, {"reverb": -6.0}])
def test_what_does_not_howl_is_let_be(loop: dict[str, float], delay_ms: float) -> None:
    room = Room(patch(**loop), response(delay_ms, -12.0))
    room.play(brass(3.0))
    assert not room.howls()


def test_it_comes_back_when_the_room_is_quiet_again_and_stays_away_longer_each_time() -> None:
    room = Room(patch(texture=6.0), response(5.0, 0.0))
    room.play(brass(1.0))
    howl = room.conductor.mix.guarded["texture.sea"]
    assert (howl.step > 0, howl.times) == (True, 1)
    room.h = room.h * 0.01  # the loudspeaker was turned away
    room.play(np.zeros(4 * RATE))
    guards = room.stage.engine.state[0]["guards"]
    index = room.stage.engine.mixer.index["texture.sea"]
    assert guards[index]["g1"] == 1.0
    assert howl.step == 0
    room.h = room.h * 100
    room.play(brass(1.0))
    assert howl.times == 2


def growing(db_a_second: float, seconds: float, hertz: float = 700.0) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    level = np.minimum(1e-4 * 10 ** (db_a_second * t / 20), 0.7)
    noise = 1e-5 * np.random.default_rng(1).standard_normal(len(t))
    return level * np.sin(2 * np.pi * hertz * t) + noise


def first(x: np.ndarray, piece: int = 128) -> int | None:
    """The frame at which a howl was found."""
    detector = HowlDetector(RATE, [1.0])
    for a in range(0, len(x), piece):
        found = detector.feed(a, x[None, a : a + piece].astype(np.float32))
        if found:
            return found[0].frame
    return None


@pytest.mark.parametrize("db_a_second", [30.0, 100.0, 300.0])
@pytest.mark.parametrize("hertz", [110.0, 700.0, 4000.0])
def test_growing_tone_is_found_within_200_ms_of_being_heard(
    db_a_second: float, hertz: float
) -> None:
    """Heard: -24 dBFS."""
    found = first(growing(db_a_second, 4.0, hertz))
    heard = (80 - 21) / db_a_second * RATE
    assert found is not None
    assert 0 < found - heard < 0.2 * RATE


def test_found_at_the_same_frame_whatever_the_pieces() -> None:
    x = growing(100.0, 1.0)
    assert first(x, 1031) == first(x, 64) == first(x, 128)


def music(kind: str) -> np.ndarray:
    t = np.arange(3 * RATE) / RATE
    if kind == "notes of a pure tone":
        x = 0.3 * np.sin(2 * np.pi * 440 * t) * (t % 0.5 < 0.3)
    elif kind == "a crescendo of a trombone":
        x = sum(np.sin(2 * np.pi * k * 233 * t) / k for k in range(1, 10)) * 0.01 * 10 ** (t / 2)
    elif kind == "noise that swells":
        x = np.random.default_rng(2).standard_normal(len(t)) * 0.001 * 10 ** (0.6 * t)
    else:
        x = 0.3 * np.sin(2 * np.pi * 330 * t) * np.exp(-t * 2)
    return x


KINDS = [
    "notes of a pure tone",
    "a crescendo of a trombone",
    "noise that swells",
    "a tone that dies",
]


@pytest.mark.parametrize("kind", KINDS)
def test_music_is_not_taken_for_a_howl(kind: str) -> None:
    assert first(music(kind)) is None


def test_what_stays_at_full_level_is_found_whatever_it_is() -> None:
    noise = np.random.default_rng(3).uniform(-1, 1, RATE)
    found = first(noise)
    assert found is not None
    assert found < 0.2 * RATE + HOP
