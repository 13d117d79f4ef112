"""A row of the conductor's book of stems (engine/stem_book.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.stem import StemState, step


@dataclass
class StemEntry:
    """One stem's row. slot: place in the arena; voice: slot in the audio process (-1: none);
    beat: where its next step happens, None: nowhere; sent: the audio process was told the frame of
    that step (start_frame, or stop_frame when it retires) and has not answered yet."""

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

    def become(self, state: StemState) -> None:
        self.state = step(self.state, state)
