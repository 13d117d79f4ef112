"""Risk: words over the socket that nobody thought of take the conductor down, or move something."""

from __future__ import annotations

import json

import pytest
from conductor_desk import Desk
from hypothesis import given, settings
from hypothesis import strategies as st
from test_undo import PATCH

from engine.ask import Ask, AskError, ask_of
from engine.conductor_hands import ACTIONS
from engine.stem import Play
from engine.timeline import Boundary

WRONG = [
    ({"number": 0}, "number is 0"),
    ({"number": 17}, "number is 17"),
    ({"number": True}, "number is True"),
    ({"values": []}, "values is"),
    ({"values": 0.5}, "values is 0.5"),
    ({"values": [0.5, 2.0]}, "values is 2.0"),
    ({"values": [None]}, "values is None"),
    ({"values": [0.0] * 17}, "values is"),
    ({"values": [float("nan")]}, "values is nan"),
    ({"what": 1.5}, "what is 1.5"),
    ({"value": "loud"}, "value is 'loud'"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[s for _, s in WRONG])
def test_words_of_a_wrong_kind_are_refused(words: dict[str, object], said: str) -> None:
    with pytest.raises(AskError, match="expected") as refused:
        ask_of(words, 0)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("nudge", {}, "no value"),
        ("nudge", {"value": 600}, "nudge is 600"),
        ("shift", {"value": 0.3}, "shift is 0.3"),
        ("tempo", {}, "no value"),
        ("phrase", {"value": 0}, "value 0"),
        ("phrase", {"value": 2.5}, "value 2.5"),
        ("density", {"value": 0.5}, "no role"),
        ("density", {"role": "drums", "value": 2}, "value 2"),
        ("density", {"role": "drum", "value": 0.5}, "role 'drum', expected one of drums, bass"),
        ("player", {"what": "nobody"}, "player 'nobody', expected one of mist"),
        ("control", {"what": "mist"}, "no values"),
        ("control", {"what": "mist", "number": 9, "values": [0]}, "mist has 8 controls"),
        ("control", {"what": 2, "values": [0]}, "player 2, expected one of mist"),
        ("centre", {}, "player None, expected one of mist"),
        ("freeze_player", {"what": "keys"}, "texture 'keys', expected one of mist"),
        ("vibe", {"what": "calm"}, "mood 'calm', expected one of storm"),
        ("vibe", {"what": "storm", "value": 1.5}, "value 1.5"),
        ("route", {"what": "less"}, "route 'less', expected one of more"),
        ("arm", {"source": "voice.keys"}, "source 'voice.keys', expected one of input.horn"),
        ("undo", {}, "nothing to undo"),
    ],
)
def test_what_cannot_be_says_why_and_changes_nothing(
    name: str, words: dict[str, object], said: str
) -> None:
    desk = Desk(patch=PATCH)
    desk.let_in()
    desk.conductor.undo.done.clear()
    before = desk.conductor.to_dict()
    asked = ask_of(words, desk.now)
    assert desk.conductor.act(name, desk.now, ask=asked).startswith(said)
    assert desk.conductor.to_dict() == before
    assert not desk.conductor.undo.done


numbers = st.none() | st.floats(-1e6, 1e6) | st.sampled_from((0.0, 0.5, 1.0, 8.0, 120.0))
names = st.sampled_from(
    (None, "drums", "bass", "mist", "storm", "more", "one", "two", "a", "b", "x", 0, 1, 2, -1)
)
sources = st.sampled_from(
    [
        None,
        "input.horn",
        "voice.keys",
        "texture.mist",
        "stems.drums",
        "effect.reverb",
        "click",
        "audition",
        "group.ai",
        "bus.cue",
        "bus.main",
        "nothing",
        ".",
        "",
    ]
)
asks = st.builds(
    dict,
    role=st.sampled_from((None, "drums", "bass")),
    stem=st.none() | st.integers(-2, 12),
    at=st.none() | st.sampled_from(Boundary),
    play=st.none() | st.sampled_from(Play),
    variation=st.none() | st.integers(1, 4),
    source=sources,
    bars=st.sampled_from((None, 1, 2, 4, 8)),
    bus=st.sampled_from((None, "main", "cue", "monitor1", "monitor2", "reverb", "nothing")),
    db=st.none() | st.floats(-90.0, 24.0),
    seconds=st.none() | st.floats(0.0, 60.0),
    on=st.none() | st.booleans(),
    setting=st.sampled_from((None, "gate_db", "highpass_hz", "nothing")),
    value=numbers,
    what=names,
    number=st.none() | st.integers(1, 16),
    values=st.none() | st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=16).map(tuple),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), asks), min_size=1, max_size=20))
def test_any_action_with_any_words_answers_and_can_be_written_down(
    order: list[tuple[str, dict[str, object]]],
) -> None:
    desk = Desk(patch=PATCH)
    desk.let_in()
    desk.ready()
    for name, words in order:
        asked = Ask(desk.now, **words)  # type: ignore[arg-type]
        assert desk.conductor.act(name, desk.now, ask=asked)
        desk.run(0.1)
    saved = json.loads(json.dumps(desk.conductor.to_dict()))
    successor = Desk(patch=PATCH).conductor
    successor.restore(saved)
    json.dumps(successor.status(desk.now))
