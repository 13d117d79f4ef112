"""Risk: a pedal in a strip howls in a circle, or a strip falls silent when nothing comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conductor_desk import Desk
from engine_stage import Stage
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_stage import RecordedStage

from engine.ask import Ask
from engine.inserts import CROSSFADE_S, PATIENCE_S
from engine.layout import CommandKind, InsertOff, ReportKind
from engine.mixer import BUS_ORDER
from engine.patch import Input, Insert, Output, Patch, Strip
from engine.patch_load import PatchError, load_patch
from engine.replay import Replay
from engine.replay_check import check
from engine.session import read_session

RATE = 48000
PATIENCE, FADE = round(PATIENCE_S * RATE), round(CROSSFADE_S * RATE)
PATCH = Patch(
    inputs={
        "guitar": Input(
            channel=1, to={"main": 0.0}, insert=Insert(send="monitor2", returns="pedals")
        ),
        "pedals": Input(channel=2),
    },
    outputs={
        "main": Output((1, 2), limit=False),
        "monitor2": Output((3,), limit=False),
    },
)
MAIN, SENT = 0, 2


def noise(frames: int, seed: int, peak: float = 0.3) -> np.ndarray:
    made = np.random.default_rng(seed).uniform(-peak, peak, frames).astype(np.float32)
    made[made == 0] = 1e-3
    return made


def test_the_strip_goes_out_and_what_comes_back_is_heard_in_its_place() -> None:
    stage = Stage(PATCH)
    strip, back = noise(8192, 1), noise(8192, 2)
    out = stage.play(np.stack([strip, back], axis=1))
    assert np.array_equal(out[:, SENT], strip)  # mono: half of two equal sides
    assert np.array_equal(out[FADE:, MAIN], back[FADE:])
    reports = [r for r in stage.reports() if r["kind"] == ReportKind.INSERT_ON]
    assert [(r["slot"], r["a"]) for r in reports] == [(0, 128)]


def test_trim_and_strip_come_before_it() -> None:
    guitar = replace(PATCH.inputs["guitar"], trim_db=-6.0, strip=Strip(low_db=3.0))
    plain = replace(guitar, insert=None)
    out = []
    for given_input in (guitar, plain):
        patch = replace(PATCH, inputs={**PATCH.inputs, "guitar": given_input})
        sound = np.stack([noise(4096, 1), np.zeros(4096, np.float32)], axis=1)
        out.append(Stage(patch).play(sound))
    assert np.array_equal(out[0][:, SENT], out[1][:, MAIN])


def test_when_nothing_comes_back_the_strip_itself_is_heard() -> None:
    stage = Stage(PATCH)
    strip, back = noise(3 * RATE, 1), noise(3 * RATE, 2)
    gone = RATE + 77
    back[gone : 2 * RATE] = 0.0  # the client that made it vanished
    out = stage.play(np.stack([strip, back], axis=1))[:, MAIN]
    loud = np.abs(strip[gone:]) >= 0.01
    noticed = gone + int(np.flatnonzero(np.cumsum(loud) == PATIENCE)[0])
    assert np.array_equal(out[FADE:noticed], back[FADE:noticed])
    assert np.array_equal(out[noticed + FADE : 2 * RATE], strip[noticed + FADE : 2 * RATE])
    assert np.array_equal(out[2 * RATE + FADE :], back[2 * RATE + FADE :])
    part = np.arange(1, FADE) / FADE
    fading = out[noticed : noticed + FADE - 1]
    assert np.allclose(fading, part * strip[noticed : noticed + FADE - 1], atol=1e-6)
    found = [(r["kind"], r["a"]) for r in stage.reports()]
    on, off = (ReportKind.INSERT_ON, 128), (ReportKind.INSERT_OFF, InsertOff.ABSENT)
    assert found == [on, off, on]


def test_a_pedal_that_gates_silence_is_not_taken_for_gone() -> None:
    stage = Stage(PATCH)
    strip, back = noise(2 * RATE, 1), noise(2 * RATE, 2)
    strip[RATE:] *= 0.01  # nobody plays: hum, and a gate closes
    back[RATE:] = 0.0
    out = stage.play(np.stack([strip, back], axis=1))[:, MAIN]
    assert not out[RATE:].any()


@settings(max_examples=20, deadline=None)
@given(blocks=st.lists(st.sampled_from([1, 64, 65, 128, 1031]), min_size=1, max_size=4))
def test_blocks_change_no_bit(blocks: list[int]) -> None:
    strip, back = noise(9000, 1), noise(9000, 2)
    back[1000:5000] = 0.0
    sound = np.stack([strip, back], axis=1)
    whole = Stage(PATCH, block=2048).play(sound)
    stage, out, at = Stage(PATCH), [], 0
    while at < len(sound):
        n = min(blocks[len(out) % len(blocks)], len(sound) - at)
        out.append(stage.play(sound[at : at + n]))
        at += n
    assert np.array_equal(np.concatenate(out), whole)


def test_nothing_but_the_strip_reaches_the_pedal_whatever_a_hand_does() -> None:
    stage = Stage(PATCH)
    stage.command(CommandKind.GAIN, slot=1, c=BUS_ORDER.index("monitor2"), x=4.0)
    stage.command(CommandKind.GAIN, slot=0, c=BUS_ORDER.index("monitor2"), x=4.0)
    strip, back = noise(4096, 1), noise(4096, 2)
    out = stage.play(np.stack([strip, back], axis=1))
    assert np.array_equal(out[:, SENT], strip)
    desk = Desk(patch=PATCH)
    said = desk.conductor.act(
        "send", desk.now, ask=Ask(desk.now, source="input.pedals", bus="monitor2", db=0.0)
    )
    assert "pedal" in said


def test_a_hand_takes_the_pedal_out_and_undo_brings_it_back() -> None:
    stage = Stage(PATCH)
    desk = Desk(patch=PATCH)

    def hand(name: str, **words: object) -> str:
        said = desk.conductor.act(name, desk.now, ask=Ask(desk.now, **words))
        for command in desk.conductor.commands:
            command["frame"] = 0
            stage.shared.ring("commands").push(command)
        desk.conductor.commands.clear()
        return said

    def heard() -> np.ndarray:
        out = stage.play(sound)
        assert np.array_equal(out[:, SENT], sound[:, 0])  # it goes out all the time
        return out[FADE:, MAIN]

    sound = np.stack([noise(4096, 1), noise(4096, 2)], axis=1)
    assert np.array_equal(heard(), sound[FADE:, 1])
    assert hand("insert", source="input.guitar") == "input.guitar without its insert"
    assert np.array_equal(heard(), sound[FADE:, 0])
    assert desk.conductor.mix.bypassed == ["input.guitar"]
    hand("undo")
    assert np.array_equal(heard(), sound[FADE:, 1])
    assert desk.conductor.mix.bypassed == []
    assert hand("insert", source="input.pedals") == "input.pedals has no insert"


def test_a_wire_in_the_pedals_place_does_not_grow() -> None:
    """Out and in again a block later, as over JACK: heard once, and as loud."""
    stage = Stage(PATCH)
    strip, back = noise(200 * 128, 1), np.zeros(128, np.float32)
    peaks = []
    for a in range(0, len(strip), 128):
        out = stage.play(np.stack([strip[a : a + 128], back], axis=1))
        back = out[:, SENT].copy()
        peaks.append(float(np.abs(out[:, MAIN]).max()))
        if a >= 10 * 128:
            assert np.array_equal(out[:, MAIN], strip[a - 128 : a])
    assert max(peaks) <= 0.6


def test_a_session_with_a_pedal_is_rendered_again(tmp_path: Path) -> None:
    stage = RecordedStage(tmp_path, PATCH)
    strip, back = noise(RATE, 1), noise(RATE, 2)
    back[RATE // 2 :] = 0.0
    sound = np.stack([strip, back], axis=1)
    stage.play(sound[: RATE // 3], each=lambda _: stage.turn())
    stage.resume(stage.engine.state)
    stage.play(sound[RATE // 3 :], each=lambda _: stage.turn())
    stage.turn()
    stage.recording.close()
    session = read_session(tmp_path)
    found = check(session, Replay(session))
    assert found.equal
    assert found.frames == RATE


GOOD = """
inputs:
  guitar: {channel: 1, to: {main: 0}, insert: {send: monitor2, returns: pedals}}
  pedals: {channel: 2}
  voice: {channel: 3, to: {main: 0}}
