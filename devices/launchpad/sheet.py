"""The pages of a patch as pictures: every cell with what it does, to look at or to print.

A patch alone has no stems yet, so the page of stems shows one of each kind, the page of players its
first texture, and voltages stand somewhere. Writes files; not real-time safe.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from devices.launchpad.drawing import draw
from devices.launchpad.hand import Hand
from devices.launchpad.labels import labels
from devices.launchpad.layout import PadStem, PageState
from devices.launchpad.pages import paint
from devices.launchpad.view import page_state
from engine.arena import stem_slot_frames
from engine.conductor import Conductor
from engine.patch import PAGES, Patch
from engine.stem import StemState

EXAMPLES: Final = (
    StemState.PLAYING,
    StemState.READY,
    StemState.QUEUED,
    StemState.GENERATING,
)
EXAMPLE_CV: Final = (0.7, 1.0, 0.0)
EXAMPLE_VOLTS: Final = (5.0, 0.0, -4.0)
BEAT: Final = 5.1  # of the picture: what blinks is bright, what breathes half way


def sheet(patch: Patch, page: str) -> PageState:
    """What a page of the patch shows at the start, with a stem of each kind."""
    conductor = Conductor(patch, 1, stem_slot_frames(patch))
    conductor.begin(0, float(patch.audio.rate))
    conductor.advance(0)
    hand = Hand()
    texture = next((i for i, p in enumerate(patch.players.values()) if p.to), 0)
    hand.local = replace(hand.local, page=page, player=texture)
    state = page_state(conductor, 0, hand, 0, "")
    roles: dict[str, list[PadStem | None]] = {
        name: [PadStem(4 * i + k, s, 3.0, 2.0) for k, s in enumerate(EXAMPLES)]
        for i, name in enumerate(patch.roles)
    }
    queue = tuple((name, 4 * i + 2) for i, name in enumerate(roles))
    cv = tuple((name, EXAMPLE_CV[i % 3]) for i, (name, _) in enumerate(state.cv))
    cv_out = tuple((name, EXAMPLE_VOLTS[i % 3]) for i, (name, _) in enumerate(state.cv_out))
    shown = replace(state, roles=roles, queue=queue, cv=cv, cv_out=cv_out)
    return replace(shown, let_in=True, undo="mute")


def draw_pages(patch: Patch, folder: Path) -> list[Path]:
    """A PNG of each page in a folder, which is made where it is not. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for page in PAGES:
        state = sheet(patch, page)
        drawn.append(folder / f"{page}.png")
        draw(paint(state, BEAT), drawn[-1], labels(state))
    return drawn
