"""Risk: a judge that hears faults in clean music, or clean music in faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.gig.judge import (
    KEYS,
    Finding,
    find_ai_between,
    find_all,
    find_clicks,
    find_dry_gaps,
    find_level_jumps,
    find_main_clicks,
    find_silences,
    find_stuck_notes,
    find_wrong_bars,
    judge,
)
from engine.gig.judge_cv import CV_KEYS
from engine.gig.judge_hands import HAND_KEYS
from engine.gig.judge_songs import SONG_KEYS
from engine.gig.judge_stems import STEM_KEYS
from engine.gig.night import DryPath, Loops, Night, Song

RATE = 48_000
BEAT = RATE // 2  # 120 BPM
SECONDS = 46
CLEAN: dict[str, object] = {**dict.fromkeys(KEYS, 0), "skipped": []}


def note(hz: float, frames: int, decay: float, attack: float = 0.002) -> np.ndarray:
    """A decaying tone that begins and ends at zero."""
    t = np.arange(frames) / RATE
    shape = np.minimum(t / attack, 1.0) * np.exp(-t / decay)
    fade = np.minimum((frames - np.arange(frames)) / (0.02 * RATE), 1.0)
    return np.sin(2 * np.pi * hz * t) * shape * fade


def drum(seed: int, frames: int = 6000) -> np.ndarray:
    """A burst of noise that begins at once, like a snare."""
    noise = np.random.default_rng(seed).standard_normal(frames)
    fade = np.minimum((frames - np.arange(frames)) / 480, 1.0)
    return 0.2 * noise * np.exp(-np.arange(frames) / (0.03 * RATE)) * fade


def put(bus: np.ndarray, at: int, sound: np.ndarray) -> None:
    bus[at : at + len(sound)] += sound[: len(bus) - at]


def songs() -> list[Song]:
    first = Song("one", 2 * RATE, 18 * RATE, 2 * RATE + BEAT * np.arange(33), tail=RATE)
    # the second's drummer drifts
    beats = 24 * RATE + np.cumsum(np.round(BEAT * (1 + 0.002 * np.arange(33)))).astype(np.int64)
    second = Song("two", int(beats[0]), int(beats[-1]), beats, tail=RATE)
    return [first, second]


def clean_night() -> Night:
    """Two songs: a drummer and a bass line live, a stem that enters at bar 2, answers, applause."""
    frames = SECONDS * RATE
    drums, keys, stem, answers = (np.zeros(frames) for _ in range(4))
    played: list[int] = []
    for song in songs():
        for k, beat in enumerate(song.beats[:-1]):
            put(drums, int(beat), drum(k))
            put(keys, int(beat), 0.3 * note(110.0 * (1 + k % 3), 20_000, 0.3))
            if k >= 8:
                put(stem, int(beat), 0.2 * note(220.0 + 55 * (k % 4), 20_000, 0.2))
            if k % 4 == 1:
                put(answers, int(beat) + 6000, 0.2 * note(880.0, 40_000, 0.4))
                played += [int(beat), int(beat) + 5000]
    applause = np.random.default_rng(5).standard_normal(5 * RATE) * 0.02
    put(drums, 18 * RATE, applause)
    dry = {
        name: DryPath(x.astype(np.float32), x.astype(np.float32))
        for name, x in (("drums", drums), ("keys", keys))
    }
    stem2, answers2 = (np.stack([x, x], axis=1).astype(np.float32) for x in (stem, answers))
    main = stem2 + answers2 + (drums + keys)[:, None].astype(np.float32)
    return Night(
        rate=RATE,
        start=1000,
        songs=songs(),
        main=main,
        dry=dry,
        stems={"stem": stem2},
        answers={"answer": answers2},
        notes={"answer": np.array(played)},
    )


NIGHT = clean_night()


def copy_of(night: Night) -> Night:
    """The same night, its buses free to be spoilt."""
    return replace(
        night,
        main=night.main.copy(),
        stems={k: v.copy() for k, v in night.stems.items()},
        answers={k: v.copy() for k, v in night.answers.items()},
        dry={k: replace(v, heard=v.heard.copy()) for k, v in night.dry.items()},
        notes=dict(night.notes),
    )


def count(night: Night, key: str) -> int:
    """What judge() gives under a key, hearing the night for that alone."""
    finders: dict[str, Callable[[], list[Finding]]] = {
        "dry_gap_frames": lambda: [
            f for name, path in night.dry.items() for f in find_dry_gaps(path, name, night)
        ],
        "wrong_bar_entries": lambda: find_wrong_bars(night.stems["stem"], "stem", night),
        "silences_over_a_bar": lambda: find_silences(night),
        "level_jumps_over_6db": lambda: find_level_jumps(night),
        "ai_sound_between_songs": lambda: find_ai_between(night),
        "stuck_notes": lambda: find_stuck_notes(night.answers["answer"], "answer", night),
    }
    found = finders[key]()
    assert all(f.kind == key for f in found)
    return sum(f.frames for f in found) if key == "dry_gap_frames" else len(found)


def test_every_kind_of_fault_reaches_the_verdict() -> None:
    night = copy_of(NIGHT)
    end = songs()[0].last
    night.dry["keys"].heard[10 * RATE : 10 * RATE + 20_000] = 0.0
    night.main[11 * RATE + 12_345 :] += np.float32(0.05)
    night.main[13 * RATE : 16 * RATE] = 0.0
    night.stems["stem"] = np.roll(night.stems["stem"], BEAT, axis=0)
    night.answers["answer"][end:] = 0.01
    night.notes["answer"] = night.notes["answer"][:2]
    night.main[19 * RATE : 21 * RATE] *= 0.2
    verdict = judge(night)
    theirs = [*SONG_KEYS, *HAND_KEYS, *STEM_KEYS, *CV_KEYS]  # in other files
    assert [key for key in KEYS if verdict[key] == 0] == theirs


def test_a_clean_night_has_nothing_against_it() -> None:
    assert find_all(NIGHT) == []
    assert judge(replace(NIGHT, skipped=["songs"])) == {**CLEAN, "skipped": ["songs"]}


def test_dry_gap_is_counted_frame_by_frame_while_the_input_sounds() -> None:
    night = copy_of(NIGHT)
    at = 10 * RATE + 200
    night.dry["drums"].heard[at : at + 256] = 0.0
    assert count(night, "dry_gap_frames") in range(250, 257)  # some frames are near zero anyway
    night.dry["drums"].heard[:100] = 0.5  # the input is silent here
    assert count(night, "dry_gap_frames") in range(250, 257)
    night.excused = [(at, at + 256)]  # the native client missed them too
    assert count(night, "dry_gap_frames") == 0


def test_dry_path_shifted_by_one_frame_is_not_the_input() -> None:
    night = copy_of(NIGHT)
    path = night.dry["keys"]
    night.dry["keys"] = replace(path, heard=np.roll(path.heard, 1))
    assert count(night, "dry_gap_frames") > 100_000
    night.dry["keys"] = replace(night.dry["keys"], delay=1)
    assert count(night, "dry_gap_frames") == 0


@settings(max_examples=10, deadline=None)
@given(st.integers(3 * RATE, 17 * RATE), st.sampled_from([-1.0, 1.0]))
def test_a_planted_step_is_one_click_at_its_place(at: int, sign: float) -> None:
    keys = NIGHT.dry["keys"].heard[: 20 * RATE].copy()
    keys[at:] += np.float32(sign * 0.05)
    night = Night(RATE, 0, [songs()[0]], keys)
    found = find_clicks(keys, "keys", night)
    assert len(found) == 1
    assert abs(found[0].frame - at) <= 2


@pytest.mark.parametrize("frames", [1, 32, 128, 1024])
def test_a_dropout_in_one_channel_of_a_tone_is_a_click(frames: int) -> None:
    tone = (0.3 * np.sin(2 * np.pi * 440.0 * np.arange(4 * RATE) / RATE)).astype(np.float32)
    bus = np.stack([tone, tone], axis=1)
    at = 2 * RATE + 27  # near a crest
    bus[at : at + frames, 1] = 0.0
    night = Night(RATE, 0, [], bus)
    found = find_clicks(bus, "main", night)
    assert found
    assert min(abs(f.frame - at) for f in found) <= 2
    assert find_clicks(bus[:, 0], "main", night) == []


def test_a_step_across_the_seam_of_two_chunks_is_found_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.gig.judge.CHUNK", 10_000)
    keys = NIGHT.dry["keys"].heard[: 4 * RATE].copy()
    keys[120_000:] += np.float32(0.1)
    night = Night(RATE, 0, [], keys)
    assert len(find_clicks(keys, "keys", night)) == 1
    assert find_clicks(NIGHT.dry["drums"].heard[: 4 * RATE], "drums", night) == []


def test_a_step_the_player_made_is_the_players() -> None:
    night = copy_of(NIGHT)
    at = 5 * RATE + 12_345  # between two drums, which would hide it
    night.main[at:] += np.float32(0.05)
    assert len(find_main_clicks(night)) == 1
    played = night.dry["keys"].played.copy()
    played[at:] += np.float32(0.05)
    night.dry["keys"] = replace(night.dry["keys"], played=played)
    assert find_main_clicks(night) == []


@pytest.mark.parametrize(("late", "wrong"), [(0, 0), (0.06, 0), (0.09, 2), (0.5, 2), (-0.25, 2)])
def test_entry_off_the_bar_is_wrong_and_the_drummers_drift_is_not(late: float, wrong: int) -> None:
    night = copy_of(NIGHT)
    night.stems["stem"] = np.roll(NIGHT.stems["stem"], round(late * RATE), axis=0)
    assert count(night, "wrong_bar_entries") == wrong


def test_rests_inside_a_stem_are_no_entries() -> None:
    night = copy_of(NIGHT)
    beats = songs()[0].beats
    night.stems["stem"][beats[12] : beats[15]] = 0.0  # three beats of rest, back on beat four
    assert count(night, "wrong_bar_entries") == 0


def test_a_bar_of_rest_inside_a_stem_is_no_entry_and_before_its_line_it_is() -> None:
    night = copy_of(NIGHT)
    beats = songs()[0].beats
    night.stems["stem"][beats[12] : beats[17]] = 0.0  # it goes on at the second beat of a bar
    assert count(night, "wrong_bar_entries") == 1
    lines = (int(beats[8]),)
    night.loops = [Loops("stem", "one", 8, lines, int(beats[32]))]
    assert count(night, "wrong_bar_entries") == 0
    night.loops = [Loops("stem", "one", 8, (*lines, int(beats[16])), int(beats[32]))]
    assert count(night, "wrong_bar_entries") == 1


def test_silence_longer_than_a_bar_counts_once_and_shorter_not() -> None:
    night = copy_of(NIGHT)
    beats = songs()[0].beats
    night.main[beats[8] : beats[11]] = 0.0
    assert count(night, "silences_over_a_bar") == 0
    night.main[beats[8] : beats[13]] = 0.0
    assert count(night, "silences_over_a_bar") == 1


def test_gain_that_jumps_is_a_level_jump_and_a_part_that_leaves_is_not() -> None:
    night = copy_of(NIGHT)
    path = night.dry["drums"]
    path.heard[19 * RATE : 22 * RATE] *= 0.25  # -12 dB down in the applause, and up again
    assert count(night, "level_jumps_over_6db") == 2
    louder = copy_of(NIGHT)
    louder.main[20 * RATE : 22 * RATE] *= 1.9  # +5.6 dB
    assert count(louder, "level_jumps_over_6db") == 0
    louder.main[20 * RATE : 22 * RATE] *= 1.9
    assert count(louder, "level_jumps_over_6db") == 2
    without = copy_of(NIGHT)
    without.main[: songs()[0].last] -= NIGHT.stems["stem"][: songs()[0].last]
    without.stems["stem"][: songs()[0].last] = 0.0
    assert count(without, "level_jumps_over_6db") == 0


def test_generated_sound_in_the_applause_counts_once_a_stretch_and_tails_may_ring() -> None:
    night = copy_of(NIGHT)
    end = songs()[0].last
    tone = 0.1 * note(300.0, RATE // 2, 10.0).astype(np.float32)
    put(night.stems["stem"], end + 1000, tone[:, None].repeat(2, axis=1))
    assert count(night, "ai_sound_between_songs") == 0
    put(night.stems["stem"], end + 2 * RATE, tone[:, None].repeat(2, axis=1))
    put(night.stems["stem"], end + 3 * RATE, tone[:, None].repeat(2, axis=1))
    assert count(night, "ai_sound_between_songs") == 1


def test_a_note_that_hangs_after_the_last_is_stuck() -> None:
    night = copy_of(NIGHT)
    last = int(night.notes["answer"][-1])
    assert last + 3 * RATE < night.frames
    night.notes["answer"] = night.notes["answer"][night.notes["answer"] < 20 * RATE]
    hang = int(night.notes["answer"][-1])
    night.answers["answer"][hang:] = 0.0
    assert count(night, "stuck_notes") == 0
    drone = 0.1 * np.sin(2 * np.pi * 200.0 * np.arange(night.frames - hang) / RATE)
    night.answers["answer"][hang : hang + 7 * RATE] += drone[: 7 * RATE, None].astype(np.float32)
    assert count(night, "stuck_notes") == 0
    night.answers["answer"][hang:] = drone[:, None].astype(np.float32)
    assert count(night, "stuck_notes") == 1


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="keys heard has 10 frames"):
        replace(NIGHT, dry={"keys": DryPath(NIGHT.dry["keys"].played, np.zeros(10, np.float32))})
    with pytest.raises(ValueError, match="two bar lines"):
        replace(NIGHT, songs=[replace(songs()[0], beats=songs()[0].beats[:4])])
