"""Where things are on the pads, what a press may ask for, and all that a page may show.

On every page alike (engine/surface.py says how cells are numbered):

    91 92     the next eight of what does not fit       93-98, 4   the pages
    row 8     one  tap  let in  next  again  click  repaint  DRY
    101-108   the phrase: where it is; while a stem is held, how long it still takes
    90        Shift                                     80, 70     tempo
    60 50     next song, next scene                     40, 30     standby, end
    20 10     undo, capture                             8          Stop Clip: held, panic

Pages (devices/launchpad/pages/) have rows 1-7, the column to the right, and buttons 1-3. DRY and
panic are `safe`: the midi process has sent them to the audio process already, so whoever gets that
action only shows and logs it.

Pure data.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeVar

from devices.launchpad.mk3 import SHIFT, STOP_CLIP, UPPER_BOTTOM
from engine.patch import PAGES
from engine.stem import StemState
from engine.surface import AMBER, GREEN, GREY, RED, RGB, WHITE

T = TypeVar("T")

COLUMNS: Final = 8
TRANSPORT_ROW: Final = 8
DRY_PAD: Final = 88
PANIC_BUTTON: Final = STOP_CLIP
TEMPO_UP, TEMPO_DOWN = 80, 70
SONG_BUTTONS: Final = (60, 50, 40, 30)
UNDO, CAPTURE = 20, 10  # the buttons "play" and "record"
BANK_BACK, BANK_ON = 91, 92  # left and right
PHRASE_CELLS: Final = UPPER_BOTTOM
# By what is printed there: Session, Projects, Volume, Note, Sequencer, Chord, Custom.
PAGE_BUTTONS: Final = dict(zip((93, 98, 4, 94, 97, 95, 96), PAGES, strict=True))
ARM, MUTE, SOLO = 1, 2, 3  # the buttons that say what row 1 of the mix does
DIM, BRIGHT = 0.15, 1.0

# The page of stems.
ROLE_ROW, QUEUE_ROW, PARAMETER_ROW = 1, 6, 7
STEM_ROWS: Final = (5, 4, 3, 2)  # the first role shown is the uppermost


class ActionKind(Enum):
    """Values are names in engine.conductor_hands.ACTIONS, but for LOCAL ones."""

    THIS_IS_ONE = "this_is_one"  # a hand says: this beat is the first of a bar
    TAP = "tap"
    LET_IN = "let_in"  # toggles: may stems enter
    NEXT = "next"
    REGENERATE = "regenerate"  # other stems for the selected role
    CLICK = "click"  # toggles the metronome
    DRY = "dry"
    PANIC = "panic"
    QUEUE_STEM = "queue_stem"
    UNQUEUE_STEM = "unqueue_stem"
    STOP_STEM = "stop_stem"
    KEEP_STEM = "keep_stem"  # it was stopping, let it play on
    PIN_STEM = "pin_stem"
    AUDITION = "audition"  # on the cue bus alone
    STOP_ROLE = "stop_role"
    STOP_ALL = "stop_all"
    DENSITY = "density"  # of the stems asked for from now on
    CAPTURE = "capture"  # the last bars become a stem
    ARM = "arm"  # what CAPTURE takes
    TEMPO_UP = "tempo_up"
    TEMPO_DOWN = "tempo_down"
    TEMPO = "tempo"
    NUDGE = "nudge"
    SHIFT = "shift"  # of the beat
    DOUBLE = "double"
    HALVE = "halve"
    HOLD = "hold"
    LET_GO = "let_go"
    FOLLOW = "follow"
    PHRASE = "phrase"
    NEXT_SONG = "next_song"
    NEXT_SCENE = "next_scene"
    SONG = "song"
    SCENE = "scene"
    STANDBY = "standby"
    END = "end"
    LEVEL = "level"
    SEND = "send"
    MUTE = "mute"
    SOLO = "solo"
    PLAYER = "player"  # may it play
    CONTROL = "control"  # of a player
    FREEZE_PLAYER = "freeze_player"
    CENTRE = "centre"  # all controls of a player at rest
    VIBE = "vibe"
    FREEZE = "freeze"  # chaos of control voltages
    ROUTE = "route"  # of a control voltage
    UNDO = "undo"
    REPAINT = "repaint"
    PAGE = "page"
    BANK = "bank"
    SELECT_ROLE = "select_role"
    SELECT_PLAYER = "select_player"
    SELECT_BUS = "select_bus"  # what the faders of the mix move
    SELECT_ROW = "select_row"  # what row 1 of the mix does
    SELECT_PLANE = "select_plane"  # two controls of a player as a plane, or all as faders


LOCAL: Final = frozenset(
    {
        ActionKind.REPAINT,
        ActionKind.PAGE,
        ActionKind.BANK,
        ActionKind.SELECT_ROLE,
        ActionKind.SELECT_PLAYER,
        ActionKind.SELECT_BUS,
        ActionKind.SELECT_ROW,
        ActionKind.SELECT_PLANE,
    }
)


@dataclass(frozen=True)
class Action:
    """role: name. stem: id. slot: place in the row, from 0; of LOCAL kinds what is selected. safe:
    done already, see above. words: the rest of what goes with it, as in engine.ask.Ask."""

    kind: ActionKind
    role: str | None = None
    stem: int | None = None
    slot: int | None = None
    safe: bool = False
    words: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PadStem:
    """A stem on a pad. beats_left: to the boundary where its queued step happens. phrases_left:
    until it will be ready, as far as can be told (inf: not yet). fallback: the rules made it in a
    model's place."""

    id: int
    state: StemState
    beats_left: float = math.inf
    phrases_left: float = math.inf
    fallback: bool = False
    pinned: bool = False


