"""A row of the conductor's book of stems (engine/stem_book.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from engine.stem import Play, StemState, step
from engine.timeline import Boundary


@dataclass
class StemEntry:
    """One stem's row. slot: place in the arena; voice: slot in the audio process (-1: none);
    beat: where its next step happens, None: nowhere; sent: the audio process was told the frame of
    that step (start_frame, or stop_frame when it retires) and has not answered yet.

    beats: its length. variation: its place among its role's, 1 to VARIATIONS, 0: none. pinned: a
    hand keeps it there. play: how it is played unless a press says otherwise; turn: how it is
    played this time; at: the boundary a press asked for, None: its role's. until: the beat where
    what plays once ends. began: the beat where it began. stretch_of: the id of the stem it was
    stretched from, 0: none. midi: its slot holds notes (engine/stem_notes.py). choke: a group of
    its own beside its role's; of a group one sounds.
    source: what it was captured from, '': it was made. fresh: captured, not in the queue yet. held:
    captured where nothing might enter, so it enters by a hand only. undone: a hand has taken back
    that it was asked for, so it is given up once it is ready.
    want: what it is made for (engine/song_wants.py), empty: it fits everywhere. anchor: beat of its
    start on the line of the song that begins there, where that is another. progress: 0-1, of its
    making, as its maker tells."""

    id: int
    role: str
    state: StemState
    slot: int
    bpm: float
    seed: int
    requested_frame: int
    frames: int = 0
    loop: float = 0.0
    voice: int = -1
    beat: float | None = None
    sent: bool = False
    start_frame: int = 0
    stop_frame: int = 0  # told to end here; 0: not
    provenance: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    beats: float = 0.0
    variation: int = 0
    pinned: bool = False
    play: Play = Play.LOOP
    turn: Play = Play.LOOP
    at: Boundary | None = None
    until: float | None = None
    choke: str = ""
    began: float = 0.0
    stretch_of: int = 0
    midi: bool = False
    want: dict[str, Any] = field(default_factory=dict)
    anchor: float | None = None
    source: str = ""
    fresh: bool = False
    held: bool = False
    undone: bool = False
    progress: float = 0.0

    def become(self, state: StemState) -> None:
        self.state = step(self.state, state)

    def to_dict(self) -> dict[str, Any]:
        """JSON values, for journal and status."""
        return {k: v.value if isinstance(v, Enum) else v for k, v in vars(self).items()}

    @staticmethod
    def from_dict(row: dict[str, Any]) -> StemEntry:
        """What to_dict wrote."""
        kinds: dict[str, type[Enum]] = {
            "state": StemState, "play": Play, "turn": Play, "at": Boundary
        }  # fmt: skip
        known: dict[str, Any] = {
            k: kinds[k](v) if k in kinds and v is not None else v for k, v in row.items()
        }
        return StemEntry(**known)