players:
  mist: {model: rave, listens: voice, to: {main: -6}}
voices:
  keys: {to: {main: 0}}
outputs:
  main: {channels: [1, 2]}
  monitor2: {channels: [3]}
"""


def faults(folder: Path, old: str = "", new: str = "") -> str:
    path = folder / "patch.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1) if old else GOOD)
    try:
        load_patch(path)
    except PatchError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("returns: pedals", "returns: guitar", "3: inputs.guitar.insert.returns", "another input"),
        ("returns: pedals", "returns: pedal", "3: inputs.guitar.insert.returns", "did you mean"),
        (", returns: pedals", "", "3: inputs.guitar.insert.returns", "both send and returns"),
        ("send: monitor2, ", "send: main, ", "3: inputs.guitar.insert.send", "one of monitor1"),
        ("send: monitor2, ", "send: monitor3, ", "3: inputs.guitar.insert.send", "an output"),
        ("{channel: 2}", "{channel: 2, to: {main: 0}}", "4: inputs.pedals.to", "where guitar goes"),
        (
            "{channel: 2}",
            "{channel: 2, insert: {send: monitor1, returns: voice}}",
            "4: inputs.pedals.insert",
            "it at guitar",
        ),
        ("{channel: 2}", "{stream: mist}", "4: inputs.pedals.stream", "a channel"),
        (
            "voice: {channel: 3, to: {main: 0}}",
            "voice: {channel: 3, to: {monitor2: 0}}",
            "5: inputs.voice.to.monitor2",
            "another monitor",
        ),
        (
            "keys: {to: {main: 0}}",
            "keys: {to: {main: 0}, insert: {send: monitor1, returns: pedals}}",
            "9: voices.keys.insert",
            "pedals are for inputs",
        ),
        (
            "voice: {channel: 3, to: {main: 0}}",
            "voice: {channel: 3, insert: {send: monitor2, returns: pedals}}",
            "5: inputs.voice.insert",
            "for each pedal",
        ),
        (
            "insert: {send: monitor2, returns: pedals}",
            "insert: {}",
            "3: inputs.guitar.insert",
            "vst3: FILE, or send and returns",
        ),
        (
            "insert: {send: monitor2,",
            "insert: {vst3: no.vst3, send: monitor2,",
            "3: inputs.guitar.insert",
            "a plug-in and a pedal",
        ),
        (
            "insert: {send: monitor2, returns: pedals}",
            "insert: {vst3: no.vst3}",
            "3: inputs.guitar.insert.vst3",
            "which is not there",
        ),
        (
            "insert: {send: monitor2, returns: pedals}",
            "insert: {vst3: no.vst3, parameters: {mix: [1, 2]}}",
            "3: inputs.guitar.insert.parameters.mix",
            "found a list",
        ),
    ],
)
def test_a_circle_and_other_nonsense_is_refused_with_its_place(
    tmp_path: Path, old: str, new: str, key: str, said: str
) -> None:
    assert faults(tmp_path) == ""
    found = faults(tmp_path, old, new)
    assert f"patch.yaml:{key}" in found
    assert said in found


def test_a_circle_through_a_player_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "patch.yaml"
    path.write_text(
        GOOD.replace("listens: voice", "listens: pedals").replace("{channel: 1,", "{stream: mist,")
    )
    with pytest.raises(PatchError, match=r"a circle \(guitar <- mist <- pedals <- pedal <- guitar"):
        load_patch(path)
