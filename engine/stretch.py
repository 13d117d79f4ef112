"""A loop at another tempo, by Signalsmith Stretch (python-stretch): `python -m engine.stretch`.

For stems so far from the performance's tempo that the joins of their slices are heard
(engine/slices.py). Runs in a process of its own (native code, and a second or so of one core),
which the pool's process starts for each loop; never in the audio process. The same loop gives the
same bits.

    python -m engine.stretch PARENT_PID FOLDER FROM FRAMES LOOP INTO TO

FROM, INTO: slots of the arena. FRAMES, LOOP: what lies in FROM. TO: the exact length wanted. Exit
code 0: round(TO) frames lie in INTO. Anything else: nothing is promised of what lies there.
"""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine.shm import Shared
from engine.worker import give_way

AROUND_S = 1.0  # of the loop, heard before it and after it: its ends are joined like its middle
SEAM_FRAMES = 256  # the head is faded in from what really follows the end
FACTOR_MAX = 2.0
PEAK_MAX = 0.886  # -1.05 dBFS: phases move, and peaks with them
SEED = 1
PATIENCE_S = 30.0
ORDER = ("from", "frames", "loop", "into", "to")  # as on the command line
log = logging.getLogger("segue.stretch")


class StretchError(ValueError):
    """A loop that cannot be stretched: says what was found."""


def stretch_loop(
    audio: np.ndarray, loop: float, to: float, rate: int, semitones: int = 0
) -> np.ndarray:
    """float32 (2, frames) of exact length `loop` as float32 (2, round(to)), `semitones` higher.

    Raises StretchError beyond FACTOR_MAX either way, or on audio that is not finite.
    """
    from python_stretch.Signalsmith import Stretch

    factor = loop / to if to > 0 else math.inf
    if not 1.0 / FACTOR_MAX <= factor <= FACTOR_MAX:
        raise StretchError(f"loop of {loop:.0f} frames to {to:.0f}: more than {FACTOR_MAX:g} times")
    if audio.ndim != 2 or audio.shape[1] < 1 or not np.isfinite(audio).all():
        raise StretchError("the loop's audio is empty or not finite")
    around = round(AROUND_S * rate)
    index = np.arange(-around, round(loop) + around) % audio.shape[1]
    engine = Stretch(SEED)
    engine.preset(audio.shape[0], rate)
    engine.setTimeFactor(factor)
    if semitones:
        engine.setTransposeSemitones(semitones)
    out = np.asarray(engine.process(np.ascontiguousarray(audio[:, index], np.float32)))
    first, frames = round(around / factor), round(to)
    kept = out[:, first : first + frames].copy()
    seam = min(SEAM_FRAMES, frames)
    after = out[:, first + frames : first + frames + seam]
    if kept.shape[1] != frames or after.shape[1] != seam:
        raise StretchError(f"{out.shape[1]} frames came back, expected {frames + 2 * first}")
    fade = np.linspace(0.0, 1.0, seam, endpoint=False, dtype=np.float32)
    kept[:, :seam] = after * (1.0 - fade) + kept[:, :seam] * fade
    peak = float(np.abs(kept).max())
    if not math.isfinite(peak):
        raise StretchError("the stretched loop is not finite")
    wanted = max(float(np.abs(audio).max()), PEAK_MAX)
    return (kept * np.float32(min(1.0, wanted / max(peak, 1e-9)))).astype(np.float32)


def stretch_slot(shared: Shared, order: dict[str, float]) -> dict[str, Any]:
    """Do what an order of engine/stem_stretch.py says, in the arena; returns what to tell the
    conductor of it."""
    source, into, frames = int(order["from"]), int(order["into"]), int(order["frames"])
    places = shared.places
    loop, to = order["loop"], order["to"]
    try:
        if not 0 < frames <= places.room(source) or round(to) > places.room(into):
            raise StretchError(f"{frames} frames to {to:.0f}, a slot holds {places.room(into)}")
        base = places.base(source)
        audio = shared.arena[base : base + 2 * frames].reshape(2, frames)
        made = stretch_loop(audio, loop, to, shared.patch.audio.rate)
    except StretchError as error:
        return {"event": "failed", "reason": str(error)}
    base, count = places.base(into), made.shape[1]
    shared.arena[base : base + 2 * count] = made.reshape(-1)
    return _ready(to)


def _ready(to: float) -> dict[str, Any]:
    facts = {"frames": round(to), "loop": to, "provenance": {"maker": "stretch"}}
    return {"event": "ready", **facts}


class Stretching:
    """A process at work on one loop, as the pool's process sees it. Nothing here waits."""

    def __init__(self, folder: Path, parent: int, order: dict[str, float]) -> None:
        """order: of engine/stem_stretch.py. Raises OSError."""
        self.to = float(order["to"])
        command = [sys.executable, "-m", "engine.stretch", str(parent), str(folder)]
        self._process = subprocess.Popen(
            [*command, *(str(order[n]) for n in ORDER)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        self._until = time.monotonic() + PATIENCE_S

    def answer(self) -> dict[str, Any] | None:
        """What to tell the conductor of it, once it is over."""
        code = self._process.poll()
        if code is None:
            if time.monotonic() < self._until:
                return None
            self.close()
            return {"event": "failed", "reason": f"stretching took over {PATIENCE_S:g} s"}
        if code:
            return {"event": "failed", "reason": f"stretching ended with {code}, see the log"}
        return _ready(self.to)

    def close(self) -> None:
        """Kill and reap."""
        self._process.kill()
        self._process.wait()


def main() -> int:
    give_way(int(sys.argv[1]))
    shared = Shared.open(sys.argv[2])
    order = dict(zip(ORDER, (float(x) for x in sys.argv[3:]), strict=True))
    answer = stretch_slot(shared, order)
    if answer["event"] == "failed":
        log.warning("%s", answer["reason"])
        return 1
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="stretch: %(message)s")
    sys.exit(main())
