"""Risk: tokens that are not Orpheus's, or notes that move when they are retimed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.stem import StemNote
from models.orpheus import tokens as tk

EVENTS = st.builds(
    tk.Event,
    onset=st.integers(0, 2000),
    patch=st.sampled_from([0, 33, 73, 127, tk.DRUMS]),
    pitch=st.integers(0, 127),
    duration=st.integers(1, 255),
    octave=st.integers(0, 7),
)


def test_ranges_are_the_published_ones() -> None:
    assert tk.pitch_token(0, 0) == 256
    assert tk.pitch_token(tk.DRUMS, 127) == 16767
    assert tk.durvel_token(1, 0) == 16776
    assert tk.durvel_token(255, 7) == 18815
    assert (tk.SOS, tk.OUTRO, tk.EOS, tk.PAD, tk.VOCABULARY) == (18816, 18817, 18818, 18819, 18820)
    assert pytest.approx(60 / tk.BPM) == tk.UNITS_PER_BEAT * tk.UNIT_SECONDS


@given(st.lists(EVENTS, max_size=60))
def test_events_survive_the_round_trip(events: list[tk.Event]) -> None:
    distinct = {(e.onset, e.patch, e.pitch): e for e in reversed(events)}
    spaced = [e._replace(onset=e.onset // 16) for e in distinct.values()]  # gaps under 256
    distinct = {(e.onset, e.patch, e.pitch): e for e in reversed(spaced)}
    encoded = tk.encode(distinct.values())
    assert sorted(tk.decode(encoded)) == sorted(distinct.values())
    assert tk.encode(tk.decode(encoded)) == encoded


@given(st.lists(EVENTS, min_size=1, max_size=60))
def test_encoded_tokens_follow_the_grammar_with_drums_last(events: list[tk.Event]) -> None:
    encoded = tk.encode(events)
    kinds = [tk.kind_of(t) for t in encoded]
    assert kinds[0] is tk.Kind.DELTA
    assert all(b in tk.NEXT[a] for a, b in pairwise(kinds))
    drum = False
    for token, kind in zip(encoded, kinds, strict=True):
        if kind is tk.Kind.DELTA:
            drum = False
        elif kind is tk.Kind.PITCH:
            is_drum = (token - tk.PITCH) // 128 == tk.DRUMS
            assert is_drum or not drum
            drum = is_drum


@given(st.lists(st.integers(-5, 18825), max_size=12))
@settings(max_examples=300)
def test_any_tokens_decode_or_raise(tokens: list[int]) -> None:
    try:
        events = tk.decode(tokens)
    except tk.GrammarError:
        return
    assert all(e.onset >= 0 and 1 <= e.duration <= 255 for e in events)


@pytest.mark.parametrize(
    "tokens",
    [
        [300],  # a pitch without its time
        [0, 16800],  # a duration without its pitch
        [0, 300],  # an unfinished note
        [0, 0],
        [0, 300, 300],
        [0, 300, 16770],  # duration 0
        [18820],
    ],
)
def test_broken_grammar_is_named(tokens: list[int]) -> None:
    with pytest.raises(tk.GrammarError):
        tk.decode(tokens)


@given(
    st.integers(0, 63), st.integers(1, 28), st.integers(0, 127), st.integers(8, 127), st.booleans()
)
def test_sixteenths_retime_exactly(
    start: int, length: int, key: int, velocity: int, drums: bool
) -> None:
    note = StemNote(start / 4, length / 4, key, velocity, 0, drums)
    (back,) = tk.to_notes(tk.from_notes([note], 33), 16.0, 0)
    assert back.start == note.start
    assert back.duration == min(note.duration, 16.0 - note.start)
    assert (back.key, back.drums) == (key, drums)
    assert abs(back.velocity - velocity) <= 8


def test_notes_are_clipped_at_the_boundary() -> None:
    events = [tk.Event(120, 0, 60, 255, 5), tk.Event(128, 0, 62, 8, 5)]
    (note,) = tk.to_notes(events, 4.0, 7)
    assert (note.start, note.duration, note.program) == (3.75, 0.25, 7)
