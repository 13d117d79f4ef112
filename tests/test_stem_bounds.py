"""Risk: a stem leaves its bars, its key or its instrument, or is not the same twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.adapter import AdapterError
from engine.stem import StemNote, StemRequest
from models.rules.adapter import PARTS, RulesMaker, part_of, tidy
from models.rules.harmony import harmony

REQUESTS = st.builds(
    StemRequest,
    id=st.just(1),
    role=st.sampled_from(PARTS),
    bars=st.integers(1, 16),
    bpm=st.floats(20, 400),
    beats_per_bar=st.integers(1, 9),
    key=st.integers(0, 11),
    minor=st.booleans(),
    density=st.floats(0, 1),
    vibe=st.text(max_size=8),
    seed=st.integers(0, 2**40),
)


def made(request: StemRequest, program: int = 0) -> list[StemNote]:
    maker = RulesMaker()
    maker.load(None, 48000, {"program": program, "drums": request.role == "drums"})
    return maker.generate(request, lambda _: None, lambda: False)


@given(REQUESTS)
@settings(max_examples=150, deadline=None)
def test_notes_stay_in_the_bars_the_key_and_midi(request: StemRequest) -> None:
    notes = made(request)
    scale = harmony(request.key, request.minor, request.bars).scale
    assert notes
    for n in notes:
        assert 0 <= n.start < request.beats
        assert 0 < n.duration <= request.beats - n.start + 1e-9
        assert 0 <= n.key <= 127
        assert 1 <= n.velocity <= 127
        assert n.drums or n.key % 12 in scale


@given(REQUESTS)
@settings(max_examples=60, deadline=None)
def test_no_key_sounds_twice_at_once(request: StemRequest) -> None:
    ends: dict[int, float] = {}
    for n in made(request):
        assert n.start >= ends.get(n.key, 0.0) - 1e-9
        ends[n.key] = n.start + n.duration


@given(REQUESTS)
@settings(max_examples=60, deadline=None)
def test_the_same_request_gives_the_same_stem(request: StemRequest) -> None:
    assert made(request) == made(request)


@pytest.mark.parametrize("part", PARTS)
def test_seeds_vary(part: str) -> None:
    stems = {tuple(made(StemRequest(1, part, 4, 120.0, density=0.6, seed=s))) for s in range(24)}
    assert len(stems) >= 4


@pytest.mark.parametrize("metre", range(2, 8))
def test_drums_end_with_a_fill_that_grows(metre: int) -> None:
    notes = made(StemRequest(1, "drums", 4, 120.0, metre, density=0.8, seed=2))
    last_beat = [n for n in notes if n.start >= 4 * metre - 1 and n.key not in (36, 42, 46, 51)]
    other_bar = [n for n in notes if 3 * metre - 1 <= n.start < 3 * metre and n.velocity > 60]
    fill_keys = {n.key for n in last_beat}
    assert fill_keys & {50, 47, 45, 43}
    assert not {n.key for n in other_bar} & {50, 47, 45, 43}


@pytest.mark.parametrize("minor", [False, True])
def test_bass_and_chords_agree_on_the_harmony(minor: bool) -> None:
    for bar in range(4):
        chord = harmony(7, minor, 4, "late").pitch_classes(bar)
        for seed in range(10):
            request = StemRequest(1, "bass", 4, 90.0, key=7, minor=minor, vibe="late", seed=seed)
            first = next(n for n in made(request) if n.start == bar * 4)
            assert first.key % 12 == chord[0]


@pytest.mark.parametrize(
    ("role", "program", "drums", "part"),
    [
        ("Lead 2", 0, False, "melody"),
        ("bass", 80, False, "bass"),
        ("whatever", 33, False, "bass"),
        ("whatever", 89, False, "pads"),
        ("whatever", 0, True, "drums"),
        ("Keys", 4, False, "chords"),
    ],
)
def test_a_role_is_known_by_name_or_instrument(
    role: str, program: int, drums: bool, part: str
) -> None:
    assert part_of(role, program, drums) == part


@pytest.mark.parametrize("field", [{"bars": 0}, {"bars": 1000}, {"beats_per_bar": 0}])
def test_impossible_requests_are_refused(field: dict[str, int]) -> None:
    request = StemRequest(**{"id": 1, "role": "bass", "bars": 4, "bpm": 100.0, **field})
    with pytest.raises(AdapterError, match="expected 1 to"):
        made(request)


@given(
    st.lists(
        st.builds(
            StemNote,
            st.floats(-2, 20),
            st.floats(0.01, 30),
            st.integers(0, 127),
            st.integers(1, 127),
        ),
        max_size=40,
    )
)
def test_tidy_clips_and_keeps_order(notes: list[StemNote]) -> None:
    out = tidy(notes, 16.0)
    assert [n.start for n in out] == sorted(n.start for n in out)
    assert all(0 <= n.start < 16 and n.start + n.duration <= 16 + 1e-9 for n in out)
    assert len({(n.start, n.key) for n in out}) == len(out)
