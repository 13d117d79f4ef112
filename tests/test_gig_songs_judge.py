"""Risk: the judge lets a count-in in the hall, a wrong scene or sound in standby pass."""

from __future__ import annotations

import numpy as np
import pytest

from engine.gig.judge import judge
from engine.gig.judge_songs import SONG_KEYS
from engine.gig.night import DryPath, Night, Song

RATE = 8000
BEAT = 4000
FIRST, ONE = 4 * BEAT, 8 * BEAT
FRAMES = 40 * BEAT


def night() -> Night:
    """Counted in, a song with a texture that its second half has off, then standby."""
    random = np.random.default_rng(1)
    drums = (0.1 * random.standard_normal(FRAMES)).astype(np.float32)
    textures = np.zeros(FRAMES, np.float32)
    textures[ONE : 16 * BEAT] = 0.05
    click = np.zeros(FRAMES, np.float32)
    for beat in range(4):
        click[FIRST + beat * BEAT : FIRST + beat * BEAT + 200] = 0.4
    main = np.repeat((drums + textures)[:, None], 2, axis=1)
    beats = np.arange(ONE, 32 * BEAT, BEAT)
    return Night(
        rate=RATE,
        start=0,
        songs=[Song("a", FIRST, 28 * BEAT, beats, tail=BEAT)],
        main=main,
        dry={"drums": DryPath(drums, drums)},
        textures={"textures": textures},
        click=click,
        count_ins=[(FIRST, ONE)],
        standbys=[(30 * BEAT, FRAMES)],
        muted={"textures": [(18 * BEAT, 28 * BEAT)]},
    )


def wrong(of: Night) -> list[str]:
    counts = judge(of)
    return [key for key in SONG_KEYS if counts[key]]


def test_a_night_as_it_should_be_is_faultless() -> None:
    assert wrong(night()) == []


@pytest.mark.parametrize("beats", [[0, 1, 2], [0, 1, 2, 3, 3.5], [0.3, 1, 2, 3], []])
def test_a_count_in_has_one_click_on_every_beat(beats: list[float]) -> None:
    of = night()
    assert of.click is not None
    of.click[:] = 0.0
    for beat in beats:
        at = FIRST + round(beat * BEAT)
        of.click[at : at + 200] = 0.4
    assert wrong(of) == ["count_in_errors"]


def test_a_click_where_nobody_counts_in_is_wrong() -> None:
    of = night()
    assert of.click is not None
    of.click[20 * BEAT : 20 * BEAT + 200] = 0.4
    assert judge(of)["count_in_errors"] == 1


def test_a_click_in_the_hall_is_heard() -> None:
    of = night()
    assert of.click is not None
    of.main[:] += 0.1 * of.click[:, None]
    assert wrong(of) == ["count_in_in_hall"]


@pytest.mark.parametrize("bus", ["drums", "textures"])
def test_a_click_in_a_monitor_is_heard(bus: str) -> None:
    of = night()
    assert of.click is not None
    if bus == "drums":
        path = of.dry[bus]
        of.dry[bus] = DryPath(path.played, path.heard + 0.02 * of.click)
    else:
        of.textures[bus] += 0.02 * of.click
    assert "click_off_its_bus" in wrong(of)


def test_generated_sound_in_standby_or_against_the_scene_is_heard() -> None:
    of = night()
    of.textures["textures"][20 * BEAT : 21 * BEAT] = 0.05
    of.textures["textures"][34 * BEAT : 35 * BEAT] = 0.05
    counts = judge(of)
    assert (counts["scene_errors"], counts["ai_sound_in_standby"]) == (1, 1)
