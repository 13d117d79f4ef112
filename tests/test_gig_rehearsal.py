"""Risk: a patch is played from end to end and what goes wrong on the way is not said."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.gig.rehearsal import rig_for
from engine.gig.rehearsal_judge import Heard, judge_rehearsal
from engine.gig.rehearsal_plan import RATE, Part, Rehearsed, parts_of, played_to
from engine.patch import MidiIn, Patch
from engine.set_load import load_performance
from engine.soundfont import find_soundfont

PATCHES = Path(__file__).parent.parent / "patches"
SHIPPED = ("trombone-and-keys.yaml", "eurorack.yaml", "sets/two-songs.yaml")


@pytest.mark.parametrize("file", SHIPPED)
def test_every_song_has_its_bars_its_end_and_its_pause(file: str) -> None:
    patch = load_performance(PATCHES / file)
    parts = parts_of(patch, 2.0)
    assert [p.song.name for p in parts] == list(patch.songs)
    for part in parts:
        assert part.bars % part.song.bars_per_phrase == 0
        assert part.counted > 0
        assert 0 < part.end_press < part.bars
    for before, after in itertools.pairwise(parts):
        assert after.counted - before.end >= 12 * RATE - 2


@pytest.mark.parametrize("file", SHIPPED)
def test_the_rig_of_the_stage_fits_the_patch(file: str, tmp_path: Path) -> None:
    rig = tmp_path / "rig.yaml"
    rig.write_text(rig_for(load_performance(PATCHES / file)))
    placed = load_performance(PATCHES / file, rig)
    assert "stage" in placed.audio.device
    assert all("Gig Keyboard" in m.port for m in placed.midi.values())


def test_the_band_plays_in_songs_and_nowhere_else() -> None:
    soundfont = find_soundfont(Patch())
    assert soundfont is not None
    patch = load_performance(PATCHES / "eurorack.yaml")
    parts = parts_of(patch, 0.5)
    frames = parts[-1].end + 5 * RATE
    audio = played_to(patch, parts, frames, soundfont)
    assert audio.shape == (frames, 4)
    assert np.abs(audio[: parts[0].at(1.9), 0]).max() < 1e-3
    assert np.abs(audio[parts[0].at(2) : parts[0].at(8), 0]).max() > 0.02
    gate = audio[:, 3]  # lets the drums in
    assert set(np.unique(gate)) == {0.0, 0.5}
    assert np.abs(audio[:, 1]).max() <= 0.5  # a chaos within its bounds


PATCH = """
name: small
inputs: {horn: {channel: 1, to: {main: 0}}}
outputs: {main: {channels: [1, 2]}, click: {channels: [3]}}
cv:
  clock: {channel: 4, kind: clock, ppqn: 4}
  gate: {channel: 5, kind: gate, source: keys}
voices: {keys: {to: {}}}
roles: {drums: {maker: rules, to: {main: 0}}}
songs:
  one: {bpm: 240, count_in: 1, ending: {kind: phrase}}
