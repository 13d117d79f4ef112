"""Risk: what a hand pressed while the conductor was being restarted is lost."""

from __future__ import annotations

import numpy as np

from devices.launchpad.layout import STEM_ROWS, pad
from devices.launchpad.surface_driver import PadSurface
from engine.ask import Ask
from engine.conductor import Conductor
from engine.layout import PRESS
from engine.patch import Output, Patch, Role, Surface
from engine.shm import Shared


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
    (surface,) = PadSurface.all(shared)
    assert surface.actions(conductor, shared.ring("presses").pop(64)) == [
        ("queue_stem", Ask(4800, "bass", first))
    ]
    assert surface.actions(conductor, shared.ring("presses").pop(64)) == []
