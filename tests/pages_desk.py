"""A patch with all that the pages of the pads show, and taps on them."""

from __future__ import annotations

from pads_desk import Pads

from devices.launchpad.layout import (
    PAGE_BUTTONS,
)
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
from engine.song import Scene, Song

BUTTONS = {page: index for index, page in PAGE_BUTTONS.items()}
PATCH = Patch(
    inputs={"horn": Input(1, to={"main": 0.0})},
    voices={"keys": Voice(to={"main": 0.0})},
    players={
        "answer": Player("notochord", "keys", voice="keys"),
        "mist": Player("rave", "horn", to={"main": -6.0}),
    },
    roles={"drums": Role(bars=1, density=0.5), "bass": Role(bars=1)},
    outputs={"main": Output((1, 2)), "monitor1": Output((3,)), "cue": Output((4,))},
    capture=Capture(kept=2, bars=4),
    clock=Clock(bpm=120.0, bars_per_phrase=2, source="listener", listen=("horn",)),
    cv_in={"hand": CvIn("voltage", 2)},
    routes={"more": Route("hand", "density.drums"), "wet": Route("hand", "send.input.horn.reverb")},
    vibes={"storm": Vibe("dark", {"drums": 1.0}, {"mist": (1.0, -1.0)}), "calm": Vibe()},
    songs={
        "one": Song(scenes={"a": Scene(), "b": Scene()}),
        "two": Song(bpm=90.0),
    },
)


def at(page: str, patch: Patch = PATCH) -> Pads:
    pads = Pads(patch)
    pads.desk.let_in()
    pads.desk.ready()
    pads.tap(BUTTONS[page])
    return pads


def said(pads: Pads, index: int) -> str:
    """What the conductor answers to a tap."""
    before = len(pads.said)
    pads.tap(index)
    return pads.said[-1][1] if len(pads.said) > before else "nothing"
