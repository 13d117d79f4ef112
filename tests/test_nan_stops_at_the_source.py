"""Risk: one NaN or infinity from anywhere spreads, or is stopped without a name."""

from __future__ import annotations

import numpy as np
import pytest
from engine_stage import SOUNDFONT, Stage

from engine.layout import NoteKind, ReportKind
from engine.patch import Input, MidiIn, Output, Patch, Player, Role, Strip, Voice

PATCH = Patch(
    inputs={
        "a": Input(channel=1, to={"main": 0.0}),
        "b": Input(channel=2, to={"cue": 0.0}),
        "c": Input(
            channel=3, strip=Strip(highpass_hz=100, compressor_db=-20), to={"monitor1": 0.0}
        ),
    },
    midi={"keys": MidiIn(voice="piano")},
    voices={"piano": Voice(to={"monitor2": 0.0})},
    players={"sea": Player(model="rave", listens="a", to={"main": 0.0, "reverb": 0.0})},
    roles={"drums": Role(to={"main": 0.0}), "bass": Role(to={"monitor3": 0.0})},
    outputs={
        "main": Output((1, 2)),
        "cue": Output((3,), limit=False),
        "monitor1": Output((4,)),
        "monitor2": Output((5,)),
        "monitor3": Output((6,), limit=False),
    },
)
BAD = [np.nan, np.inf, -np.inf]
RNG = np.random.default_rng(4)


def inputs(frames: int) -> np.ndarray:
    return RNG.uniform(-0.3, 0.3, (frames, 3)).astype(np.float32)


def named(stage: Stage) -> dict[str, int]:
    """Values stopped, by source, as reported."""
    out: dict[str, int] = {}
    for report in stage.reports():
        if report["kind"] == ReportKind.NOT_FINITE:
            name = stage.engine.mixer.names[report["slot"]]
            out[name] = out.get(name, 0) + report["a"]
    return out


def counted(stage: Stage, name: str) -> int:
    mixer = stage.engine.mixer
    return int(mixer.not_finite[mixer.index[name]].sum())


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_in_a_live_input(bad: float, name: str) -> None:
    stage = Stage(PATCH)
    stage.play(inputs(512))
    audio = inputs(2048)
    clean = audio.copy()
    channel = "abc".index(name)
    audio[300:307, channel] = bad
    out = stage.play(audio)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1.0
    assert named(stage) == {f"input.{name}": 7}
    assert counted(stage, f"input.{name}") == 7
    if name != "a":
        assert np.array_equal(out[:, 0], clean[:, 0])
    if name != "b":
        assert np.array_equal(out[:, 2], clean[:, 1])
    assert np.abs(stage.play(inputs(4800))[-100:]).max() > 0.1  # and everything goes on


@pytest.mark.parametrize("bad", BAD)
def test_in_a_texture(bad: float) -> None:
    stage = Stage(PATCH)
    sound = np.full((2, 4096), 0.2, np.float32)
    sound[1, 2000:2003] = bad
    stage.texture("sea", stage.t, sound)
    audio = inputs(8192)
    out = stage.play(audio)
    assert np.isfinite(out).all()
    assert np.array_equal(out[:, 2], audio[:, 1])
    assert named(stage) == {"texture.sea": 3}
    assert counted(stage, "texture.sea") == 3
    assert np.abs(out[3000:3100, 0] - audio[3000:3100, 0]).max() > 0.1  # it comes back by itself


@pytest.mark.parametrize("bad", BAD)
def test_in_a_stem_of_the_arena(bad: float) -> None:
    stage = Stage(PATCH)
    drums = np.full((2, 1024), 0.1, np.float32)
    drums[0, 100] = bad
    bass = RNG.uniform(-0.2, 0.2, (2, 1024)).astype(np.float32)
    bass[1] = bass[0]
    stage.stem(drums, slot=0, c=0, id=1)
    stage.stem(bass, offset=4096, slot=1, c=1, id=2)
    audio = inputs(1024)
    out = stage.play(audio)
    assert np.isfinite(out).all()
    assert named(stage) == {"stems.drums": 1}
    assert np.array_equal(out[:, 5], bass[0])
    assert np.array_equal(out[:, 2], audio[:, 1])


@pytest.mark.parametrize("block", [1, 64, 65, 1031])
def test_block_size_changes_no_bit_of_what_takes_its_place(block: int) -> None:
    """It dies away from the last good value, also where that is of the block before."""
    audio = np.full((2062, 3), 0.3, np.float32)
    audio[512:530] = audio[1031:1040] = audio[1300:1310] = np.nan
    stem = np.full((2, 2062), 0.2, np.float32)
    stem[:, 640:650] = np.inf

    def played(size: int) -> np.ndarray:
        stage = Stage(PATCH, block=size)
        stage.stem(stem)
        return stage.play(audio)

    wanted = played(128)
    assert np.abs(np.diff(wanted[:600, 2])).max() < 0.3 * (1 - 0.97**18) + 1e-6  # it comes back
    assert np.array_equal(played(block), wanted)


def test_where_everything_is_bad_the_voices_still_sound() -> None:
    stage = Stage(PATCH, SOUNDFONT)
    stage.note("midi_notes", NoteKind.ON)
    stage.texture("sea", stage.t, np.full((2, 4096), np.nan, np.float32))
    stage.stem(np.full((2, 4096), np.inf, np.float32))
    out = stage.play(np.full((4096, 3), np.nan, np.float32))
    assert np.isfinite(out).all()
    assert np.abs(out[:, 4]).max() > 1e-3
    assert not out[:, :4].any()
    assert set(named(stage)) == {"input.a", "input.b", "input.c", "texture.sea", "stems.drums"}
