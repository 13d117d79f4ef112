"""Risk: a page that moves sound, time or moods does something else than its pads say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pads_desk import Pads
from pages_desk import PATCH, at, said

from devices.launchpad.layout import (
    pad,
)
from devices.launchpad.mk3 import RIGHT
from devices.launchpad.pages import paint
from engine.patch import Cv
from engine.shm_records import SWITCH
from engine.surface import GREY, OFF, WHITE, PressKind

# ---- players


def controls(pads: Pads) -> np.ndarray:
    switch = np.zeros(1, SWITCH)
    pads.conductor.programme.set_switch(switch, pads.desk.now)
    return switch


def test_faders_and_the_plane_move_a_textures_controls() -> None:
    pads = at("players")
    pads.tap(pad(1, 2))  # mist
    assert said(pads, pad(7, 2)) == "mist 2: 1"
    assert list(controls(pads)["controls"][0][1][:3]) == [0.0, 1.0, 0.0]
    pads.tap(RIGHT[0])
    assert said(pads, pad(3, 8)) == "mist 1: 1, -1"
    assert list(controls(pads)["controls"][0][1][:3]) == [1.0, -1.0, 0.0]
    assert said(pads, RIGHT[3]) == "mist at rest"
    assert not controls(pads)["controls"].any()


def test_a_texture_is_frozen_and_a_player_is_sent_off() -> None:
    pads = at("players")
    assert said(pads, RIGHT[1]) == "nothing"  # a player of notes does not freeze
    assert said(pads, RIGHT[2]) == "answer off"
    pads.tap(pad(1, 2))
    assert said(pads, RIGHT[1]) == "mist stands still"
    switch = controls(pads)[0]
    assert list(switch["hold"][:2]) == [0, 1]
    assert list(switch["generate"][:2]) == [0, 1]
    assert paint(pads.shown[0], 0.0)[pad(1, 1)] == GREY
    assert said(pads, pad(2, 1)) == "voice.keys muted"


# ---- clock


@pytest.mark.parametrize(
    ("index", "answer"),
    [
        (pad(1, 1), "one"),
        (pad(1, 8), "tap 1"),
        (pad(3, 4), "phrases of 4 bars"),
        (pad(4, 1), "half as fast at the bar"),
        (pad(4, 8), "twice as fast at the bar"),
        (pad(4, 7), "125.0 BPM"),
        (pad(5, 3), "-0.5 beats"),
        (pad(5, 7), "+1 beats"),
        (pad(6, 1), "-20 ms"),
        (pad(6, 8), "+20 ms"),
        (pad(7, 1), "keeps its own tempo"),
        (pad(7, 2), "follows what it hears"),
        (pad(7, 4), "held"),
        (pad(7, 5), "the tracker decides"),
        (pad(5, 4), "nothing"),
    ],
)
def test_the_clocks_pads_do_what_they_say(index: int, answer: str) -> None:
    pads = at("clock")
    assert said(pads, index) == answer


def test_hold_stands_through_standby_and_is_let_go_by_hand() -> None:
    pads = at("clock")
    clock = pads.conductor.clock
    assert clock is not None
    pads.tap(pad(7, 4))
    pads.desk.act("standby")
    pads.desk.act("standby")
    assert clock.held
    pads.tap(pad(7, 4))
    assert not clock.held


def test_hold_while_a_scene_is_about_to_change_holds() -> None:
    pads = at("clock")
    clock, programme = pads.conductor.clock, pads.conductor.programme
    assert clock is not None
    pads.desk.act("next_scene")
    while not programme.busy:
        pads.wait(0.05)
    pads.tap(pad(7, 4))
    pads.wait(3.0)
    assert programme.scene == 1
    assert clock.held


def test_nudge_moves_the_beat_by_so_much() -> None:
    pads = at("clock")
    line = pads.conductor.clock
    assert line is not None
    before = line.line.frame_at(100.0)
    pads.tap(pad(6, 6))
    assert line.line.frame_at(100.0) - before == 240


# ---- vibe


def test_a_mood_shapes_requests_and_players_by_how_firm_it_is_pressed() -> None:
    pads = at("vibe", replace(PATCH, routes={}))
    pads.conductor.book.requests.clear()
    pads.press(pad(1, 1), value=64)
    pads.wait(0.05)
    asked = [r for e, r in pads.conductor.book.requests if e.role == "drums"]
    assert asked  # a stem in that mood, at once
    assert asked[-1].vibe == "dark"
    assert asked[-1].density == pytest.approx(0.5 + 0.5 * 64 / 127, abs=0.01)
    pads.look()
    pads.press(0, PressKind.PRESSURE, 127)
    pads.press(pad(1, 1), PressKind.UP, 0)
    pads.look()
    assert pads.shown[0].vibes[0].intensity == 1.0  # it stays at its strongest
    assert list(controls(pads)["controls"][0][1][:3]) == [1.0, -1.0, 0.0]
    assert said(pads, pad(4, 1)) == "storm 50%"
    assert list(controls(pads)["controls"][0][1][:3]) == [0.5, -0.5, 0.0]
    assert said(pads, pad(7, 2)) == "calm 100%"  # one at a time
    assert not controls(pads)["controls"].any()
    assert said(pads, pad(1, 2)) == "calm is over"


# ---- control voltages


def test_routes_go_off_and_on() -> None:
    pads = at("cv")
    pads.conductor.routes._values["hand"] = 0.9
    cells = pads.look()
    assert cells[pad(3, 1)] != OFF
    assert sum(cells[pad(7, 1)]) < sum(cells[pad(3, 1)])
    assert said(pads, pad(2, 1)) == "more off"
    pads.desk.act("regenerate", "drums")
    entry, request = pads.conductor.book.requests[-1]
    requests = [(entry, request)]
    pads.conductor.routes.shape(requests)
    assert requests[0][1].density == request.density
    assert said(pads, pad(2, 1)) == "more on"
    assert said(pads, pad(2, 2)) == "wet off"
    pads.press(pad(1, 1))
    assert pads.said[-1] == ("freeze", "frozen")


def test_what_leaves_stands_beside_what_comes_in() -> None:
    outputs = {f"out{i}": Cv(channel=5 + i, kind="lfo") for i in range(9)}
    pads = at("cv", replace(PATCH, cv=outputs))
    volts = pads.conductor.routes.volts
    volts.update(out0=5.2, out1=-9.0, out2=0.0, out7=10.0)
    cells = pads.look()
    white = [row for row in (3, 4, 5, 6, 7) if cells[pad(row, 2)] == WHITE]
    assert white == [6]  # 5 V
    assert sum(cells[pad(7, 2)]) < sum(cells[pad(5, 2)])
    assert cells[pad(3, 3)] == WHITE
    assert sum(cells[pad(6, 3)]) < sum(cells[pad(4, 3)])
    assert cells[pad(5, 4)] != WHITE  # nothing leaves
    pads.tap(92)  # the ninth column is on the next eight
    assert pads.look()[pad(7, 1)] == WHITE
