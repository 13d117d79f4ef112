"""What the pages show, read from the conductor: a PageState for one frame. Pure; the conductor's
thread."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from devices.launchpad.hand import Hand
from devices.launchpad.layout import (
    ActionKind,
    Channel,
    PadClock,
    PadPlayer,
    PadRoute,
    PadStem,
    PadVibe,
    PageState,
)
from devices.launchpad.pages import MODULES
from engine.capture import captured
from engine.conductor import Conductor
from engine.conductor_mix import level_of
from engine.mixer import BUS_ORDER
from engine.patch import AUDITION, EFFECTS, GROUPS, PAGES
from engine.sources import source_names
from engine.stem import VARIATIONS, StemState
from engine.stem_entry import StemEntry

HIDDEN: Final = (StemState.REJECTED, StemState.FAILED)
NOT_SENT_TO: Final = ("main", "click")  # the fader's own, and the metronome's


def page_state(conductor: Conductor, now: int, hand: Hand, now_ns: int, surface: str) -> PageState:
    """now: the frame. surface: its name in the patch."""
    c, line, patch = conductor, conductor.line, conductor.patch
    given = patch.surfaces.get(surface)
    pages = (given.pages if given is not None else ()) or PAGES
    hand.keep_to(pages)
    programme, mix, page = c.programme, c.mix, hand.local.page
    change = programme.change
    other = change is not None and change.song != programme.song
    state = PageState(
        roles={name: _places(c, name, now) for name in patch.roles},
        queue=tuple((e.role, e.id) for e in c.book.queue()),
        selected=hand.local.selected,
        muted=frozenset(n for n in patch.roles if f"stems.{n}" in mix.muted),
        soloed=frozenset(n for n in patch.roles if f"stems.{n}" in mix.soloed),
        pressed=hand.pressed(now_ns),
        held=frozenset(hand.held),
        dry=c.dry,
        let_in=c.let_in,
        click=c.click,
        standby=programme.standby,
        changing=None
        if change is None
        else ActionKind.NEXT_SONG
        if other
        else ActionKind.NEXT_SCENE,
        ending=programme.end is not None,
        beats_per_bar=line.beats_per_bar if line else patch.clock.beats_per_bar,
        bars_per_phrase=line.bars_per_phrase if line else patch.clock.bars_per_phrase,
        pages=pages,
        local=hand.local,
        undo=c.undo.next,
        captures=bool(captured(c.started)),
        densities={name: c.steering.density_of(patch, name) for name in patch.roles},
        songs=tuple(s.name for s in programme.songs),
        scenes=tuple(programme.playing.scenes),
        song=programme.song,
        scene=programme.scene,
        next_song=change.song if change is not None and other else None,
        next_scene=change.scene if change is not None and not other else None,
        change_left=math.inf if change is None or line is None else change.beat - line.beat_at(now),
        channels=_channels(c) if page in ("mix", "stems") else (),
        buses=buses_of(c) if page == "mix" else (),
        armed=c.armed,
        players=_players(c, now) if page == "players" else (),
        voices=tuple((n, f"voice.{n}" in mix.muted) for n in patch.voices),
        clock=_clock(c),
        vibes=tuple(PadVibe(n, c.steering.intensity_of(n)) for n in patch.vibes),
        cv=tuple(c.routes.values().items()),
        cv_out=tuple(c.routes.volts.items()),
        routes=tuple(PadRoute(n, n not in c.routes.off) for n in patch.routes),
        frozen=c.routes.frozen,
    )
    return replace(state, banks=MODULES[page].banks(state))


def _places(c: Conductor, role: str, now: int) -> list[PadStem | None]:
    """The variations of a role; where there is room, what failed since the last that did not."""
    places: list[PadStem | None] = [None] * VARIATIONS
    mine = [e for e in c.book.entries.values() if e.role == role]
    for entry in mine:
        if entry.variation and entry.state not in HIDDEN:
            places[entry.variation - 1] = _stem(c, entry, now)
    last = max(mine, key=lambda e: e.id, default=None)
    if last is not None and last.state is StemState.FAILED and None in places:
        places[places.index(None)] = _stem(c, last, now)
    return places


def _stem(c: Conductor, entry: StemEntry, now: int) -> PadStem:
    line = c.line
    left = phrases = math.inf
    if line is not None:
        if entry.beat is not None:
            left = max(0.0, entry.beat - line.beat_at(now))
        known = c.book.ready_in(entry, line, now)
        phrases = math.inf if known is None else known
    fallback = str(entry.provenance.get("fallback")) == "True"
    return PadStem(entry.id, entry.state, left, phrases, fallback, entry.pinned)


def buses_of(c: Conductor) -> tuple[str, ...]:
    """What sends can be moved to: the patch's other outputs, and the effects."""
    return (*(b for b in c.patch.outputs if b not in NOT_SENT_TO), *EFFECTS)


def _channels(c: Conductor) -> tuple[Channel, ...]:
    patch, mix, sends = c.patch, c.mix, c.programme.mix
    capturable = captured(c.started)
    buses = [(b, BUS_ORDER.index(b)) for b in buses_of(c)]
    found = [
        Channel(
            name,
            mix.levels.get(name, 0.0),
            name in mix.muted,
            name in mix.soloed,
            name in capturable,
            {bus: decibels(sends.in_force((i, b))) for bus, b in buses},
        )
        for i, name in enumerate(source_names(patch))
        if name != AUDITION
    ]
    whole = (*(f"group.{n}" for n in GROUPS), *(f"bus.{n}" for n in patch.outputs))
    return (*found, *(Channel(n, mix.levels.get(n, level_of(patch, n))) for n in whole))


def decibels(gain: float) -> float:
    """Of a linear gain; nothing is -90."""
    return max(-90.0, 20.0 * math.log10(gain)) if gain > 0.0 else -90.0


def _players(c: Conductor, now: int) -> tuple[PadPlayer, ...]:
    return tuple(
        PadPlayer(
            name,
            bool(player.to),
            name not in c.steering.off,
            name in c.steering.frozen,
            c.let_in and not c.dry and c.programme.allowed(name, now) and c.routes.lets(name),
            tuple(c.steering.controls_of(c.patch, name)),
        )
        for name, player in c.patch.players.items()
    )


def _clock(c: Conductor) -> PadClock:
    clock = c.clock
    if clock is None:
        return PadClock(bpm=c.programme.playing.bpm)
    return PadClock(
        clock.state.value,
        clock.line.bpm,
        clock.line.confidence,
        c.programme.held,
        clock.follow,
        bool(c.patch.clock.listen),
        clock.beat_by_hand,
        clock.waiting_factor,
    )
