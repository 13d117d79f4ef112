"""Risk: a page shows something else than is, or a press on it does something else than it says."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from pads_desk import Pads, seconds_to_phrase
from pages_desk import BUTTONS, PATCH, at, said

from devices.launchpad.labels import labels
from devices.launchpad.layout import (
    ARM,
    BANK_BACK,
    BANK_ON,
    PHRASE_CELLS,
    SOLO,
    Action,
    ActionKind,
    PadStem,
    PageState,
    pad,
)
from devices.launchpad.mk3 import CELLS, RIGHT, SHIFT
from devices.launchpad.pages import action, paint
from engine.layout import CommandKind
from engine.mixer import linear
from engine.patch import (
    Patch,
    Role,
)
from engine.patch_load import load_patch
from engine.stem import StemState
from engine.surface import GREY, OFF, RED, Press, PressKind, pale, role_colour

# ---- stems


def one(stem: PadStem, **more: object) -> PageState:
    return PageState(roles={"drums": [stem]}, **more)  # type: ignore[arg-type]


def test_what_is_made_breathes_brighter_the_sooner_it_is_ready() -> None:
    def brightest(phrases: float) -> int:
        stem = PadStem(1, StemState.GENERATING, phrases_left=phrases)
        return max(sum(paint(one(stem), b / 4)[pad(5, 1)]) for b in range(64))

    seen = [brightest(p) for p in (float("inf"), 6.0, 3.0, 1.0, 0.0)]
    assert seen == sorted(seen)
    assert seen[0] < seen[2] < seen[-1] < sum(role_colour("drums", 0))


@pytest.mark.parametrize(("left", "lights"), [(0.2, 1), (2.5, 3), (30.0, 8), (float("inf"), None)])
def test_a_held_stem_counts_down_to_when_it_is_ready_or_enters(
    left: float, lights: int | None
) -> None:
    cell = pad(5, 1)
    for stem in (
        PadStem(1, StemState.GENERATING, phrases_left=left),
        PadStem(1, StemState.QUEUED, beats_left=left),
    ):
        cells = paint(one(stem, held=frozenset({cell})), float("nan"))
        lit = [c for c in PHRASE_CELLS if cells[c] != OFF]
        assert lit == list(PHRASE_CELLS[: lights or 0])


def test_late_failed_and_what_stands_in_for_a_model_look_different() -> None:
    looks = {
        state: paint(one(PadStem(1, state)), 0.3)[pad(5, 1)]
        for state in (StemState.LATE, StemState.FAILED, StemState.READY)
    }
    stands_in = paint(one(PadStem(1, StemState.READY, fallback=True)), 0.3)[pad(5, 1)]
    assert stands_in == pale(looks[StemState.READY])
    assert len({looks[StemState.FAILED], looks[StemState.READY], stands_in}) == 3


def test_how_soon_comes_from_the_makers_progress_or_from_the_last_one() -> None:
    pads = Pads(PATCH)
    book, line = pads.conductor.book, pads.conductor.line
    assert line is not None
    phrase = line.frames_per_beat * 8.0  # two bars of four
    one, other = (e for e in book.entries.values() if e.role == "drums" and e.variation)
    assert book.ready_in(one, line, pads.desk.now) is None
    pads.wait(2.0)
    now = pads.desk.now
    took = now - one.requested_frame
    book.pool_event({"job": one.id, "event": "progress", "progress": 0.25}, now)
    assert book.ready_in(one, line, now) == pytest.approx(3.0 * took / phrase)
    pads.look()
    stem = pads.shown[0].roles["drums"][one.variation - 1]
    assert stem is not None
    assert stem.phrases_left == pytest.approx(3.0 * took / phrase)
    rows = pads.conductor.status(now)["stems"]
    told = {row["id"]: row["ready_in_phrases"] for row in rows}
    assert told[one.id] == pytest.approx(3.0 * took / phrase)
    assert told[other.id] is None
    book.pool_event({"job": one.id, "event": "ready", "frames": 96_000, "loop": 96_000.0}, now)
    assert book.ready_in(one, line, now) is None
    gone = now - other.requested_frame
    assert book.ready_in(other, line, now) == pytest.approx(max(0, took - gone) / phrase)


def test_a_stem_that_failed_is_seen_until_the_next_one_is_asked_for() -> None:
    patch = Patch(roles={"drums": Role(bars=1, ahead=1)}, outputs=PATCH.outputs)
    pads = Pads(patch)
    book = pads.conductor.book
    (entry,) = book.entries.values()
    book.requests.clear()
    book.pool_event({"job": entry.id, "event": "failed", "reason": "no"}, pads.desk.now)
    cells = pads.look()
    assert cells[pad(5, 1)][0] > 0
    assert cells[pad(5, 1)][1:] == (0, 0)
    pads.wait(1.5)  # it is asked for again
    pads.look()
    shown = [s for s in pads.shown[0].roles["drums"] if s is not None]
    assert [s.state for s in shown] == [StemState.REQUESTED]


def test_row_seven_is_the_selected_role() -> None:
    pads = at("stems")
    pads.tap(pad(1, 2))
    assert said(pads, pad(7, 1)) == "stems.bass muted"
    assert pads.look()[pad(7, 1)] != pads.look()[pad(7, 2)]
    assert said(pads, pad(7, 3)) == "stems.bass -2 dB"
    assert said(pads, pad(7, 3)) == "stems.bass -4 dB"
    assert said(pads, pad(7, 4)) == "stems.bass -2 dB"
    assert said(pads, pad(7, 8)) == "bass: density 1 from the next stem on"
    pads.conductor.book.requests.clear()
    pads.tap(pad(8, 5))  # again
    pads.wait(0.1)
    asked = [r for e, r in pads.conductor.book.requests if e.role == "bass"]
    assert asked
    assert all(r.density == 1.0 for r in asked)


def test_shift_pins_and_solo_listens() -> None:
    pads = at("stems")
    pads.press(SHIFT)
    assert said(pads, pad(5, 1)) == "pinned"
    pads.press(SHIFT, PressKind.UP, 0)
    pads.press(SOLO)
    assert said(pads, pad(5, 2)).startswith("listening to")
    pads.press(SOLO, PressKind.UP, 0)
    assert said(pads, pad(5, 2)) == "queued"


def test_a_hands_density_is_for_the_song() -> None:
    pads = at("stems")
    pads.tap(pad(7, 8))
    assert pads.conductor.steering.density == {"drums": 1.0}
    pads.desk.act("next_song")
    pads.wait(seconds_to_phrase(pads) + 0.5)
    assert pads.conductor.programme.song == 1
    assert pads.conductor.steering.density == {}


def test_more_than_eight_roles_are_reached() -> None:
    names = [f"r{i}" for i in range(11)]
    pads = at("stems", Patch(roles={n: Role(bars=1) for n in names}, outputs=PATCH.outputs))
    assert pads.look()[BANK_BACK] == OFF
    pads.tap(BANK_ON)
    assert pads.look()[BANK_ON] == OFF
    pads.tap(pad(1, 3))
    assert pads.shown[0].role == "r10"
    pads.tap(BANK_BACK)
    pads.tap(pad(1, 1))
    assert pads.shown[0].role == "r0"


# ---- songs


def test_songs_and_scenes_wait_blinking_and_then_pulse() -> None:
    pads = at("songs")
    assert said(pads, pad(5, 2)) == "one, b: at the bar"
    cells = [paint(pads.shown[0], b / 8)[pad(5, 2)] for b in range(8)]
    assert len(set(cells)) == 2  # bright and dim
    pads.wait(2.5)
    assert pads.conductor.programme.scene == 1
    assert said(pads, pad(7, 2)) == "two, all: at the phrase"
    pads.wait(seconds_to_phrase(pads))
    assert pads.conductor.programme.song == 1
    pads.look()
    assert pads.shown[0].song == 1
    assert said(pads, pad(7, 3)) == "nothing"  # there is no third song
    assert said(pads, pad(1, 3)) == "standby"


# ---- mix


def test_faders_of_sources_groups_buses_and_sends() -> None:
    pads = at("mix")
    names = [c.name for c in pads.shown[0].channels]
    assert names[:3] == ["input.horn", "voice.keys", "texture.mist"]
    assert "group.ai" in names
    assert "bus.monitor1" in names
    assert said(pads, pad(5, 1)) == "input.horn -6 dB"
    pads.press(SHIFT)
    assert said(pads, pad(6, 1)) == "input.horn -5 dB"
    assert said(pads, pad(2, 1)) == "input.horn -6 dB"
    pads.press(SHIFT, PressKind.UP, 0)
    pads.tap(RIGHT[1])  # monitor1
    assert pads.shown[0].buses[0] == "monitor1"
    assert said(pads, pad(6, 1)) == "input.horn to monitor1 0 dB"
    pads.look()
    assert pads.shown[0].channels[0].sends["monitor1"] == pytest.approx(0.0)
    pads.tap(RIGHT[0])
    bank, column = divmod(names.index("group.ai"), 8)
    for _ in range(bank):
        pads.tap(BANK_ON)
    assert said(pads, pad(4, column + 1)) == "group.ai -12 dB"
    sent = [c for c in pads.desk.sent if c["kind"] == CommandKind.LEVEL]
    assert sent[-1]["x"] == pytest.approx(linear(-12.0))


def test_row_one_of_the_mix_mutes_solos_or_arms() -> None:
    pads = at("mix")
    assert said(pads, pad(1, 3)) == "texture.mist muted"
    assert paint(pads.shown[0], 0.0)[pad(6, 3)][0] <= GREY[0]
    pads.tap(SOLO)
    assert said(pads, pad(1, 3)) == "texture.mist soloed"
    pads.tap(ARM)
    assert said(pads, pad(1, 3)) == "texture.mist armed"
    assert pads.conductor.armed == "texture.mist"
    assert said(pads, pad(1, 3)) == "texture.mist not armed"


# ---- what all pages share


def test_shift_makes_next_stop_all_and_again_freeze() -> None:
    seen = PageState(held=frozenset({SHIFT}))
    kinds = [action(Press(PressKind.DOWN, pad(8, c), 100), seen) for c in range(1, 9)]
    assert [a and a.kind for a in kinds] == [
        None,
        None,
        None,
        ActionKind.STOP_ALL,
        ActionKind.FREEZE,
        None,
        None,
        ActionKind.DRY,
    ]


def test_undo_is_lit_while_there_is_something_and_says_what() -> None:
    pads = Pads(PATCH)
    dark = pads.look()[20]
    pads.tap(BUTTONS["mix"])
    pads.tap(pad(1, 1))
    assert sum(pads.look()[20]) > sum(dark)
    assert said(pads, 20) == "undone: mute (input.horn muted)"
    assert pads.look()[20] == dark


def test_dry_is_seen_on_every_page() -> None:
    for page in BUTTONS:
        pads = at(page)
        pads.conductor.dry = True
        cells = pads.look()
        assert cells[pad(8, 8)] == RED
        assert cells[99] == RED


def test_a_shipped_patch_has_moods_and_the_bigger_pages_are_not_empty() -> None:
    patch = load_patch(Path(__file__).parent.parent / "patches" / "stage.yaml")
    assert patch.vibes
    for page in ("mix", "players", "clock", "vibe"):
        cells = at(page, patch).look()
        rows = [sum(cells[pad(r, c)] != OFF for c in range(1, 9)) for r in range(1, 8)]
        assert all(rows), page


def test_the_queue_shows_each_blinking_to_its_own_boundary() -> None:
    stem = PadStem(7, StemState.QUEUED, beats_left=3.0)
    state = PageState(roles={"drums": [stem]}, queue=(("drums", 7),))
    seen = [paint(state, b / 16)[pad(6, 1)] for b in range(17)]
    assert sum(a != b for a, b in itertools.pairwise(seen)) == 8  # the last bar: four times a beat
    asked = action(Press(PressKind.DOWN, pad(6, 1), 100), state)
    assert asked == Action(ActionKind.UNQUEUE_STEM, "drums", 7, 0)


def test_every_cell_that_does_something_has_words() -> None:
    for page in BUTTONS:
        pads = at(page)
        for shift in (frozenset[int](), frozenset({SHIFT}), frozenset({SOLO})):
            state = replace(pads.shown[0], held=shift)
            found = labels(state)
            asked = {i for i in CELLS if action(Press(PressKind.DOWN, i, 100), state)}
            assert asked <= found.keys()
            assert all(0 < len(text) < 40 for text in found.values())