@dataclass(frozen=True)
class Channel:
    """A column of the mix. db: of its fader. sends: dB by bus; no key: none to move."""

    name: str
    db: float = 0.0
    muted: bool = False
    soloed: bool = False
    captures: bool = False  # CAPTURE can take it
    sends: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_source(self) -> bool:
        """A group's and a bus's level is all that there is of it here."""
        return not self.name.startswith(("group.", "bus."))


@dataclass(frozen=True)
class PadPlayer:
    """controls: -1..1 each, as hands and vibe have set them."""

    name: str
    texture: bool
    on: bool = True
    frozen: bool = False
    plays: bool = False  # scene, standby, voltages and hands let it
    controls: tuple[float, ...] = ()


@dataclass(frozen=True)
class PadClock:
    state: str = "internal"
    bpm: float = 120.0
    confidence: float = 1.0
    held: bool = False
    follows: bool = False
    can_follow: bool = False
    by_hand: bool = False
    factor: float = 1.0  # of the tempo, from the next bar on


@dataclass(frozen=True)
class PadVibe:
    name: str
    intensity: float = 0.0


@dataclass(frozen=True)
class PadRoute:
    name: str
    on: bool = True


@dataclass(frozen=True)
class Local:
    """What a surface has of its own. bank: pages of eight that were gone on; bus: index of what the
    faders move (0: the fader itself); row: ARM, MUTE or SOLO; plane: see SELECT_PLANE."""

    page: str = PAGES[0]
    selected: int = 0  # role
    bank: int = 0
    player: int = 0
    bus: int = 0
    row: int = MUTE
    plane: bool = False


@dataclass(frozen=True)
class PageState:
    """All that pages show. roles: in the patch's order, each with its stems by slot (None: empty
    slot). queue: (role, stem id), soonest first. selected: index into roles. pages: those there
    are. pressed: cells held down, or a moment ago."""

    roles: Mapping[str, list[PadStem | None]] = field(default_factory=dict)
    queue: tuple[tuple[str, int], ...] = ()
    selected: int = 0
    muted: frozenset[str] = frozenset()  # roles
    soloed: frozenset[str] = frozenset()
    pressed: frozenset[int] = frozenset()  # a press answers at once
    held: frozenset[int] = frozenset()
    dry: bool = False
    let_in: bool = False
    click: bool = False
    standby: bool = False
    changing: ActionKind | None = None  # NEXT_SONG or NEXT_SCENE, waiting for its boundary
    ending: bool = False
    beats_per_bar: int = 4
    bars_per_phrase: int = 4
    pages: tuple[str, ...] = PAGES
    local: Local = field(default_factory=Local)
    banks: int = 1  # of this page
    undo: str = ""  # the action that would be undone
    captures: bool = False  # something is remembered that CAPTURE could take
    densities: Mapping[str, float] = field(default_factory=dict)  # by role
    songs: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    song: int = 0
    scene: int = 0
    next_song: int | None = None  # that waits for its boundary
    next_scene: int | None = None
    change_left: float = math.inf  # beats
    channels: tuple[Channel, ...] = ()
    buses: tuple[str, ...] = ()  # that sends go to
    armed: str = ""  # the source that CAPTURE takes
    players: tuple[PadPlayer, ...] = ()
    voices: tuple[tuple[str, bool], ...] = ()  # name, muted
    clock: PadClock = field(default_factory=PadClock)
    vibes: tuple[PadVibe, ...] = ()
    cv: tuple[tuple[str, float], ...] = ()  # what comes in: name, 0..1
    cv_out: tuple[tuple[str, float], ...] = ()  # what leaves: name, volts
    routes: tuple[PadRoute, ...] = ()
    frozen: bool = False

    @property
    def shift(self) -> bool:
        return SHIFT in self.held

    @property
    def role(self) -> str | None:
        """The selected one."""
        names = list(self.roles)
        return names[self.selected] if self.selected < len(names) else None


TRANSPORT: Final[tuple[tuple[ActionKind, RGB], ...]] = (
    (ActionKind.THIS_IS_ONE, WHITE),
    (ActionKind.TAP, AMBER),
    (ActionKind.LET_IN, GREEN),
    (ActionKind.NEXT, (0, 80, 127)),
    (ActionKind.REGENERATE, (90, 0, 127)),
    (ActionKind.CLICK, (60, 60, 60)),
    (ActionKind.REPAINT, GREY),
    (ActionKind.DRY, RED),
)
# With Shift: column -> what it asks for then.
SHIFTED: Final[Mapping[int, tuple[ActionKind, RGB]]] = {
    4: (ActionKind.STOP_ALL, RED),
    5: (ActionKind.FREEZE, (0, 110, 110)),
}

SONGS: Final[tuple[tuple[ActionKind, RGB], ...]] = (
    (ActionKind.NEXT_SONG, (0, 80, 127)),
    (ActionKind.NEXT_SCENE, (0, 127, 60)),
    (ActionKind.STANDBY, AMBER),
    (ActionKind.END, (127, 0, 60)),
)


def pad(row: int, column: int) -> int:
    """The cell index of a pad; rows and columns from 1, row 1 at the bottom."""
    return 10 * row + column


def place(index: int) -> tuple[int, int] | None:
    """(row, column) of a pad, both from 1; None for what is none."""
    row, column = divmod(index, 10)
    return (row, column) if 1 <= row <= 8 and 1 <= column <= COLUMNS else None


def eights(things: Collection[object]) -> int:
    """Banks of eight that things take, at least one."""
    return max(1, -(-len(things) // COLUMNS))


def bank(things: Sequence[T], number: int) -> list[T]:
    """The eight of `things` in a bank; a number beyond the last means the last."""
    first = min(number, eights(things) - 1) * COLUMNS
    return list(things[first : first + COLUMNS])
