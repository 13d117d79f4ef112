"""Pitches of a held note by aubio's YIN (A. de Cheveigné and H. Kawahara, "YIN, a fundamental
frequency estimator for speech and music", JASA 111, 2002), for the reference pitch."""

from __future__ import annotations

import numpy as np

WINDOW = 4096  # frames at 48 kHz: two periods of 24 Hz, below the lowest tuba
HOP = 512
METHOD = "yinfast"


def pitches(audio: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray, float]:
    """audio float32 (frames,) -> (Hz, confidence 0..1) of every hop, and a hop's seconds."""
    import aubio

    scale = 2 if rate >= 64_000 else 1
    hop = HOP * scale
    tracker = aubio.pitch(METHOD, WINDOW * scale, hop, rate)
    tracker.set_unit("Hz")
    tracker.set_silence(-90.0)
    x = np.clip(np.nan_to_num(audio, nan=0.0, posinf=0.0, neginf=0.0), -8.0, 8.0)
    x = np.ascontiguousarray(x, np.float32)
    found, sure = [], []
    for a in range(0, len(x) - hop + 1, hop):
        found.append(float(tracker(x[a : a + hop])[0]))
        sure.append(float(tracker.get_confidence()))
    return np.array(found), np.array(sure), hop / rate
