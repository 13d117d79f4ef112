"""Risk: what a hand pressed while the conductor was being restarted is lost, or what a port sends
takes the conductor down."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.launchpad.layout import PAGE_BUTTONS, STEM_ROWS, pad
from devices.launchpad.mk3 import notice
from devices.launchpad.surface_driver import PadSurface
from engine.ask import Ask
from engine.conductor import Conductor
from engine.layout import PRESS
from engine.patch import Input, Output, Patch, Role, Surface
from engine.shm import Shared
from engine.surface import PressKind


def test_a_new_conductor_understands_presses_that_waited_for_it() -> None:
    patch = Patch(
        armed=True,
        roles={"bass": Role()},
        surfaces={"pads": Surface()},
        outputs={"main": Output((1, 2))},
    )
    shared = Shared.private(patch)
    conductor = Conductor(patch, shared.slots, shared.slot_frames)
    conductor.scripted = True  # nothing enters by itself
    conductor.begin(0, 48000.0)
    conductor.advance(0)
    first = min(conductor.book.entries)
    conductor.book.pool_event({"job": first, "event": "ready", "frames": 9, "loop": 9.0}, 0)
    press = np.zeros(1, PRESS)
    press["frame"] = 4800
    press["data"][0, :3] = (0x90, pad(STEM_ROWS[0], 1), 100)
    shared.ring("presses").push(press)
    (surface,) = PadSurface.all(shared, conductor)
    assert surface.actions(conductor, shared.ring("presses").pop(64)) == [
        ("queue_stem", Ask(4800, "bass", first))
    ]
    assert surface.actions(conductor, shared.ring("presses").pop(64)) == []


def test_a_new_conductor_shows_the_page_that_the_old_one_left() -> None:
    patch = Patch(
        inputs={"horn": Input(1)},
        surfaces={"left": Surface(), "right": Surface()},
        outputs={"main": Output((1, 2))},
    )
    shared = Shared.private(patch)
    old, new = (Conductor(patch, shared.slots, shared.slot_frames) for _ in range(2))
    old.begin(0, 48000.0)
    old.advance(0)
    mix = next(index for index, page in PAGE_BUTTONS.items() if page == "mix")
    surfaces = PadSurface.all(shared, old)
    assert [s.actions(old, pressed(0, mix)) for s in surfaces] == [[], []]
    for surface in surfaces:
        surface.show(old, 0)
    new.restore(json.loads(json.dumps(old.to_dict())))
    left, right = PadSurface.all(shared, new)
    assert (left.hand.local.page, right.hand.local.page) == ("mix", "stems")
    # A finger that came down meanwhile meant the page that was seen.
    assert left.actions(new, pressed(0, pad(1, 1))) == [("mute", Ask(0, source="input.horn"))]


def pressed(port: int, index: int) -> np.ndarray:
    press = np.zeros(1, PRESS)
    note = index % 10 in range(1, 9) and index // 10 in range(1, 9)
    press["port"], press["data"][0, :3] = port, (0x90 if note else 0xB0, index, 100)
    return press


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), st.binary(min_size=6, max_size=6)), max_size=30))
def test_no_bytes_from_a_port_take_the_conductor_down(found: list[tuple[int, bytes]]) -> None:
    patch = Patch(
        roles={"bass": Role()}, surfaces={"pads": Surface()}, outputs={"main": Output((1, 2))}
    )
    shared = Shared.private(patch)
    conductor = Conductor(patch, shared.slots, shared.slot_frames)
    conductor.begin(0, 48000.0)
    conductor.advance(0)
    (surface,) = PadSurface.all(shared, conductor)
    for port, data in found:
        press = np.zeros(1, PRESS)
        press["port"], press["data"][0] = port, np.frombuffer(data, np.uint8)
        for name, ask in surface.actions(conductor, press):
            assert conductor.act(name, 0, ask=ask)
        surface.show(conductor, 0)
        conductor.advance(0)
    surface.actions(conductor, lost())
    assert not surface.hand.held


def lost() -> np.ndarray:
    press = np.zeros(1, PRESS)
    press["data"][0, :3] = tuple(notice(PressKind.LOST))
    return press
