"""Measurements of `segue bench performance`: modules with `measure() -> dict[str, Any]`.

stem_onset   where the onsets of an audio stem fall while the tempo moves
seam         what is to be heard where its slices are joined
cv           how far captured voltages are from what was played
session      what recording costs the audio process, and a session rendered again
capture      from the request for the last bars to a stem that is ready
changes      what a change of song or scene, a reload, a capture cost: misses, steps in the sound

Each is named in engine/bench/performance.py and may be run alone: `segue bench performance --only
NAME`. Not real-time safe.
"""

from __future__ import annotations


class MeasureError(RuntimeError):
    """A figure that cannot be had here; says what is missing and what to do."""
