"""What hands do to the performance, one function an action: the conductor and the Ask in, what was
done out, or why it was not. Called by Conductor.act once the performance has begun; a role that is
named exists. Pure, as the conductor is.

ACTIONS is the one table: pads, keys, scripts and the control socket know actions by its names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.ask import Ask
from engine.conductor_clock import CLOCK_ACTIONS
from engine.conductor_mix import MIX_ACTIONS
from engine.conductor_songs import SONG_ACTIONS
from engine.conductor_steer import STEER_ACTIONS
from engine.conductor_stems import STEM_ACTIONS
from engine.conductor_undo import undo
from engine.layout import CommandKind, SafeKind

if TYPE_CHECKING:
    from engine.conductor import Conductor


def _dry(conductor: Conductor, _: Ask) -> str:
    conductor.command(CommandKind.SAFE, slot=SafeKind.DRY_TOGGLE)
    return "dry"


def _panic(conductor: Conductor, _: Ask) -> str:
    conductor.command(CommandKind.SAFE, slot=SafeKind.PANIC)
    return "panic"


ACTIONS: dict[str, Callable[[Conductor, Ask], str]] = {
    "dry": _dry,
    "panic": _panic,
    "undo": undo,
    **CLOCK_ACTIONS,
    **STEM_ACTIONS,
    **STEER_ACTIONS,
    **MIX_ACTIONS,
    **SONG_ACTIONS,
}
