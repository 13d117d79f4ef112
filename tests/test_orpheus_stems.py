"""Risk: what the model samples is no stem: outside its bars, key or range, empty, unstoppable."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from engine.adapter import AdapterError
from engine.stem import StemNote, StemRequest
from models.orpheus.adapter import LIMITS, OrpheusMaker, fault
from models.orpheus.corpus import PATCH_OF_PART
from models.orpheus.tokens import DRUMS, UNITS_PER_BEAT, Event, decode
from models.rules.adapter import PARTS
from models.rules.harmony import harmony


@pytest.fixture(scope="module")
def maker() -> OrpheusMaker:
    made = OrpheusMaker()
    made.load(None, 48000, {})
    return made


def run(maker: OrpheusMaker, request: StemRequest) -> list[StemNote]:
    return maker.generate(request, lambda _: None, lambda: False)


@given(
    part=st.sampled_from(PARTS),
    bars=st.integers(1, 4),
    metre=st.integers(2, 9),
    key=st.integers(0, 11),
    minor=st.booleans(),
    density=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_stems_keep_bars_range_and_polyphony(
    maker: OrpheusMaker,
    part: str,
    bars: int,
    metre: int,
    key: int,
    minor: bool,
    density: float,
    seed: int,
) -> None:
    request = StemRequest(1, part, bars, 100.0, metre, key, minor, density, seed=seed)
    try:
        notes = run(maker, request)
    except AdapterError:  # honestly rejected: the pool answers with the rules
        reject()
    low, high, at_once, *_ = LIMITS[part]
    onsets: dict[float, list[int]] = {}
    for n in notes:
        assert 0 <= n.start < request.beats
        assert 0 < n.duration <= request.beats - n.start + 1e-9
        assert low <= n.key <= high
        assert n.drums == (part == "drums")
        onsets.setdefault(n.start, []).append(n.key)
    for keys in onsets.values():
        assert len(keys) <= at_once
        assert len(set(keys)) == len(keys)
    assert fault(notes, request, harmony(key, minor, bars).scale) == ""


def test_the_same_seed_gives_the_same_stem_and_another_another(maker: OrpheusMaker) -> None:
    request = StemRequest(1, "melody", 2, 100.0, key=2, seed=7)
    first = run(maker, request)
    run(maker, StemRequest(1, "drums", 1, 100.0, seed=1))  # leaves no trace
    assert run(maker, request) == first
    assert run(maker, StemRequest(1, "melody", 2, 100.0, key=2, seed=8)) != first


def test_the_prompt_is_legal_and_ends_before_the_stem(maker: OrpheusMaker) -> None:
    for part in PARTS:
        request = StemRequest(1, part, 2, 100.0, 4, 3, True, 0.9, seed=4)
        rules = maker.rules(request, part)
        tokens, heard_until = maker.prompt(request, part, rules)
        events = decode(tokens)
        assert events
        assert 0 <= heard_until < rules.start
        wanted = DRUMS if part == "drums" else PATCH_OF_PART[part]
        assert {e.patch for e in events} == {wanted}


def test_what_was_heard_is_in_the_prompt(maker: OrpheusMaker) -> None:
    heard = (StemNote(-1.0, 0.5, 71, 90), StemNote(-100.0, 1.0, 20, 90))
    request = StemRequest(1, "melody", 1, 100.0, density=0.1, context=heard, seed=4)
    tokens, _ = maker.prompt(request, "melody", maker.rules(request, "melody"))
    at = 15 * UNITS_PER_BEAT
    assert [e for e in decode(tokens) if e.onset == at and e.pitch == 71]


def test_it_can_be_cancelled_at_any_token(maker: OrpheusMaker) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 10

    with pytest.raises(AdapterError, match="cancelled"):
        maker.generate(StemRequest(1, "drums", 16, 100.0, seed=1), lambda _: None, cancelled)
    assert asked == 11


def test_progress_rises_to_one(maker: OrpheusMaker) -> None:
    told: list[float] = []
    request = StemRequest(1, "bass", 4, 100.0, seed=1)
    maker.generate(request, told.append, lambda: False)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_degenerate_stems_are_rejected(
    maker: OrpheusMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.orpheus.sampler import Sampler

    monkeypatch.setattr(Sampler, "run", lambda *_: [Event(0, 33, 36, 8, 5)])
    with pytest.raises(AdapterError, match=r"3 attempts at bass rejected.*only 1 onsets"):
        run(maker, StemRequest(1, "bass", 4, 100.0))


def test_a_stem_in_another_key_is_a_fault() -> None:
    notes = [StemNote(float(i), 0.5, 61 + 2 * (i % 2), 90) for i in range(8)]
    request = StemRequest(1, "melody", 2, 100.0)
    assert "in key" in fault(notes, request, harmony(0, False, 2).scale)
