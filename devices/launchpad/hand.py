"""One pair of hands on one surface: what is held, and which page they look at.

Presses go in with the state that was last painted (a press means what was seen), actions for the
conductor come out; what concerns the surface alone is done here. A tap on a page's button stays
there; held half a second, or while something else is pressed, it is a glance: letting go leads
back. Only presses act, never releases, and a release that does not come (the device is gone) leaves
nothing held. Pure: times are CLOCK_MONOTONIC nanoseconds. Not thread-safe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from devices.launchpad.layout import PAGE_BUTTONS, Action, ActionKind, Local, PageState
from devices.launchpad.pages import action
from engine.surface import Press, PressKind

GLANCE_NS: Final = 500_000_000  # a page's button held this long is no tap
LIT_NS: Final = 80_000_000  # the shortest press stays lit so long
FIRMER: Final = 6  # of 127: by so much pressure has to grow to say anything new


@dataclass
class _Glance:
    """A page's button that is held. page, bank: where it leads back to."""

    index: int
    since_ns: int
    page: str
    bank: int
    used: bool = False


class Hand:
    """See the module. local: what this surface shows."""

    def __init__(self) -> None:
        self.local = Local()
        self.held: dict[int, int] = {}  # cell -> strongest pressure so far, in order of press
        self._lit: dict[int, int] = {}  # cell -> until when it shows that it was pressed
        self._glances: list[_Glance] = []
        self._deaf: set[int] = set()  # held cells whose pressure means nothing

    def pressed(self, now_ns: int) -> frozenset[int]:
        """Cells to light as pressed."""
        self._lit = {cell: until for cell, until in self._lit.items() if until > now_ns}
        return frozenset((*self.held, *self._lit))

    def press(self, press: Press, shown: PageState, now_ns: int) -> Action | None:
        """Take one press; returns what the conductor, or who paints (REPAINT), has to do."""
        match press.kind:
            case PressKind.LOST | PressKind.CONNECTED:
                self._let_go(now_ns)
            case PressKind.UP:
                self._release(press.index, now_ns)
            case PressKind.PRESSURE:
                return self._lean(press, shown)
            case PressKind.DOWN:
                self._release(press.index, now_ns)  # it was held already: its release was lost
                self.held[press.index] = press.value
                self._lit[press.index] = now_ns + LIT_NS
                if press.index not in PAGE_BUTTONS:
                    for glance in self._glances:
                        glance.used = True
        found = action(press, self._seen(shown))
        if found is None:
            return None
        if found.kind is ActionKind.VIBE and not found.words["value"]:
            self._deaf.add(press.index)
        if found.kind is ActionKind.PAGE:
            self._turn(found.words["page"], press.index, now_ns)
            return None
        return self._select(found)

    def keep_to(self, pages: tuple[str, ...]) -> None:
        """Only these pages are there (any more)."""
        if self.local.page not in pages:
            self.local = replace(self.local, page=pages[0], bank=0)
        self._glances = [g for g in self._glances if g.page in pages]

    def _seen(self, shown: PageState) -> PageState:
        """What was painted, with what the hand has done since."""
        return replace(
            shown, local=self.local, selected=self.local.selected, held=frozenset(self.held)
        )

    def _lean(self, press: Press, shown: PageState) -> Action | None:
        """Pressure; a device that tells only the strongest (index 0) means the newest press."""
        index = press.index or next(reversed(self.held), 0)
        if index not in self.held or index in self._deaf:
            return None
        if press.value < self.held[index] + FIRMER:
            return None
        self.held[index] = press.value
        return action(replace(press, index=index), self._seen(shown))

    def _select(self, found: Action) -> Action | None:
        slot = found.slot or 0
        match found.kind:
            case ActionKind.SELECT_ROLE:
                self.local = replace(self.local, selected=slot)
            case ActionKind.SELECT_PLAYER:
                self.local = replace(self.local, player=slot, bank=0)
            case ActionKind.SELECT_BUS:
                self.local = replace(self.local, bus=slot)
            case ActionKind.SELECT_ROW:
                self.local = replace(self.local, row=slot)
            case ActionKind.SELECT_PLANE:
                self.local = replace(self.local, plane=bool(slot))
            case ActionKind.BANK:
                self.local = replace(self.local, bank=slot)
            case _:
                return found
        return None

    def _turn(self, page: str, index: int, now_ns: int) -> None:
        if page == self.local.page:
            return
        self._glances.append(_Glance(index, now_ns, self.local.page, self.local.bank))
        self.local = replace(self.local, page=page, bank=0)

    def _release(self, index: int, now_ns: int) -> None:
        self.held.pop(index, None)
        self._deaf.discard(index)
        at = next((i for i, g in enumerate(self._glances) if g.index == index), None)
        if at is None:
            return
        glance = self._glances.pop(at)
        if not glance.used and now_ns - glance.since_ns < GLANCE_NS:
            return
        if at < len(self._glances):  # another page's button is held on top of it: that leads back
            self._glances[at].page, self._glances[at].bank = glance.page, glance.bank
        else:
            self.local = replace(self.local, page=glance.page, bank=glance.bank)

    def _let_go(self, now_ns: int) -> None:
        for index in reversed(list(self.held)):
            self._release(index, now_ns)
        self._lit.clear()
