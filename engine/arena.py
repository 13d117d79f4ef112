"""Where a stem's slot lies in the arena: slots for stems that are made, then larger ones for what
is captured. A slot holds left, then right, each as long as the stem."""

from __future__ import annotations

from dataclasses import dataclass


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