"""


@cache
def played(folder: Path) -> Heard:
    """A performance of the patch above as it should be."""
    file = folder / "small.yaml"
    file.write_text(PATCH)
    patch = load_performance(file)
    part = parts_of(patch, 0.1)[0]
    frames = part.end + 10 * RATE
    random = np.random.default_rng(2)
    horn = np.zeros((frames, 1), np.float32)
    horn[part.one : part.end, 0] = 0.05 * random.standard_normal(part.end - part.one)
    out = np.zeros((frames, 5), np.float32)
    out[:, :2] = horn
    beat = round(part.bar_frames / 4)
    for k in range(4):
        out[part.counted + k * beat :, 2][:400] = 0.3
    for k in range(part.beats * 4):
        out[part.at(k / 16) :, 3][:200] = 0.5
    said = [(0, "standby", "standby"), (1, "let_in", "let in"), (2, "end", "ends with the phrase")]
    done = Rehearsed(said, [part.counted - 3000])
    events = [
        {"event": "stem", "frame": 0, "id": 1, "role": "drums", "state": "ready", "reason": ""},
        {"event": "stem_started", "frame": part.one, "id": 1, "slot": 0, "a": 0, "b": 0},
    ]
    return Heard(patch, [part], horn, out, done, events, 0, [])


@pytest.fixture
def heard(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    whole = played(tmp_path_factory.getbasetemp())
    done = replace(whole.done, said=list(whole.done.said))
    return replace(
        whole,
        captured=whole.captured.copy(),
        played=whole.played.copy(),
        done=done,
        events=list(whole.events),
    )


def wrong(heard: Heard) -> list[str]:
    found: list[str] = judge_rehearsal(heard)["wrong"]
    return found


def test_a_rehearsal_as_it_should_be_has_nothing_wrong(heard: Heard) -> None:
    facts = judge_rehearsal(heard)
    assert facts["wrong"] == []
    assert facts["stems"] == {"drums": 1}
    assert -30 < facts["songs"]["one"]["lufs"] < -15


def part_of(heard: Heard) -> Part:
    return heard.parts[0]


def spoil(heard: Heard, fault: str) -> None:
    part, out = part_of(heard), heard.captured
    if fault == "silence":
        out[part.at(4) : part.at(6), :2] = 0.0
    elif fault == "standby":
        out[part.end + 9 * RATE :, 1] = 0.01
    elif fault == "the hall hears":
        out[:, :2] += 0.1 * out[:, 2:3]
    elif fault == "clicks count":
        out[part.counted + 100 : part.counted + RATE // 8, 2] = 0.0
        out[part.counted : part.counted + 200, 2] = 0.0
    elif fault == "LUFS":
        out[:, :2] *= 0.01
    elif fault == "dBTP":
        out[part.at(2), 0] = 1.5
    elif fault == "a click":
        out[part.end + RATE : part.end + 2 * RATE, 0] = 0.1
    elif fault == "pulses":
        out[part.at(5) : part.at(6), 3] = 0.0
    elif fault == "gate is up":
        out[-100:, 4] = 0.5
    elif fault == "what is it":
        heard.done.said.append((3, "end", "what is it"))
    elif fault == "no stem of drums":
        del heard.events[1]
    else:
        event: dict[str, Any] = {"event": "stem", "id": 2, "role": "drums", "state": "failed"}
        heard.events.append({**event, "frame": 5, "reason": "no more ideas"})


@pytest.mark.parametrize(
    "fault",
    [
        "silence",
        "standby",
        "the hall hears",
        "clicks count",
        "LUFS",
        "dBTP",
        "a click",
        "pulses",
        "gate is up",
        "what is it",
        "no stem of drums",
        "no more ideas",
    ],
)
def test_what_is_wrong_is_named(heard: Heard, fault: str) -> None:
    spoil(heard, fault)
    assert any(fault in said for said in wrong(heard)), wrong(heard)


def test_a_rest_of_everybody_is_no_fault_and_a_stem_that_is_not_heard_is_one(heard: Heard) -> None:
    part = part_of(heard)
    heard.played[part.at(4) : part.at(6)] = 0.0
    heard.captured[part.at(4) : part.at(6), :2] = 0.0
    assert any("of silence" in said for said in wrong(heard))  # the drums' stem plays
    end = {"event": "stem_ended", "frame": part.at(3), "id": 1, "slot": 0, "a": 0, "b": 0}
    heard.events.append(end)
    assert wrong(heard) == []


def test_keys_that_the_hall_does_not_hear_are_a_silence(heard: Heard) -> None:
    part = part_of(heard)
    heard.events.clear()
    heard.captured[part.at(4) : part.at(6), :2] = 0.0
    heard.played[part.at(4) : part.at(6)] = 0.0
    patch = replace(
        heard.patch,
        midi={"keys": MidiIn(voice="keys")},
        voices={"keys": replace(heard.patch.voices["keys"], to={"main": 1.0})},
    )
    for struck, silent in ((part.at(5), True), (part.at(6) - RATE // 100, False)):
        done = replace(heard.done, notes=[struck])
        said = wrong(replace(heard, patch=patch, done=done))
        assert any("of silence" in words for words in said) == silent


def test_a_click_of_a_missed_cycle_is_told_apart(heard: Heard) -> None:
    at = part_of(heard).end + RATE
    at -= at % 128
    heard.captured[at : at + 128, 0] = 0.1
    facts = judge_rehearsal(replace(heard, missed=[at - 128]))
    assert facts["wrong"] == []
    assert facts["clicks"] > facts["clicks_of_our_own"] == 0


def test_a_picture_is_drawn(heard: Heard, tmp_path: Path) -> None:
    path = tmp_path / "rehearsal.png"
    heard.draw(path, judge_rehearsal(heard))
    assert path.stat().st_size > 10_000
