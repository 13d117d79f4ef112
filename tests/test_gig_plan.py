"""Risk: the gig's own truth is wrong, so the judge holds the wrong thing against segue."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.gig.band import applause, drum_events, drum_hits, trombone_events
from engine.gig.hands import CALLS, PADS, call
from engine.gig.hearing import measure_delay
from engine.gig.players import PATCH
from engine.gig.song import APPLAUSE, PHRASE_BARS, Do, evening
from engine.patch_load import load_patch
from engine.song import songs_of

RATE = 48000
few = settings(deadline=None, max_examples=20)


@few
@given(st.floats(1.0, 15.0))
def test_songs_follow_each_other_with_applause_between(minutes: float) -> None:
    plan = evening(minutes, RATE)
    assert plan.frames >= minutes * 60 * RATE - 1
    for song in plan.songs:
        assert song.frames[0] >= 0
        assert song.end < plan.frames
    for before, after in zip(plan.songs, plan.songs[1:], strict=False):
        applause_s = (after.frames[0] - before.end) / RATE
        assert APPLAUSE[1] - 0.001 < applause_s < APPLAUSE[2] + 0.001


@few
@given(st.floats(1.0, 15.0))
def test_the_drummer_drifts_but_never_jumps(minutes: float) -> None:
    for song in evening(minutes, RATE).songs:
        bpm = 60.0 * RATE / np.diff(song.frames)
        assert 0.01 < np.abs(bpm / song.plan.bpm - 1.0).max() <= 0.021
        assert np.abs(np.diff(bpm) / song.plan.bpm).max() < 0.003


@few
@given(st.floats(1.0, 15.0))
def test_hands_act_inside_their_song_and_take_the_machine_out(minutes: float) -> None:
    for song in evening(minutes, RATE).songs:
        cues = song.plan.cues
        assert [c.bar for c in cues] == sorted(c.bar for c in cues)
        assert cues[0].bar >= -1.0
        assert cues[-1].bar < song.plan.bars + 0.2
        counted = song.plan.count_in  # who is counted in need not say where the one is
        assert [c.do for c in cues].count(Do.LET_IN) == (0 if counted else 1)
        assert cues[-1].do is Do.END
        assert [c.do for c in cues].count(Do.DRY) % 2 == 0
        one = next((c.bar for c in cues if c.do is Do.ONE), 0.0)
        assert counted or one in [c.bar for c in cues]
        assert (song.plan.bars - one) % PHRASE_BARS == 0  # so that stems stop with the song
        roles = load_patch(PATCH).roles
        assert {c.what for c in cues if c.what} <= set(roles)
        assert all(c.do in (*PADS, Do.QUEUE, Do.FILL, Do.PAGE, Do.STOP, Do.KILL) for c in cues)


def test_the_second_song_has_the_wrong_tempo_and_the_others_do_not() -> None:
    written = songs_of(load_patch(PATCH))
    off = [
        abs(song.bpm / meant.plan.bpm - 1.0)
        for song, meant in zip(written, evening(3.0, RATE).songs, strict=True)
    ]
    assert [bool(s.count_in) for s in written] == [
        s.plan.count_in for s in evening(3.0, RATE).songs
    ]
    assert off[0] < 0.01
    assert 0.1 < off[1] < 0.14
    assert off[2] < 0.01


def test_hits_are_played_where_the_truth_says() -> None:
    song = evening(3.0, RATE).songs[0]
    struck = [e for e in drum_events(song, RATE, np.random.default_rng(1)) if e[1]]
    wanted = sorted(song.at_beat(beat) for beat, _, _ in drum_hits(song.plan.bars))
    assert len(struck) == len(wanted)
    assert np.abs(np.sort([e[0] for e in struck]) - wanted).max() < 0.02 * RATE


def test_the_trombone_releases_every_note_before_the_end() -> None:
    for song in evening(3.0, RATE).songs:
        events = trombone_events(song)
        assert bool(events) == (song.plan.trombone is not None)
        assert sum(e[1] for e in events) * 2 == len(events)
        assert all(frame <= song.end for frame, *_ in events)


@pytest.mark.parametrize("number", range(len(CALLS) * 2))
def test_every_key_played_is_released(number: int) -> None:
    held: set[int] = set()
    for _, key, velocity in call(number):
        assert (key in held) == (velocity == 0)
        held ^= {key}
    assert not held


def test_applause_swells_and_dies_away() -> None:
    claps = applause(8 * RATE, RATE, np.random.default_rng(2))
    loud = np.abs(claps[3 * RATE : 4 * RATE]).max()
    assert 0.05 < loud < 1.0
    assert np.abs(claps[:480]).max() < 0.1 * loud
    assert np.abs(claps[-480:]).max() < 0.01 * loud


@few
@given(st.integers(0, 2000))
def test_the_delay_of_the_dry_path_is_found(delay: int) -> None:
    played = np.random.default_rng(3).standard_normal(2 * RATE).astype(np.float32)
    heard = np.concatenate([np.zeros(delay, np.float32), played])
    assert measure_delay(played, heard, 0, RATE) == delay
