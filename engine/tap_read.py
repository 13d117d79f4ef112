"""What every reader of a tap has to know of its frames. Pure."""

from __future__ import annotations

import numpy as np

AGAIN_FRAMES = 8192  # so far back is the same time told twice; farther, another time


def unheard(expected: int, frame: int, data: np.ndarray) -> tuple[int, np.ndarray]:
    """(frame, data (rows, n)) without what came before `expected`: JACK hands a cycle to a client
    that was late with it a second time, under the same frame, and so it comes through a tap twice.
    n may be 0 then. Who began anew at it instead forgot bars, or the beat for a quarter of a
    minute."""
    over = expected - frame
    if not 0 < over <= AGAIN_FRAMES:
        return frame, data
    cut = min(over, data.shape[1])
    return frame + cut, data[:, cut:]
