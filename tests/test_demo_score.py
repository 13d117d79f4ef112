"""Risk: the demo's piece hangs a note, clips an input, leaves no room, or differs from itself."""

from itertools import pairwise

import numpy as np
import pytest

from engine import demo_score as score
from engine.layout import NOTE, NoteKind
from engine.patch import Patch
from engine.soundfont import find_soundfont

RATE = 48_000


@pytest.mark.parametrize("parts", [score.TROMBONE, score.KEYS])
def test_every_bar_of_a_part_is_full_and_the_piece_has_48(parts: tuple[str, ...]) -> None:
    bars = score.bars_of(parts)
    assert len(bars) == score.BARS
    for number, bar in enumerate(bars):
        beats = sum(float(word.rpartition(":")[2]) for word in bar.split())
        assert beats == pytest.approx(4.0), f"bar {number}: {bar}"


@pytest.mark.parametrize("key", range(12))
def test_notes_lie_in_the_instruments_and_the_minor_scale(key: int) -> None:
    minor = {(key + step) % 12 for step in (0, 2, 3, 5, 7, 8, 10, 11)}
    for notes, low, high in (
        (score.trombone_notes(key), 36, 76),
        (score.keyboard_notes(key), 24, 90),
    ):
        assert all(low <= n.key <= high and 1 <= n.velocity <= 127 for n in notes)
        assert {n.key % 12 for n in notes} <= minor
        assert max(n.start + n.duration for n in notes) <= score.BEATS


def test_the_keys_leave_room_for_answers_and_the_trombone_plays_one_note_at_a_time() -> None:
    sounding = np.zeros(int(score.BEATS), bool)
    for n in score.keyboard_notes():
        sounding[int(n.start) : int(np.ceil(n.start + n.duration))] = True
    holes = np.split(np.arange(len(sounding)), np.flatnonzero(np.diff(sounding)) + 1)
    long = [h[0] for h in holes if not sounding[h[0]] and len(h) >= 2 and h[0] < 190]
    assert len(long) >= 5
    line = sorted(score.trombone_notes())
    assert line[0].start == 32.0
    assert all(a.start + a.duration <= b.start + 1e-9 for a, b in pairwise(line))


@pytest.mark.parametrize("bpm", [60.0, 96.0, 123.4])
def test_every_key_that_goes_down_comes_up_before_it_goes_down_again(bpm: float) -> None:
    notes = score.keys_notes(bpm, RATE, voice=3)
    assert notes.dtype == NOTE
    assert np.all(np.diff(notes["frame"]) >= 0)
    assert set(notes["voice"]) == {3}
    down: dict[int, int] = {}
    for n in notes:
        if n["kind"] == NoteKind.ON:
            assert int(n["key"]) not in down
            down[int(n["key"])] = int(n["id"])
        else:
            assert down.pop(int(n["key"])) == int(n["id"])
    assert not down
    assert notes["frame"].max() <= round(score.BEATS * 60 / bpm * RATE)


def test_two_roles_play_for_at_least_half_of_the_piece() -> None:
    cues = score.scenes()
    assert all(c.asked < c.beat and c.beat % 16 == 0 for c in cues)
    playing: set[str] = set()
    two = 0
    for beat in range(int(score.BEATS)):
        for cue in (c for c in cues if c.beat == beat):
            playing = playing | {cue.role} if cue.action == "enter" else playing - {cue.role}
        two += len(playing) >= 2
    assert two >= 0.6 * score.BEATS
    assert cues[-1].action == "end"
    assert cues[-1].beat == score.BEATS


def test_the_trombone_is_dry_quiet_enough_and_the_same_every_time() -> None:
    soundfont = find_soundfont(Patch())
    if soundfont is None:
        pytest.skip("no General MIDI SoundFont on this system")
    audio = score.trombone_audio(soundfont, 120.0, 24_000, beats=56.0)
    assert audio.dtype == np.float32
    assert audio.shape == (28 * 24_000,)
    assert not audio[: 16 * 24_000].any()  # enters at bar 8
    assert np.abs(audio).max() <= 10 ** (-6 / 20)
    played = audio[16 * 24_000 + 2_400 :]
    assert np.sqrt(np.mean(played**2)) > 0.03
    assert np.array_equal(audio, score.trombone_audio(soundfont, 120.0, 24_000, beats=56.0))


@pytest.mark.parametrize("bpm", [0.0, float("nan"), 10_000.0])
def test_a_tempo_that_is_none_is_refused(bpm: float) -> None:
    with pytest.raises(ValueError, match="tempo is"):
        score.keys_notes(bpm, RATE)
