"""Risk: Notochord's answers do not come, differ between runs, or are not what the patch asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.layout import NOTE, NoteKind
from models.notochord.adapter import NotochordPlayer
from models.notochord.hearing import Hearing
from models.notochord.steering import KeyFinder

RATE = 48000
BEAT = RATE // 2
A_MINOR = (57, 60, 64, 69, 67, 64, 65, 62, 60, 59, 60, 57)


def notes(*rows: tuple[int, NoteKind, int, int]) -> np.ndarray:
    """Records from (frame, kind, key, velocity)."""
    made = np.zeros(len(rows), NOTE)
    for note, (frame, kind, key, velocity) in zip(made, rows, strict=True):
        note["frame"], note["kind"], note["key"], note["velocity"] = frame, kind, key, velocity
    return made


def phrase(start: int = 0, length: int = BEAT) -> np.ndarray:
    rows = []
    for k, key in enumerate(A_MINOR):
        rows.append((start + k * length, NoteKind.ON, key, 80))
        rows.append((start + k * length + length * 9 // 10, NoteKind.OFF, key, 0))
    return notes(*rows)


def player(**config: Any) -> NotochordPlayer:
    made = NotochordPlayer()
    made.load(None, RATE, config)
    return made


def play(who: NotochordPlayer, heard: np.ndarray, seconds: float, block: int = 480) -> np.ndarray:
    """Step through `seconds`, feeding each record in the block of its frame."""
    out = [np.zeros(0, NOTE)]
    for t in range(0, round(seconds * RATE), block):
        now = heard[(heard["frame"] >= t) & (heard["frame"] < t + block)]
        who.feed(now)
        out.append(who.step(t, block))
    return np.concatenate(out)


def ons(played: np.ndarray) -> np.ndarray:
    return played[played["kind"] == NoteKind.ON]


def test_hands_make_it_play_more_or_less_and_higher() -> None:
    def played(*controls: float) -> np.ndarray:
        who = player(seed=1, register=(55, 74))
        who.steer(np.array([*controls, *[0.0] * (16 - len(controls))], np.float32))
        return ons(play(who, phrase(), 8.0))

    assert len(played(1.0)) > len(played(-1.0))
    keys = played(0.0, 0.0, 0.0, 1.0)["key"]
    assert len(keys)
    assert keys.min() >= 67  # an octave up
    assert np.array_equal(played(), played(0.0))
    assert np.array_equal(played(), played(float("nan")))


@pytest.mark.parametrize("answer", ["together", "call_response"])
def test_a_phrase_is_answered_within_two_seconds_of_its_end(answer: str) -> None:
    played = ons(play(player(answer=answer, seed=1), phrase(), 8.0))
    end = 12 * BEAT
    assert np.any((played["frame"] >= end) & (played["frame"] < end + 2 * RATE))


def test_the_same_seed_gives_the_same_notes_whoever_else_draws_numbers() -> None:
    first = play(player(seed=7), phrase(), 8.0)
    torch.manual_seed(123)
    other = player(seed=7)
    torch.rand(5)
    again = play(other, phrase(), 8.0)
    assert len(first) > 4
    assert np.array_equal(first, again)
    assert not np.array_equal(first, play(player(seed=8), phrase(), 8.0))


def test_using_the_player_leaves_the_global_generator_alone() -> None:
    who = player(seed=2)
    torch.manual_seed(9)
    wanted = torch.rand(3)
    torch.manual_seed(9)
    assert len(play(who, phrase(), 6.0))
    assert torch.equal(torch.rand(3), wanted)


@pytest.mark.parametrize("block", [128, 131, 2048])
def test_answers_do_not_depend_on_how_often_step_is_called(block: int) -> None:
    heard = phrase()
    wanted = play(player(seed=4), heard, 8.0, 480)
    got = play(player(seed=4), heard, 8.0, block)
    early = min(wanted["frame"].max(), got["frame"].max())
    assert np.array_equal(wanted[wanted["frame"] < early], got[got["frame"] < early])
    assert len(wanted) > 4


def test_nobody_playing_means_no_answer_and_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    who = player()

    def worked(*_: object, **__: object) -> None:
        raise AssertionError("asked the model for nothing")

    monkeypatch.setattr(who, "_sample", worked)
    assert len(play(who, notes(), 5.0)) == 0


@pytest.mark.parametrize("answer", ["together", "call_response"])
def test_it_rests_after_lingering_and_lets_go_of_everything(answer: str) -> None:
    who = player(answer=answer, linger_s=2.0, seed=3, density=0.8)
    played = play(who, phrase(), 14.0)
    end = 12 * BEAT
    assert ons(played)["frame"].max() < end + 2 * RATE
    assert played["frame"].max() <= end + round(3.1 * RATE)
    assert len(ons(played)) * 2 == len(played)
    assert len(who.release(14 * RATE)) == 0


def test_a_call_is_not_interrupted_and_an_answer_yields() -> None:
    who = player(answer="call_response", pause_s=0.6, linger_s=5.0, seed=1, max_note_s=4.0)
    again = round(8.5 * RATE)
    heard = np.concatenate([phrase(), phrase(again)])
    played = play(who, heard, 14.0)
    starts = ons(played)["frame"]
    struck = ons(heard)["frame"]
    assert len(starts) > 2
    for frame in starts:
        assert frame - struck[struck <= frame].max() >= round(0.6 * RATE) - 1
    calling = played[(played["frame"] > again + RATE // 3) & (played["frame"] < again + 6 * RATE)]
    assert not len(calling), "still sounding while the performer plays on"


def test_register_scale_and_leap_are_kept() -> None:
    config = {"key": "D", "scale": "pentatonic", "register": [62, 81], "leap": 7}
    played = ons(play(player(**config, seed=5, density=0.9), phrase(), 10.0))
    assert len(played) > 3
    assert set(played["key"] % 12) <= {2, 4, 6, 9, 11}
    assert played["key"].min() >= 62
    assert played["key"].max() <= 81


def test_automatic_key_follows_what_is_heard() -> None:
    finder = KeyFinder()
    assert len(finder.classes()) == 12
    for key in (66, 68, 70, 71, 73, 75, 77, 78, 73, 70, 66, 78):  # F# major
        finder.hear(key)
    assert finder.classes() == {6, 8, 10, 11, 1, 3, 5}


def test_density_changes_how_much_is_played() -> None:
    def count(density: float) -> int:
        return sum(len(ons(play(player(density=density, seed=s), phrase(), 8.0))) for s in range(3))

    assert count(1.0) > count(0.0)


def test_the_model_hears_true_times_and_what_was_played(monkeypatch: pytest.MonkeyPatch) -> None:
    who = player(seed=1)
    fed: list[tuple[int, int, float, float]] = []
    original = who._model.feed

    def spy(inst: int, pitch: int, time: float, vel: float) -> None:
        fed.append((inst, pitch, time, vel))
        original(inst, pitch, time, vel)

    monkeypatch.setattr(who._model, "feed", spy)
    heard = phrase()
    played = play(who, heard, 8.0)
    everything = np.concatenate([heard, played])
    order = np.argsort(everything["frame"], kind="stable")
    frames = everything["frame"][order]
    assert [round(t * RATE) for _, _, t, _ in fed] == [0, *np.diff(frames)]
    answers = [(p, v) for i, p, _, v in fed if i == 12]
    assert answers == [(int(n["key"]), float(n["velocity"])) for n in played]


def test_a_soft_velocity_is_never_rounded_to_an_off() -> None:
    hearing = Hearing()
    for _ in range(100):
        hearing.hear(notes((0, NoteKind.ON, 60, 1))[0])
    assert hearing.blend(1) == 1
    assert 1 <= hearing.blend(127) <= 127


def test_the_pedal_holds_and_a_key_struck_again_is_let_go_first() -> None:
    hearing = Hearing()
    pedal = np.zeros(1, NOTE)[0]
    pedal["kind"], pedal["key"], pedal["value"] = NoteKind.CC, 64, 127
    assert hearing.hear(pedal) == []
    assert hearing.hear(notes((10, NoteKind.ON, 60, 80))[0]) == [(60, 80)]
    assert hearing.hear(notes((20, NoteKind.OFF, 60, 0))[0]) == []
    assert hearing.hear(notes((30, NoteKind.ON, 60, 70))[0]) == [(60, 0), (60, 70)]
    assert hearing.hear(notes((40, NoteKind.ON, 60, 0))[0]) == []
    pedal["value"] = 0
    assert hearing.hear(pedal) == [(60, 0)]
    assert hearing.sounding() == set()


def test_two_hands_on_one_key_make_one_off() -> None:
    hearing = Hearing()
    left, right = notes((0, NoteKind.ON, 60, 80), (5, NoteKind.ON, 60, 80))
    right["channel"] = 1
    assert hearing.hear(left) == [(60, 80)]
    assert hearing.hear(right) == [(60, 0), (60, 80)]
    left["kind"] = right["kind"] = NoteKind.OFF
    assert hearing.hear(left) == []
    assert hearing.hear(right) == [(60, 0)]


def test_after_release_it_waits_for_the_next_note_and_knows_what_is_held() -> None:
    who = player(seed=1)
    who.feed(notes((0, NoteKind.ON, 60, 80)))
    who.step(0, RATE)
    who.release(RATE)
    assert who._model.held_notes.keys() == {(1, 60)}
    assert all(len(who.step(t, 480)) == 0 for t in range(RATE, 4 * RATE, 480))
    who.feed(notes((4 * RATE, NoteKind.ON, 64, 80)))
    assert any(len(who.step(t, 480)) for t in range(4 * RATE, 9 * RATE, 480))
