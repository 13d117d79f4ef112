"""What hands do to the performance, one function an action: the conductor and the Ask in, what was
done out, or why it was not. Called by Conductor.act once the performance has begun; a role that is
named exists. Pure, as the conductor is.

ACTIONS is the one table: pads, keys, scripts and the control socket know actions by its names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.ask import Ask
from engine.conductor_mix import MIX_ACTIONS
from engine.conductor_songs import SONG_ACTIONS
from engine.conductor_stems import STEM_ACTIONS, stop_all
from engine.layout import CommandKind, SafeKind

if TYPE_CHECKING:
    from engine.conductor import Conductor

TEMPO_STEP_BPM = 1.0


def _this_is_one(conductor: Conductor, ask: Ask) -> str:
    assert conductor.clock is not None
    conductor.clock.this_is_one(ask.now)
    conductor.oriented = True
    return "one"


def _tap(conductor: Conductor, ask: Ask) -> str:
    assert conductor.clock is not None
    taps = conductor.clock.tap(ask.now)
    conductor.oriented = conductor.oriented or taps >= 4
    return f"tap {taps}"


def _let_in(conductor: Conductor, ask: Ask) -> str:
    if not conductor.let_in and not conductor.oriented:
        return "first say where the one is"
    conductor.let_in = not conductor.let_in
    if conductor.let_in:
        conductor.programme.let_in_again()
    else:
        stop_all(conductor, ask)
    return "let in" if conductor.let_in else "kept out"


def _click(conductor: Conductor, ask: Ask) -> str:
    conductor.click = not conductor.click
    conductor.command(CommandKind.CLICK, slot=int(conductor.click))
    counted_in = conductor.programme.quiet[1]
    if ask.now < counted_in:  # the count-in's own end would undo it
        conductor.command(CommandKind.CLICK, slot=int(conductor.click), frame=counted_in)
    return "click on" if conductor.click else "click off"


def _tempo_up(conductor: Conductor, _: Ask) -> str:
    return _tempo(conductor, TEMPO_STEP_BPM)


def _tempo_down(conductor: Conductor, _: Ask) -> str:
    return _tempo(conductor, -TEMPO_STEP_BPM)


def _tempo(conductor: Conductor, by: float) -> str:
    clock, line = conductor.clock, conductor.line
    assert clock is not None
    assert line is not None
    bpm = min(clock.high, max(clock.low, line.bpm + by))
    clock.set_bpm(bpm)
    return f"{bpm:.1f} BPM"


def _freeze(conductor: Conductor, _: Ask) -> str:
    """Every chaos of the control voltages stands still, or goes on."""
    frozen = conductor.routes.frozen = not conductor.routes.frozen
    conductor.command(CommandKind.CV_FREEZE, slot=int(frozen))
    return "frozen" if frozen else "let go"


def _dry(conductor: Conductor, _: Ask) -> str:
    conductor.command(CommandKind.SAFE, slot=SafeKind.DRY_TOGGLE)
    return "dry"


def _panic(conductor: Conductor, _: Ask) -> str:
    conductor.command(CommandKind.SAFE, slot=SafeKind.PANIC)
    return "panic"


ACTIONS: dict[str, Callable[[Conductor, Ask], str]] = {
    "this_is_one": _this_is_one,
    "tap": _tap,
    "let_in": _let_in,
    "click": _click,
    "tempo_up": _tempo_up,
    "tempo_down": _tempo_down,
    "dry": _dry,
    "freeze": _freeze,
    "panic": _panic,
    **STEM_ACTIONS,
    **MIX_ACTIONS,
    **SONG_ACTIONS,
}
