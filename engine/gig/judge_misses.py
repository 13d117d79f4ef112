"""Which clicks and dry gaps are those of missed cycles, and which are segue's own. Pure.

A missed cycle of segue's, by its own ledger, is believed only where the capture shows one: a gap is
heard within REACH_PERIODS after it, and a click stands, within SEAM_FRAMES, where a period of the
server begins. Everything else came out of cycles that were played in time: a fault of segue's,
whatever the machine did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from engine.gig.night import Night

REACH_PERIODS = 4  # one of latency, the missed one, and one for each that was missed with it
SEAM_FRAMES = 1
OWN_KEYS = ("clicks_of_our_own", "dry_gap_frames_of_our_own")
LONG = 0.5  # of a period: a cycle that took so long by itself was not woken late


class _Found(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def frame(self) -> int: ...
    @property
    def frames(self) -> int: ...


def of_a_miss(night: Night, kind: str, frame: int) -> bool:
    """Whether a click or dry gap at a frame is what a missed cycle does."""
    missed = np.asarray(night.missed, np.int64)
    since = frame - missed[missed <= frame + SEAM_FRAMES]
    if not len(since) or since.min() > REACH_PERIODS * night.block:
        return False
    place = (night.start + frame + SEAM_FRAMES) % night.block
    return kind != "clicks" or place <= 2 * SEAM_FRAMES


def own_counts(night: Night, found: Sequence[_Found]) -> dict[str, int]:
    """OWN_KEYS: clicks, and frames of dry gaps, that no missed cycle explains."""
    own = [f for f in found if f.kind in ("clicks", "dry_gap_frames")]
    own = [f for f in own if not of_a_miss(night, f.kind, f.frame)]
    return {
        "clicks_of_our_own": sum(f.kind == "clicks" for f in own),
        "dry_gap_frames_of_our_own": sum(f.frames for f in own if f.kind == "dry_gap_frames"),
    }


def miss_kinds(
    ours: Sequence[int], long: Sequence[int], others: np.ndarray, block: int
) -> dict[str, Any]:
    """Segue's missed cycles by what is known of them. ours: first frames, of them `long` those that
    took over LONG of a period themselves; others: those of clients that owe segue nothing."""
    counts = {"with_others": 0, "ran_long": 0, "woken_late": 0}
    for frame in ours:
        if len(others) and int(np.abs(others - frame).min()) <= block:
            counts["with_others"] += 1
        else:
            counts["ran_long" if frame in long else "woken_late"] += 1
    return counts
