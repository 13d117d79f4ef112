"""What hands do to the clock: one function an action; see engine/conductor_hands.py and, for what
each means, engine/clock.py. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.ask import Ask
from engine.clock import Clock

if TYPE_CHECKING:
    from engine.conductor import Conductor

TEMPO_STEP_BPM = 1.0
PHRASE_BARS_MOST = 64


def _clock(conductor: Conductor) -> Clock:
    assert conductor.clock is not None
    return conductor.clock


def _this_is_one(conductor: Conductor, ask: Ask) -> str:
    _clock(conductor).this_is_one(ask.now)
    conductor.oriented = True
    return "one"


def _tap(conductor: Conductor, ask: Ask) -> str:
    taps = _clock(conductor).tap(ask.now)
    conductor.oriented = conductor.oriented or taps >= 4
    return f"tap {taps}"


def _tempo(conductor: Conductor, ask: Ask) -> str:
    """value: BPM."""
    return "no value" if ask.value is None else _set_bpm(conductor, ask.value)


def _tempo_up(conductor: Conductor, _: Ask) -> str:
    return _set_bpm(conductor, _clock(conductor).line.bpm + TEMPO_STEP_BPM)


def _tempo_down(conductor: Conductor, _: Ask) -> str:
    return _set_bpm(conductor, _clock(conductor).line.bpm - TEMPO_STEP_BPM)


def _set_bpm(conductor: Conductor, bpm: float) -> str:
    clock = _clock(conductor)
    bpm = min(clock.high, max(clock.low, bpm))
    clock.set_bpm(bpm)
    return f"{bpm:.1f} BPM"


def _nudge(conductor: Conductor, ask: Ask) -> str:
    """value: milliseconds by which beats come later."""
    if ask.value is None:
        return "no value"
    return _done(lambda ms: _clock(conductor).nudge(ms), ask.value, f"{ask.value:+g} ms")


def _shift(conductor: Conductor, ask: Ask) -> str:
    """value: beats by which beats come later, a multiple of a half."""
    if ask.value is None:
        return "no value"
    return _done(lambda beats: _clock(conductor).shift(beats), ask.value, f"{ask.value:+g} beats")


def _done(do: Callable[[float], None], value: float, said: str) -> str:
    try:
        do(value)
    except ValueError as error:
        return str(error)
    return said


def _double(conductor: Conductor, _: Ask) -> str:
    return _done(lambda _: _clock(conductor).double(), 2.0, "twice as fast at the bar")


def _halve(conductor: Conductor, _: Ask) -> str:
    return _done(lambda _: _clock(conductor).halve(), 0.5, "half as fast at the bar")


def _hold(conductor: Conductor, ask: Ask) -> str:
    """on: the tempo stands, whatever the tracker hears."""
    programme = conductor.programme
    programme.held = not programme.held if ask.on is None else ask.on
    change = programme.change
    if change is None or not (change.armed and change.line):  # else once that has come
        _clock(conductor).hold(programme.held or programme.standby)
    return "held" if programme.held else "goes on"


def _let_go(conductor: Conductor, _: Ask) -> str:
    """The tracker may step again, too."""
    _clock(conductor).let_go()
    return "the tracker decides" if _clock(conductor).follow else "nobody else decides"


def _follow(conductor: Conductor, ask: Ask) -> str:
    """on: the tempo is the tracker's, or our own."""
    clock = _clock(conductor)
    on = not clock.follow if ask.on is None else ask.on
    if on and not conductor.patch.clock.listen:
        return "nobody is listened to: name inputs in clock.listen"
    clock.set_follow(on)
    return "follows what it hears" if on else "keeps its own tempo"


def _phrase(conductor: Conductor, ask: Ask) -> str:
    """value: bars of a phrase, until the next song."""
    bars = ask.value
    if bars is None or bars != round(bars) or not 1 <= bars <= PHRASE_BARS_MOST:
        return f"value {bars}, expected 1 to {PHRASE_BARS_MOST} bars"
    if conductor.programme.busy:
        return "something changes at this very moment"
    _clock(conductor).set_phrase(round(bars))
    return f"phrases of {bars:g} bars"


CLOCK_ACTIONS: dict[str, Callable[[Conductor, Ask], str]] = {
    "this_is_one": _this_is_one,
    "tap": _tap,
    "tempo": _tempo,
    "tempo_up": _tempo_up,
    "tempo_down": _tempo_down,
    "nudge": _nudge,
    "shift": _shift,
    "double": _double,
    "halve": _halve,
    "hold": _hold,
    "let_go": _let_go,
    "follow": _follow,
    "phrase": _phrase,
}
