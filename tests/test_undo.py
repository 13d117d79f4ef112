"""Risk: undo takes back something else than the last thing done, or what cannot be taken back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conductor_desk import Desk, playing
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ask import Ask
from engine.conductor_hands import ACTIONS
from engine.conductor_steer import SteerState
from engine.conductor_undo import KEPT, UNDONE, Undo
from engine.layout import CommandKind
from engine.patch import (
    Capture,
    Clock,
    CvIn,
    Input,
    Output,
    Patch,
    Player,
    Role,
    Route,
    Vibe,
    Voice,
)
from engine.song import Scene, ScenePart, Song
from engine.stem import StemState

_READY = StemState.READY
PATCH = Patch(
    inputs={"horn": Input(1, to={"main": 0.0})},
    voices={"keys": Voice(to={"main": 0.0})},
    players={"mist": Player("rave", "horn", to={"main": -6.0})},
    roles={"drums": Role(bars=1), "bass": Role(bars=1, enter="bar")},
    outputs={"main": Output((1, 2)), "monitor1": Output((3,)), "cue": Output((4,))},
    capture=Capture(kept=2, bars=4),
    clock=Clock(bpm=120.0, bars_per_phrase=2, listen=("horn",)),
    cv_in={"hand": CvIn("voltage", 2)},
    routes={"more": Route("hand", "density.drums")},
    vibes={"storm": Vibe("dark", {"drums": 1.0}, {"mist": (1.0,)})},
    songs={
        "one": Song(scenes={"a": Scene(), "b": Scene(stems={"bass": ScenePart(play=False)})}),
        "two": Song(bpm=90.0),
    },
)


def desk() -> Desk:
    made = Desk(patch=PATCH)
    made.let_in()
    made.ready()
    made.run(0.1)
    return made


def ask(d: Desk, name: str, **words: object) -> str:
    return d.conductor.act(name, d.now, ask=Ask(d.now, **words))  # type: ignore[arg-type]


def state(d: Desk) -> dict[str, object]:
    """What a person would call the same again."""
    c = d.conductor
    assert c.line is not None
    return {
        "stems": {e.id: (e.state, e.pinned) for e in c.book.entries.values()},
        "wanted": sorted(c.wanted),
        "levels": dict(c.mix.levels),
        "muted": list(c.mix.muted),
        "soloed": list(c.mix.soloed),
        "let_in": c.let_in,
        "click": c.click,
        "standby": c.programme.standby,
        "bpm": c.line.bpm,
        "beat": round(c.line.beat_at(d.now), 3),
        "phrase": c.line.bars_per_phrase,
        "held": c.programme.held,
        "follow": c.clock is not None and c.clock.follow,
        "change": c.programme.change,
        "end": c.programme.end,
        "steering": c.steering.to_dict(),
        "armed": c.armed,
        "frozen": c.routes.frozen,
        "routes": list(c.routes.off),
        "strips": dict(c.mix.strips),
        "listening": c.mix.listening,
        "told": {p: g for p, g in c.programme.mix.told.items() if g},
    }


THINGS: list[tuple[str, dict[str, object]]] = [
    ("level", {"source": "input.horn", "db": -6.0}),
    ("level", {"source": "group.ai", "db": -3.0}),
    ("level", {"source": "bus.monitor1", "db": -9.0}),
    ("send", {"source": "voice.keys", "bus": "monitor1", "db": -12.0}),
    ("mute", {"source": "stems.drums"}),
    ("solo", {"source": "input.horn"}),
    ("arm", {"source": "input.horn"}),
    ("strip", {"source": "input.horn", "setting": "low_db", "value": 3.0}),
    ("click", {}),
    ("let_in", {}),
    ("standby", {}),
    ("freeze", {}),
    ("route", {"what": "more"}),
    ("density", {"role": "drums", "value": 0.9}),
    ("player", {"what": "mist"}),
    ("control", {"what": "mist", "number": 2, "values": (0.5,)}),
    ("freeze_player", {"what": "mist"}),
    ("vibe", {"what": "storm", "value": 0.7}),
    ("enter", {"role": "drums"}),
    ("pick", {"role": "drums", "variation": 1}),
    ("pin_stem", {"role": "drums", "variation": 1}),
    ("this_is_one", {}),
    ("tap", {}),
    ("tempo", {"value": 133.0}),
    ("tempo_up", {}),
    ("tempo_down", {}),
    ("nudge", {"value": 20.0}),
    ("shift", {"value": 0.5}),
    ("halve", {}),
    ("hold", {}),
    ("follow", {"on": True}),
    ("phrase", {"value": 8}),
    ("next_song", {}),
    ("song", {"what": 2}),
    ("next_scene", {}),
    ("scene", {"what": "b"}),
    ("end", {}),
]


@pytest.mark.parametrize(("name", "words"), THINGS, ids=[n for n, _ in THINGS])
def test_what_was_done_is_taken_back_and_said(name: str, words: dict[str, object]) -> None:
    d = desk()
    d.conductor.undo.done.clear()
    before = state(d)
    said = ask(d, name, **words)
    answer = ask(d, "undo")
    if name in ("this_is_one", "tap"):  # it stood there already, or one tap says nothing yet
        assert answer in ("nothing to undo", f"undone: {name} ({said})")
    else:
        assert answer == f"undone: {name} ({said})"
    after = state(d)
    before.pop("told"), after.pop("told")  # see the test of sends
    if name == "vibe":  # stems it asked for come
        before.pop("stems"), after.pop("stems")
    assert after == before
    assert ask(d, "undo") == "nothing to undo"


def test_every_action_that_can_be_undone_is_tried_here() -> None:
    assert UNDONE.keys() <= ACTIONS.keys()
    own = {"next", "queue_stem", "unqueue_stem", "keep_stem", "stop_stem", "stop_role", "stop_all"}
    own |= {"capture", "centre", "let_go", "double"}
    own |= {"regenerate", "audition"}
    own |= {"insert"}  # tests/test_insert_pedal.py
    assert UNDONE.keys() == {name for name, _ in THINGS} | own


def test_a_send_goes_back_in_the_audio_process_too() -> None:
    d = desk()
    ask(d, "send", source="voice.keys", bus="monitor1", db=0.0)
    d.run(0.02)
    d.sent.clear()
    ask(d, "undo")
    d.run(0.02)
    (gain,) = [c for c in d.sent if c["kind"] == CommandKind.GAIN]
    assert gain["x"] == 0.0


def test_a_queued_stem_is_called_back_until_the_audio_process_knows() -> None:
    d = desk()
    drums = d.entry("drums", StemState.READY)
    ask(d, "queue_stem", stem=drums)
    assert ask(d, "undo").startswith("undone: queue_stem")
    assert d.conductor.book.entries[drums].state is StemState.READY
    ask(d, "queue_stem", stem=drums)
    while not d.plays():
        d.run(0.05)
    assert ask(d, "undo").startswith("too late to undo queue_stem")


def test_a_stop_is_taken_back_and_it_plays_on() -> None:
    d = desk()
    drums = playing(d, "drums")
    for how in ({"role": "drums"}, {"stem": drums}):
        name = "stop_role" if "role" in how else "stop_stem"
        ask(d, name, **how)
        assert d.conductor.book.entries[drums].state is StemState.RETIRING
        assert ask(d, "undo").startswith(f"undone: {name}")
        assert d.conductor.book.entries[drums].state is StemState.PLAYING
        assert "drums" in d.conductor.wanted


def test_what_was_taken_out_of_the_queue_goes_in_again() -> None:
    d = desk()
    bass = d.entry("bass", StemState.READY)
    ask(d, "queue_stem", stem=bass)
    ask(d, "unqueue_stem", stem=bass)
    ask(d, "undo")
    assert d.conductor.book.entries[bass].state is StemState.QUEUED


def test_a_capture_is_thrown_away() -> None:
    d = desk()
    d.conductor.book.captures, d.conductor.book.capture_frames = 2, 400_000
    d.run(10.0)
    said = ask(d, "capture", source="input.horn", bars=1, role="drums")
    assert said.startswith("capturing")
    assert ask(d, "undo").startswith("undone: capture")
    assert not [e for e in d.conductor.book.entries.values() if e.source]


def test_a_strip_goes_back_to_what_the_patch_says_or_a_hand_has_said_before() -> None:
    d = desk()
    where = {"source": "input.horn", "setting": "highpass_hz"}
    ask(d, "strip", value=200.0, **where)
    d.run(2.0)
    ask(d, "strip", value=400.0, **where)
    ask(d, "strip", value=500.0, **where)  # one fader, moved on
    ask(d, "undo")
    assert d.conductor.mix.strips == {"horn.highpass_hz": 200.0}
    ask(d, "undo")
    assert d.conductor.mix.strips == {}
    d.run(0.1)
    sent = [float(c["x"]) for c in d.sent if c["kind"] == CommandKind.STRIP]
    assert sent[:4] == [200.0, 400.0, 500.0, 200.0]
    assert np.isnan(sent[4])  # the patch has none


def test_undo_after_listening_is_silence_or_what_was_heard_before() -> None:
    d = desk()
    first, second = [e.id for e in d.conductor.book.entries.values() if e.state is _READY][:2]
    d.conductor.undo.done.clear()
    ask(d, "audition", stem=first)
    ask(d, "audition", stem=second)
    assert ask(d, "undo") == f"undone: audition (listening to {second})"
    assert d.conductor.mix.listening == first
    assert ask(d, "undo") == f"undone: audition (listening to {first})"
    assert d.conductor.mix.listening == 0
    ask(d, "audition", stem=first)
    d.run(30.0)  # it has been heard to its end
    ask(d, "audition", stem=second)
    ask(d, "undo")
    assert d.conductor.mix.listening == 0


def test_a_stem_asked_for_and_undone_is_given_up_wherever_it_is() -> None:
    d = desk()
    d.conductor.undo.done.clear()
    ask(d, "mute", source="stems.bass")
    asked: list[int] = []
    for ready in (False, True):
        before = set(d.conductor.book.entries)
        assert ask(d, "regenerate", role="drums") == "asked"
        (new,) = set(d.conductor.book.entries) - before
        asked.append(new)
        if ready:
            d.run(0.01)
            d.ready()
        assert ask(d, "undo") == "undone: regenerate (asked)"
        d.run(0.01)
        d.ready()  # what was being made comes in
        d.run(0.01)
        assert new not in d.conductor.book.entries
    assert not any(c["id"] in asked for c in d.plays())
    assert d.conductor.mix.muted == ["stems.bass"]  # what was done before stands


def test_an_armed_source_is_what_capture_takes() -> None:
    d = desk()
    d.conductor.book.captures, d.conductor.book.capture_frames = 2, 400_000
    d.run(10.0)
    ask(d, "arm", source="texture.mist")
    assert ask(d, "capture", bars=1, role="drums") == "capturing 1 bars of texture.mist"


def test_a_change_of_scene_is_called_off_only_before_its_boundary() -> None:
    d = desk()
    ask(d, "next_scene")
    while not d.conductor.programme.busy and d.conductor.programme.change is not None:
        d.run(0.05)
    assert ask(d, "undo").startswith("too late to undo next_scene")
    d.run(4.0)
    assert d.conductor.programme.scene == 1


def test_a_run_of_taps_or_a_fader_moved_is_one_thing_and_two_mutes_are_two() -> None:
    d = desk()
    for db in (-3.0, -6.0, -12.0):
        ask(d, "level", source="input.horn", db=db)
        d.run(0.2)
    assert ask(d, "undo").startswith("undone: level")
    assert d.conductor.mix.levels == {}
    ask(d, "mute", source="stems.drums")
    ask(d, "mute", source="stems.bass")
    ask(d, "undo")
    assert d.conductor.mix.muted == ["stems.drums"]


@pytest.mark.parametrize(
    ("name", "words"), [("level", {}), ("send", {"bus": "monitor1"})], ids=["level", "send"]
)
def test_a_run_on_one_fader_undone_leaves_the_others(name: str, words: dict[str, str]) -> None:
    d = desk()
    ask(d, name, source="input.horn", db=-20.0, **words)
    d.run(2.0)
    before = state(d)
    for db in (-3.0, -6.0, -12.0):
        ask(d, name, source="voice.keys", db=db, **words)
        d.run(0.1)
    ask(d, "undo")
    after = state(d)
    assert (after["levels"], after["told"]) == (before["levels"], before["told"])
    assert len(d.conductor.undo.done) > 0
    assert d.conductor.undo.next == name


def test_undo_leaves_alone_what_was_done_elsewhere_since() -> None:
    d = desk()
    ask(d, "mute", source="stems.drums")
    d.conductor.mix.muted.append("stems.bass")  # a scene, another hand ...
    ask(d, "undo")
    assert d.conductor.mix.muted == ["stems.bass"]


def test_what_a_song_has_cleared_stays_cleared() -> None:
    d = desk()
    ask(d, "density", role="drums", value=0.9)
    ask(d, "control", what="mist", number=1, values=(0.5,))
    ask(d, "player", what="mist")
    d.conductor.steering.density.clear()  # as another song does
    ask(d, "undo")
    ask(d, "undo")
    assert d.conductor.steering.to_dict() == SteerState().to_dict()
    d.conductor.steering.off = ["answer"]
    ask(d, "player", what="mist")
    ask(d, "undo")
    assert d.conductor.steering.off == ["answer"]


def test_dry_and_panic_are_never_undone() -> None:
    d = desk()
    d.conductor.undo.done.clear()
    ask(d, "dry")
    ask(d, "panic")
    assert ask(d, "undo") == "nothing to undo"


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(THINGS), min_size=1, max_size=25), st.data())
def test_any_order_undone_to_the_end_raises_nothing_and_survives_the_journal(
    order: list[tuple[str, dict[str, object]]], data: st.DataObject
) -> None:
    d = desk()
    for name, words in order:
        ask(d, name, **words)
        d.run(data.draw(st.sampled_from((0.005, 0.5, 3.0))))
        assert len(d.conductor.undo.done) <= KEPT
    d.conductor.undo = Undo.of(json.loads(json.dumps(d.conductor.undo.to_dict())))
    while d.conductor.undo.done:
        assert "undo" in ask(d, "undo")
        d.run(0.01)
