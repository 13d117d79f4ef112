"""Rule-based StemMaker: exact, in key, never late (milliseconds), needs no weights.

The same request gives the same notes; another seed gives a variation on the same chords.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.adapter import AdapterError
from engine.stem import StemNote, StemRequest
from models.rules import parts
from models.rules.drums import drums
from models.rules.harmony import Harmony, harmony

MAX_BARS = 64
MAX_METRE = 16

PITCHED: dict[str, Callable[[Harmony, int, int, float, random.Random], list[StemNote]]] = {
    "bass": parts.bass,
    "chords": parts.chords,
    "pads": parts.pads,
    "arp": parts.arp,
    "melody": parts.melody,
}
PARTS = ("drums", *PITCHED)

# What musicians call them -> the part that is played.
ALIASES = {
    "drum": "drums", "beat": "drums", "percussion": "drums", "perc": "drums", "kit": "drums",
    "basses": "bass", "sub": "bass",
    "chord": "chords", "keys": "chords", "piano": "chords", "comp": "chords", "guitar": "chords",
    "harmony": "chords",
    "pad": "pads", "strings": "pads", "choir": "pads", "texture": "pads",
    "arpeggio": "arp", "sequence": "arp",
    "lead": "melody", "solo": "melody", "hook": "melody", "riff": "melody",
}  # fmt: skip


def part_of(role: str, program: int = 0, drums: bool = False) -> str:
    """The part that a role plays: by its name ("lead", "bass 2"), else by its instrument."""
    if drums:
        return "drums"
    name = role.strip().lower().rstrip(" _-0123456789")
    name = ALIASES.get(name, name)
    if name in PARTS:
        return name
    if 32 <= program < 40:
        return "bass"
    if 88 <= program < 96 or 48 <= program < 56:
        return "pads"
    return "chords" if program < 32 else "melody"


def check_request(request: StemRequest) -> None:
    """Raise AdapterError on a request that no maker here can answer."""
    if not 1 <= request.bars <= MAX_BARS:
        raise AdapterError(f"stem request: bars is {request.bars}, expected 1 to {MAX_BARS}")
    if not 1 <= request.beats_per_bar <= MAX_METRE:
        raise AdapterError(
            f"stem request: beats_per_bar is {request.beats_per_bar}, expected 1 to {MAX_METRE}"
        )


def tidy(notes: list[StemNote], beats: float) -> list[StemNote]:
    """Sort, clip to [0, beats), drop the second of two equal onsets of a key, end a note where the
    same key starts anew."""
    kept: dict[tuple[float, int], StemNote] = {}
    for n in notes:
        if not 0 <= n.start < beats:
            continue
        kept.setdefault((n.start, n.key), n)
    ordered = sorted(kept.values(), key=lambda n: (n.start, n.key))
    following: dict[int, float] = {}
    out = []
    for n in reversed(ordered):
        end = min(n.start + n.duration, beats, following.get(n.key, beats))
        following[n.key] = n.start
        velocity = max(1, min(127, n.velocity))
        out.append(StemNote(n.start, end - n.start, n.key, velocity, n.program, n.drums))
    return out[::-1]


class RulesMaker:
    """StemMaker. config: {"program": int, "drums": bool} as the pool gives them."""

    def __init__(self) -> None:
        self.program = 0
        self.drums = False

    def load(self, checkpoint: Path | None, rate: int, config: dict[str, Any]) -> None:
        """Take the instrument; there is nothing to load. Raises AdapterError on a checkpoint."""
        if checkpoint is not None:
            raise AdapterError(f"{checkpoint}: the rules maker has no checkpoint; leave it out")
        self.program = int(config.get("program", 0))
        self.drums = bool(config.get("drums", False))

    def generate(
        self,
        request: StemRequest,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> list[StemNote]:
        """Notes of exactly request.bars bars. Milliseconds; looks at `cancelled` once."""
        check_request(request)
        if cancelled():
            raise AdapterError("stem cancelled")
        part = part_of(request.role, self.program, self.drums)
        density = max(0.0, min(1.0, request.density))
        rng = random.Random(f"{part}/{request.seed}")
        if part == "drums":
            notes = drums(request.bars, request.beats_per_bar, density, rng)
        else:
            h = harmony(request.key, request.minor, request.bars, request.vibe)
            played = PITCHED[part](h, request.bars, request.beats_per_bar, density, rng)
            notes = [StemNote(n.start, n.duration, n.key, n.velocity, self.program) for n in played]
        progress(1.0)
        return tidy(notes, request.beats)
