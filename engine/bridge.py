"""Sound over a few lost milliseconds, made from both sides of the hole.

Each side is carried on by linear prediction, the way it would have gone on by itself, and the two
are crossfaded: Kauppinen and Roth, "Audio signal extrapolation - theory and applications"
(DAFx 2002), with Burg's recursion for the predictor. For stems cut out of live sound, in which a
cycle that was missed once would be heard again at every pass. Pure; not real-time safe.
"""

from __future__ import annotations

import numpy as np

CONTEXT = 2048  # frames of each side that the predictor is learned from
ORDER_MOST = 256
BRIDGE_MOST = 1024  # longer holes stay silent between soft edges
EDGE = 128  # frames of such an edge
HOLES_MOST = 32  # bridged, some 5 ms each for a row; sound with more of them is no music any more


def burg(sound: np.ndarray, order: int) -> np.ndarray:
    """Predictor coefficients a, float64 (order,): x[n] is about the sum of a[k] x[n-1-k]."""
    forward, backward = sound[1:].astype(np.float64), sound[:-1].astype(np.float64)
    a = np.ones(1)
    for _ in range(order):
        power = float(forward @ forward + backward @ backward)
        if power < 1e-12:
            break
        k = -2.0 * float(forward @ backward) / power
        wide = np.concatenate([a, [0.0]])
        a = wide + k * wide[::-1]
        forward, backward = (forward + k * backward)[1:], (backward + k * forward)[:-1]
    return -a[1:]


def carried_on(before: np.ndarray, frames: int) -> np.ndarray:
    """What would have come after a mono sound, float64 (frames,)."""
    a = burg(before, min(ORDER_MOST, len(before) // 4))
    past = np.concatenate([before.astype(np.float64), np.zeros(frames)])
    if len(a):
        for n in range(len(before), len(past)):
            past[n] = a @ past[n - len(a) : n][::-1]
    most = float(np.abs(before).max(initial=0.0))  # a predictor may run away
    return np.clip(past[len(before) :], -most, most)


def bridge(audio: np.ndarray, holes: list[tuple[int, int]]) -> None:
    """Fill the holes [first, last) of float32 (rows, frames), in order and apart, in place."""
    edges = [0, *(k for hole in holes for k in hole), audio.shape[1]]
    for place, (first, last) in enumerate(holes):
        free, until = edges[2 * place], edges[2 * place + 3]
        if last - first > BRIDGE_MOST or place >= HOLES_MOST:
            _soften(audio, first, last, free, until)
            continue
        share = (np.arange(last - first) + 1.0) / (last - first + 1.0)
        for row in audio:
            past = carried_on(row[max(free, first - CONTEXT) : first], last - first)
            after = carried_on(row[last : min(until, last + CONTEXT)][::-1], last - first)[::-1]
            row[first:last] = past * (1.0 - share) + after * share


def _soften(audio: np.ndarray, first: int, last: int, free: int, until: int) -> None:
    """Fade out before a hole and in after it."""
    n, m = min(EDGE, first - free), min(EDGE, until - last)
    audio[:, first - n : first] *= np.linspace(1.0, 0.0, n, dtype=np.float32)
    audio[:, last : last + m] *= np.linspace(0.0, 1.0, m, dtype=np.float32)
