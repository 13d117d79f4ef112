"""Risk: a plug-in in a strip changes what it should not, falls silent, or takes the sound down."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from engine_stage import SOUNDFONT, Stage
from plugins import bundle, compile_plugin
from recorded_stage import RecordedStage

from engine.layout import CommandKind, InsertOff, LevelKind, NoteKind, ReportKind
from engine.patch import Input, Insert, MidiIn, Output, Patch, Player, Voice
from engine.patch_change import needs_restart
from engine.plugin_proof import prove, prove_patch
from engine.replay import Replay
from engine.replay_check import check
from engine.session import read_session

RATE = 48000
MAIN = {"main": Output((1, 2), limit=False)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("plugin")
    library = compile_plugin(made)
    for name in ("gain", "late", "mono", "nan-later", "random"):
        bundle(library, made, name)
    return made


@pytest.fixture(autouse=True)
def cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))


def patch_of(folder: Path, name: str, amount: float = 0.75) -> Patch:
    insert = Insert(vst3=str(folder / f"{name}.vst3"), parameters={"amount": amount})
    return Patch(inputs={"mic": Input(channel=1, to={"main": 0.0}, insert=insert)}, outputs=MAIN)


def stage_of(folder: Path, name: str, amount: float = 0.75, block: int = 128) -> Stage:
    patch = patch_of(folder, name, amount)
    proofs = {source: asdict(p) for source, p in prove_patch(patch).items()}
    return Stage(patch, block=block, inserts=proofs)


def sound(frames: int, peak: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(4)
    return rng.uniform(-peak, peak, (frames, 1)).astype(np.float32)


def offs(stage: Stage) -> list[tuple[int, int]]:
    return [(r["slot"], r["a"]) for r in stage.reports() if r["kind"] == ReportKind.INSERT_OFF]


@pytest.mark.parametrize("name", ["gain", "mono"])
@pytest.mark.parametrize("block", [1, 2, 64, 65, 1031])
def test_what_is_heard_is_what_it_makes_at_any_block(folder: Path, name: str, block: int) -> None:
    stage = stage_of(folder, name, block=block)
    heard = sound(2122)
    out = stage.play(heard)
    assert np.array_equal(out, np.repeat(np.float32(1.5) * heard, 2, axis=1))
    kinds = [(r["kind"], r["a"]) for r in stage.reports()]
    assert (ReportKind.INSERT_ON, 0) in kinds


def test_its_latency_is_what_it_says_from_the_first_frame_on(folder: Path) -> None:
    stage = stage_of(folder, "late")
    heard = sound(2048)
    out = stage.play(heard)
    assert not out[:96].any()
    assert np.array_equal(out[96:, 0], np.float32(1.5) * heard[:-96, 0])
    assert [r["a"] for r in stage.reports() if r["kind"] == ReportKind.INSERT_ON] == [96]


def test_stretches_that_a_command_cuts_off_make_no_hole(folder: Path) -> None:
    heard = sound(4096)
    out = []
    for cut in (0, 1, 2, 127):
        stage = stage_of(folder, "late")
        stage.play(heard[:1024])
        if cut:  # the block is rendered in two stretches
            stage.command(CommandKind.LEVEL, frame=stage.t + cut, slot=0, c=LevelKind.FADER, x=1.0)
        out.append(stage.play(heard[1024:]))
    assert all(np.array_equal(out[0], other) for other in out[1:])


@pytest.mark.parametrize("block", [1, 65, 128])
def test_a_hand_turns_it_off_and_on_without_a_step(folder: Path, block: int) -> None:
    stage = stage_of(folder, "gain", 1.0, block)
    heard = sound(3000)
    at = stage.t
    turn = {"slot": 0, "c": LevelKind.INSERT, "a": 480}
    stage.command(CommandKind.LEVEL, frame=at + 500, x=0.0, **turn)
    stage.command(CommandKind.LEVEL, frame=at + 2001, x=1.0, **turn)
    out = stage.play(heard)[:, 0]
    f = np.arange(3000)
    wet = np.interp(f, [500, 980, 2001, 2481], [1.0, 0.0, 0.0, 1.0])
    dry = heard[:, 0].astype(np.float64)
    assert np.allclose(out, (1 - wet) * dry + wet * 2 * dry, atol=1e-7)
    assert np.array_equal(out[980:2001], heard[980:2001, 0])


def test_one_that_begins_to_return_nan_is_left_out_without_a_step(folder: Path) -> None:
    stage = stage_of(folder, "nan-later", 0.75)
    t = np.arange(5 * RATE)[:, None] / RATE
    heard = (0.2 * np.sin(2 * np.pi * 110 * t)).astype(np.float32)
    out = stage.play(heard)
    assert np.isfinite(out).all()
    assert offs(stage) == [(0, InsertOff.NOT_FINITE)]
    assert np.array_equal(out[-RATE:, 0], heard[-RATE:, 0])  # the strip itself
    with_it = slice(0, 2 * RATE - 4096)  # pedalboard tries it out beforehand
    assert np.array_equal(out[with_it, 0], np.float32(1.5) * heard[with_it, 0])
    steepest = 1.5 * 0.2 * 2 * np.pi * 110 / RATE  # of the sine; the fade adds 0.1 in 64 frames
    assert np.abs(np.diff(out[:, 0])).max() < steepest + 0.11 / 64 * 2


def test_one_that_raises_is_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(folder, "gain")
    stage.play(sound(512))

    def raises(*_: object) -> None:
        raise RuntimeError("no more")

    loaded = stage.engine.inserts._playing[0]
    monkeypatch.setattr(loaded.effect, "run", raises)
    heard = sound(1024)
    out = stage.play(heard)
    assert np.array_equal(out[128:, 0], heard[128:, 0])
    assert offs(stage) == [(0, InsertOff.FAILED)]
    assert not stage.engine.inserts.busy  # it costs nothing any more


def test_one_that_nobody_proved_is_not_loaded(folder: Path) -> None:
    stage = Stage(patch_of(folder, "gain"))
    heard = sound(512)
    assert np.array_equal(stage.play(heard)[:, 0], heard[:, 0])
    assert offs(stage) == [(0, InsertOff.UNPROVED)]
    assert stage.engine.inserts.names == []


def test_one_in_which_two_audio_processes_ended_is_left_out(folder: Path) -> None:
    stage = stage_of(folder, "gain")
    heard = sound(512)
    for ends in (1, 2):
        stage.shared.insert_words[0] = 1  # it was running when the process ended
        stage.resume(stage.engine.state)
        out = stage.play(heard)[:, 0]
        gain = np.float32(1.5 if ends == 1 else 1.0)
        assert np.array_equal(out, gain * heard[:, 0])
        assert stage.shared.insert_words[0] == 0
    assert offs(stage) == [(0, InsertOff.ENDED_US)]
    stage.resume(stage.engine.state)  # dies for another reason: it stays out
    assert np.array_equal(stage.play(heard)[:, 0], heard[:, 0])


def test_another_plugin_needs_a_restart_and_says_so(folder: Path) -> None:
    started, other = patch_of(folder, "gain"), patch_of(folder, "late")
    assert needs_restart(started, other, 10**9) == ["inputs.mic.insert.vst3"]
    turned = patch_of(folder, "gain", 0.1)
    assert needs_restart(started, turned, 10**9) == ["inputs.mic.insert.parameters.amount"]


def test_voices_and_textures_have_inserts_too(folder: Path) -> None:
    def insert(amount: float) -> Insert:
        return Insert(vst3=str(folder / "gain.vst3"), parameters={"amount": amount})

    def patch(amount: float) -> Patch:
        return Patch(
            inputs={"mic": Input(channel=1)},
            midi={"keys": MidiIn(voice="piano")},
            voices={"piano": Voice(to={"main": 0.0}, insert=insert(amount))},
            players={
                "mist": Player(model="rave", listens="mic", to={"main": 0.0}, insert=insert(amount))
            },
            outputs=MAIN,
        )

    heard = []
    for amount in (0.5, 1.0):
        given = patch(amount)
        proofs = {source: asdict(p) for source, p in prove_patch(given).items()}
        assert set(proofs) == {"voice.piano", "texture.mist"}
        stage = Stage(given, SOUNDFONT if SOUNDFONT.exists() else None, inserts=proofs)
        stage.note("midi_notes", NoteKind.ON)
        stage.texture("mist", stage.t, np.repeat(sound(4096).T, 2, axis=0))
        heard.append(stage.play(4096))
    assert np.abs(heard[0]).max() > 0.1
    assert np.allclose(heard[1], 2 * heard[0], atol=1e-6)


def test_a_session_with_an_insert_is_rendered_again(folder: Path, tmp_path: Path) -> None:
    patch = patch_of(folder, "late")
    proofs = {source: asdict(p) for source, p in prove_patch(patch).items()}
    stage = RecordedStage(tmp_path, patch, inserts=proofs)
    stage.play(sound(RATE), each=lambda _: stage.turn())
    stage.resume(stage.engine.state)
    stage.play(sound(RATE // 2), each=lambda _: stage.turn())
    stage.turn()
    stage.recording.close()
    session = read_session(tmp_path)
    found = check(session, Replay(session))
    assert found.equal
    assert found.frames == RATE + RATE // 2
    assert found.problems == []


def test_a_session_does_not_load_a_plugin_this_machine_does_not_know(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch = patch_of(folder, "random")
    proofs = {"input.mic": asdict(prove(folder / "random.vst3", parameters={"amount": 0.75}))}
    stage = RecordedStage(tmp_path, patch, inserts=proofs)
    stage.play(sound(RATE // 4), each=lambda _: stage.turn())
    stage.turn()
    stage.recording.close()
    session = read_session(tmp_path)
    found = check(session, Replay(session))
    assert not found.equal  # it makes no two runs alike, and that is said
    assert any("no two runs alike" in p for p in found.problems)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    replay = Replay(session)
    found = check(session, replay)
    assert not found.equal
    assert any("never proved on this machine" in p for p in found.problems)
