"""Where a stem's slot lies in the arena: slots for stems that are made, then larger ones for what
is captured. A slot holds left, then right, each as long as the stem."""

from __future__ import annotations

from dataclasses import dataclass

from engine.capture import capture_frames
from engine.patch import Patch
from engine.song import slowest_bar_s

SLOWER = 0.75  # of the slowest song's tempo: stems may get as long as that makes them
SPARE_SLOTS = 8


@dataclass(frozen=True)
class Arena:
    """Counts, and sizes in frames. Offsets are in floats, as STEM_PLAY has them."""

    slots: int
    slot_frames: int
    captures: int = 0
    capture_frames: int = 0

    @property
    def floats(self) -> int:
        return 2 * (self.slots * self.slot_frames + self.captures * self.capture_frames)

    def base(self, slot: int) -> int:
        """A slot's first float."""
        made = min(slot, self.slots)
        return 2 * (made * self.slot_frames + (slot - made) * self.capture_frames)

    def room(self, slot: int) -> int:
        """Frames that a slot holds."""
        return self.slot_frames if slot < self.slots else self.capture_frames

    @property
    def megabytes(self) -> float:
        return self.floats * 4 / 1e6


def stem_slot_frames(patch: Patch) -> int:
    """Frames of one slot: the longest role at three quarters of the slowest song's tempo."""
    bars = max((role.bars for role in patch.roles.values()), default=1)
    return int(bars * slowest_bar_s(patch) / SLOWER * patch.audio.rate) + 64


def arena_of(patch: Patch) -> Arena:
    """What a performance of the patch needs."""
    slots = SPARE_SLOTS + 3 * sum(role.ahead + 2 for role in patch.roles.values())
    return Arena(slots, stem_slot_frames(patch), patch.capture.kept, capture_frames(patch))
