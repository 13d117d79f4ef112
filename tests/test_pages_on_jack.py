"""Risk: what the pages do at a desk they do not do over JACK: presses are lost between two pages, a
page is painted wrong, two surfaces disturb each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from stage import Stage, interface, music, soon

from devices.launchpad.emulator import Emulator
from devices.launchpad.layout import PAGE_BUTTONS, PHRASE_CELLS, UNDO, pad
from devices.launchpad.mk3 import CELLS, SHIFT
from engine.bench.jackd import JackServer, wait_until
from engine.surface import GREY, OFF, RGB, WHITE, Cells

pytestmark = [pytest.mark.jack, pytest.mark.slow]

PATCH = """
name: pages
audio: {{device: "{device}"}}
clock: {{bpm: 120, bars_per_phrase: 1}}
inputs:
  line: {{channel: 1, dry: segue, to: {{main: 0}}}}
roles:
  drums: {{maker: rules, bars: 1, to: {{cue: 0}}}}
outputs:
  main: {{channels: [1, 2]}}
  cue: {{channels: [3, 4], limit: false}}
vibes:
  storm: {{density: {{drums: 1}}}}
surfaces:
  left: {{port: "left.*LPProMK3 MIDI"}}
  right: {{port: "right.*LPProMK3 MIDI", pages: [mix, clock]}}
"""
TRIES, ANSWER_S = 5, 5.0
BUTTONS = {page: index for index, page in PAGE_BUTTONS.items()}


def press(pads: Emulator, index: int, seen: Callable[[], bool], what: str) -> None:
    """A press and its release; JACK loses the events of a cycle that it misses, so again."""
    for _ in range(TRIES):
        pads.press(index)
        pads.release(index)
        if wait_until(seen, ANSWER_S):
            return
    raise AssertionError(f"{what}: nothing came of {index}")


def still(pads: Emulator) -> Cells:
    """What is lit but for what moves with the beat."""
    moving = {*PHRASE_CELLS, pad(8, 1), pad(8, 2)}
    return {i: c for i, c in pads.colours().items() if i not in moving}


def test_two_pairs_of_hands_on_seven_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with JackServer() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        with (
            interface(server, music(5.0)),
            Emulator("left") as left,
            Emulator("right") as right,
            Stage(server, tmp_path, patch=PATCH) as stage,
        ):
            stage.wait_sound()
            soon(lambda: left.colours().get(pad(8, 8), OFF) != OFF, "the left pads to be lit")
            soon(lambda: right.colours().get(pad(8, 8), OFF) != OFF, "the right pads to be lit")
            both(stage, left, right)
            every_page(stage, left)
            said = {e["name"] for e in stage.events("act")}
            assert {"nudge", "level", "vibe", "standby", "capture", "density", "tap"} <= said
            assert not stage.events("conductor_back")


def muted(stage: Stage) -> list[str]:
    mix = stage.ask(do="status").get("mix", {})
    return list(mix.get("muted", []))


def both(stage: Stage, left: Emulator, right: Emulator) -> None:
    """The right one begins at the mix, and mutes; the left one takes it back."""
    mix = BUTTONS["mix"]
    assert right.colours()[mix] != left.colours()[mix]
    assert right.colours().get(BUTTONS["stems"], OFF) == OFF  # its patch has two pages
    press(right, pad(1, 1), lambda: muted(stage) == ["input.line"], "mute")
    soon(lambda: right.colours()[pad(6, 1)] == GREY, "the fader to be grey")
    press(left, UNDO, lambda: muted(stage) == [], "undo")
    soon(lambda: right.colours()[pad(6, 1)] != GREY, "the fader to be green again")
    # Held, a page is a glance: something is done there, and letting go leads back.
    stems = still(left)
    left.press(BUTTONS["clock"])
    soon(lambda: still(left)[pad(3, 1)] != stems.get(pad(3, 1), OFF), "the clock's page")
    press(left, pad(3, 2), lambda: "phrase" in acts(stage), "phrases of two bars")
    left.release(BUTTONS["clock"])
    soon(lambda: left.colours()[BUTTONS["stems"]] == stems[BUTTONS["stems"]], "the stems again")
    assert right.colours()[mix] != left.colours()[mix]  # whatever the other one does


def acts(stage: Stage) -> list[str]:
    return [e["name"] for e in stage.events("act")]


def every_page(stage: Stage, left: Emulator) -> None:
    """Each page's button lights, and a finger on every cell of it takes nothing down; left out are
    the pages' own buttons, Shift and DRY."""
    for index, page in PAGE_BUTTONS.items():
        dim = left.colours()[index]
        if page != "stems":  # shown already
            press(left, index, partial(lit, left, index, dim), f"page {page}")
        for cell in CELLS:
            if cell not in (*PAGE_BUTTONS, SHIFT, pad(8, 8)):
                left.press(cell)
                left.release(cell)
        soon(lambda: "bpm" in stage.ask(do="status"), "the conductor")


def lit(pads: Emulator, index: int, dim: RGB) -> bool:
    """It is not dim any more, and not lit by the finger alone."""
    return pads.colours()[index] not in (dim, WHITE)
