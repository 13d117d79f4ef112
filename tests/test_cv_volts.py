"""Risk: a voltage is wrong, late, stuck, or touched by what belongs to sound."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from engine_stage import Stage
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.audio.callback import Callback
from engine.layout import CommandKind, NoteKind, SafeKind
from engine.patch import Cv, Input, MidiIn, Output, Patch, Player, Voice

FULL, OFFSET, GATE_VOLTS = 5.0, 0.25, 4.0
PATCH = Patch(
    inputs={"mic": Input(channel=1, to={"main": 0.0})},
    midi={"keys": MidiIn(voice="lead")},
    voices={"lead": Voice(), "answer": Voice()},
    players={"duo": Player(model="notochord", listens="keys", voice="answer")},
    outputs={"main": Output((1, 2))},
    cv={
        "pitch": Cv(channel=3, source="lead", kind="pitch"),
        "gate": Cv(channel=4, source="lead", kind="gate"),
        "pitch2": Cv(
            channel=5, source="answer", volts_full_scale=FULL, offset_volts=OFFSET, polarity=-1
        ),
        "gate2": Cv(
            channel=6,
            source="answer",
            kind="gate",
            volts_full_scale=FULL,
            gate_volts=GATE_VOLTS,
            polarity=-1,
        ),
    },
)
PITCH, GATE, PITCH2, GATE2 = 2, 3, 4, 5


def volts(out: np.ndarray, channel: int) -> np.ndarray:
    """What the interface would put out."""
    if channel in (PITCH, GATE):
        return out[:, channel] * 10.0
    return -out[:, channel] * FULL - (OFFSET if channel == PITCH2 else 0.0)


def edge(x: np.ndarray) -> int:
    """The one frame at which x changes."""
    changes = np.flatnonzero(np.diff(x)) + 1
    assert len(changes) == 1, changes
    return int(changes[0])


@pytest.mark.parametrize(("rate", "lead"), [(44_100, 45), (48_000, 48), (96_000, 96)])
@pytest.mark.parametrize("block", [64, 131])
def test_pitch_leads_its_gate_by_a_millisecond_at_the_exact_frame(
    rate: int, lead: int, block: int
) -> None:
    stage = Stage(PATCH, rate=rate, block=block)
    stage.note("midi_notes", NoteKind.ON, key=72, frame=stage.t + 777)
    stage.note("midi_notes", NoteKind.OFF, key=72, frame=stage.t + 2777)
    out = stage.play(2500)
    assert edge(out[:, PITCH]) == 777
    assert edge(out[:, GATE]) == 777 + lead
    assert lead >= rate / 1000
    off = stage.play(2500)
    assert edge(off[:, GATE]) == 277 + lead
    np.testing.assert_allclose(volts(off, PITCH), 1.0)  # held for the release


def struck(block: int, told: list[tuple[int, int]]) -> tuple[np.ndarray, list[int]]:
    """Output while keys go down, and up where they are down, `gap` frames apart each; and what is
    held in the end."""
    stage, held, at = Stage(PATCH, block=block), [], 100
    for gap, key in told:
        at += gap
        kind = NoteKind.OFF if key in held else NoteKind.ON
        stage.note("midi_notes", kind, key=key, frame=stage.t + at)
        held = [k for k in held if k != key] + ([key] if kind == NoteKind.ON else [])
    return stage.play(-(-(at + 400) // block) * block), held


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 150), st.integers(60, 63)), min_size=1, max_size=12))
def test_pitch_stands_around_every_gate_however_close_notes_are(
    told: list[tuple[int, int]],
) -> None:
    out, held = struck(128, told)
    pitch, gate = volts(out, PITCH), volts(out, GATE)
    for rise in (np.flatnonzero(np.diff(gate) > 0) + 1).tolist():
        assert np.ptp(pitch[rise - 48 : rise + 48]) == 0.0
    assert gate[-1] == (5.0 if held else 0.0)
    if held:
        assert pitch[-1] == pytest.approx((held[-1] - 60) / 12, abs=1e-6)
    again, _ = struck(65, told)
    frames = min(len(out), len(again))
    assert np.array_equal(again[:frames, [PITCH, GATE]], out[:frames, [PITCH, GATE]])


@given(st.integers(0, 127))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_volts_of_every_key_on_every_channel(key: int) -> None:
    stage = Stage(PATCH)
    stage.note("midi_notes", NoteKind.ON, key=key, voice=0)
    stage.note("answers.duo", NoteKind.ON, key=key, voice=1)
    out = stage.play(256)[-1:]
    wanted = (key - 60) / 12.0
    assert volts(out, PITCH)[0] == pytest.approx(wanted, abs=1e-5)
    assert volts(out, GATE)[0] == pytest.approx(5.0)
    least, most = -FULL - OFFSET, FULL - OFFSET  # this channel's reach
    assert volts(out, PITCH2)[0] == pytest.approx(min(most, max(least, wanted)), abs=1e-5)
    assert volts(out, GATE2)[0] == pytest.approx(GATE_VOLTS)
    assert np.abs(out[:, 2:]).max() <= 1.0


def test_last_note_has_the_pitch_and_the_gate_falls_with_the_last_key() -> None:
    stage = Stage(PATCH)
    stage.note("midi_notes", NoteKind.ON, key=60)
    stage.note("midi_notes", NoteKind.ON, key=67, frame=stage.t + 100)
    stage.note("midi_notes", NoteKind.OFF, key=67, frame=stage.t + 500)
    stage.note("midi_notes", NoteKind.OFF, key=60, frame=stage.t + 900)
    out = stage.play(1280)
    pitch, gate = volts(out, PITCH), volts(out, GATE)
    assert pitch[[50, 400, 700, 1200]] == pytest.approx([0, 7 / 12, 0, 0], abs=1e-6)
    assert gate[[100, 400, 700, 947, 948, 1200]] == pytest.approx([5, 5, 5, 5, 0, 0])


def test_flurry_beyond_the_queue_ends_with_the_gate_down_and_the_last_pitch() -> None:
    stage = Stage(PATCH)
    for i in range(40):
        stage.note("midi_notes", NoteKind.ON, key=40 + i, frame=stage.t + 2 * i)
        stage.note("midi_notes", NoteKind.OFF, key=40 + i, frame=stage.t + 2 * i + 1)
    out = stage.play(1024)
    assert volts(out, GATE)[-1] == 0.0
    assert volts(out, PITCH)[-1] == pytest.approx((79 - 60) / 12, abs=1e-5)


def test_limiter_master_and_fade_leave_volts_alone() -> None:
    stage = Stage(PATCH)
    stage.note("midi_notes", NoteKind.ON, key=96)
    stage.play(256)
    stage.safe(SafeKind.MASTER, 0.0)
    stage.engine.fade_to(stage.t, 0.0)
    out = stage.play(np.full((4800, 1), 4.0, np.float32))
    np.testing.assert_allclose(volts(out, PITCH), 3.0, atol=1e-6)
    np.testing.assert_allclose(volts(out, GATE), 5.0)
    assert not out[-100:, :2].any()


def test_gates_are_down_once_it_leaves_whatever_is_on_its_way() -> None:
    stage = Stage(PATCH)
    stage.note("midi_notes", NoteKind.ON, key=64)
    stage.play(200)
    stage.note("midi_notes", NoteKind.OFF, key=64)
    stage.note("midi_notes", NoteKind.ON, key=65, frame=stage.t + 20)  # its gate waits a lead
    stage.play(30)
    stage.engine.cv.gates_down(stage.t)
    stage.note("midi_notes", NoteKind.ON, key=66, frame=stage.t + 50)
    out = stage.play(2048)
    assert not out[:, GATE].any()


def test_resumed_gates_start_at_zero_and_pitches_where_they_were() -> None:
    stage = Stage(PATCH)
    stage.note("midi_notes", NoteKind.ON, key=72)
    stage.play(512)
    stage.resume(stage.engine.state, gap=5000)
    out = stage.play(512)
    assert not out[:, GATE].any()
    np.testing.assert_allclose(volts(out, PITCH), 1.0)
    stage.note("midi_notes", NoteKind.OFF, key=72)
    stage.note("midi_notes", NoteKind.ON, key=60)
    assert volts(stage.play(512), GATE)[-1] == pytest.approx(5.0)


def test_block_that_fails_holds_the_pitch_and_has_no_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(PATCH)
    stage.note("midi_notes", NoteKind.ON, key=72, voice=0)
    stage.note("answers.duo", NoteKind.ON, key=66, voice=1)
    before = stage.play(256)
    callback = Callback(stage.shared, stage.engine, None)

    def fail(t: int) -> None:
        raise ValueError(t)

    monkeypatch.setattr(stage.engine, "forward", fail)
    dry, out = np.full((128, 1), 0.25, np.float32), np.ones_like(before[:128])
    callback(dry, out, 128, SimpleNamespace(inputBufferAdcTime=0.0), 0)
    assert callback.errors == 1
    for channel in (PITCH, PITCH2):
        np.testing.assert_allclose(out[:, channel], before[-1, channel], atol=1e-6)
    assert not out[:, [GATE, GATE2]].any()
    np.testing.assert_array_equal(out[:, :2], 0.25)


def test_block_that_fails_has_its_gates_at_0_volts_where_that_is_not_0_of_the_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An output of 0 to 10 V: -1 of full scale is 0 V."""
    gate = replace(PATCH.cv["gate"], volts_full_scale=5.0, offset_volts=-5.0)
    stage = Stage(replace(PATCH, cv={**PATCH.cv, "gate": gate}))
    stage.note("midi_notes", NoteKind.ON, key=72, voice=0)
    assert stage.play(256)[-1, GATE] == 0.0  # 5 V
    callback = Callback(stage.shared, stage.engine, None)
    monkeypatch.setattr(stage.engine, "forward", None)
    out = np.zeros((128, stage.engine.channels.channels_out), np.float32)
    callback(np.zeros((128, 1), np.float32), out, 128, SimpleNamespace(inputBufferAdcTime=0.0), 0)
    assert callback.errors == 1
    assert (out[:, GATE] == -1.0).all()


def test_panic_lowers_every_gate() -> None:
    stage = Stage(PATCH)
    stage.note("midi_notes", NoteKind.ON, key=72, voice=0)
    stage.note("answers.duo", NoteKind.ON, key=50, voice=1)
    assert np.abs(stage.play(256)[-1, [GATE, GATE2]]).min() > 0.1
    stage.safe(SafeKind.PANIC)
    assert not stage.play(2400)[100:, [GATE, GATE2]].any()


def test_released_voice_lowers_its_gate_only() -> None:
    stage = Stage(PATCH)
    stage.note("midi_notes", NoteKind.ON, key=72, voice=0)
    stage.note("answers.duo", NoteKind.ON, key=50, voice=1)
    stage.play(256)
    stage.command(CommandKind.VOICE_OFF, slot=1)
    out = stage.play(256)
    assert not out[-1, GATE2]
    assert volts(out, GATE)[-1] == pytest.approx(5.0)
