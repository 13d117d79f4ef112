"""What is proved of a plug-in, in a process of its own: `python -m engine.plugin_child JSON`.

It may crash, hang or print as it likes: the parent (engine/plugin_proof.py) gives it a time limit
and reads one JSON object from what was standard output when we began: {"error": ...} or the
fields of a Proof. No core file is written.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

import numpy as np

from engine.plugin import Effect, PluginError
from engine.sampler import MAX_FRAMES

SECONDS = 2.0  # of sound in all, half of it loud
SHORT = (64, 33, 2, 1, 1024, MAX_FRAMES)  # other blocks that it must take
LOOK = 50  # blocks of which half take longer than they last: too slow
LOUDEST = 100.0  # times full scale: more is no sound


def prove(asked: dict[str, Any]) -> dict[str, Any]:
    """asked: path, plugin, parameters, rate, block, channels. Raises PluginError."""
    what = (asked["path"], asked["plugin"], asked["parameters"], asked["rate"])
    rate, block = float(asked["rate"]), int(asked["block"])
    effect = Effect(*what, asked["channels"])
    first, spent, waited = _play(effect, rate, block)
    again, *_ = _play(Effect(*what, asked["channels"]), rate, block)
    for n in SHORT:
        _block(effect, np.zeros((2, MAX_FRAMES), np.float32), n)
    return {
        "name": effect.name,
        "version": str(effect.effect.version),
        "channels": effect.channels,
        "latency": effect.latency,
        "first_sound": _first_sound(Effect(*what, asked["channels"]), block),
        "us": round(float(np.percentile(spent, 50)), 1),
        "worst_us": round(float(np.percentile(spent, 99)), 1),
        "waited_us": round(float(np.percentile(waited, 50)), 1),
        "repeats": bool(np.array_equal(first, again)),
        "parameters": _parameters(effect),
    }


def _block(effect: Effect, rows: np.ndarray, n: int) -> np.ndarray:
    """Of the first n frames of rows (2, n)."""
    effect.block(n)[...] = rows[:, :n] if effect.channels == 2 else rows[0, :n]
    made = effect.run(n)
    if made is None or not np.isfinite(made).all():
        raise PluginError(f"returns NaN, infinity or too few frames, for a block of {n} frames")
    if float(np.abs(made).max(initial=0.0)) > LOUDEST:
        raise PluginError(f"returns more than {LOUDEST:g} times full scale")
    return made


def _play(effect: Effect, rate: float, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Silence, noise at full scale, a quiet tone, silence: what came of it, and of each block in
    microseconds how long it computed and how long it took."""
    frames = round(SECONDS * rate / block) * block
    rng = np.random.default_rng(3)
    sound = np.zeros((2, frames), np.float32)
    quarter = frames // 4
    sound[:, quarter : 3 * quarter] = rng.uniform(-1, 1, (2, 2 * quarter))
    tone = np.arange(quarter // 2) * (2 * np.pi * 220.0 / rate)
    sound[:, 3 * quarter : 3 * quarter + quarter // 2] = 0.01 * np.sin(tone)
    out: list[np.ndarray] = []
    times = np.zeros((frames // block, 2))
    for k in range(frames // block):
        rows = sound[:, k * block : (k + 1) * block]
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        made = _block(effect, rows, block)
        times[k] = time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
        out.append(made.copy())
        middle = float(np.median(times[k + 1 - LOOK : k + 1, 1])) / 1000.0 if k >= LOOK else 0.0
        if middle > 1e6 * block / rate:
            raise PluginError(f"needs {middle:.0f} us for a block of {1e6 * block / rate:.0f} us")
    return np.concatenate(out, axis=-1), times[:, 0] / 1000.0, times[:, 1] / 1000.0


def _first_sound(effect: Effect, block: int) -> int | None:
    """Frames from an impulse to the first of what comes of it, -60 dB under its peak; None:
    nothing within a second or so."""
    rows = np.zeros((2, block), np.float32)
    rows[:, 0] = 0.5
    out = []
    for _ in range(-(-(1 << 16) // block)):
        out.append(np.atleast_2d(_block(effect, rows, block))[0].copy())
        rows[:] = 0.0
    heard = np.abs(np.concatenate(out))
    peak = float(heard.max())
    return int(np.flatnonzero(heard > 1e-3 * peak)[0]) if peak > 1e-6 else None


def _parameters(effect: Effect) -> dict[str, str]:
    """Each one's value now and range, in words."""
    found = {}
    for name, parameter in list(effect.effect.parameters.items())[:256]:
        low, high = parameter.range[0], parameter.range[1]
        unit = f" {parameter.label}" if parameter.label else ""
        choices = list(parameter.valid_values)
        if parameter.type in (bool, str) and len(choices) <= 16:
            span = " | ".join(str(c) for c in choices)
        else:
            span = f"{low} to {high}"
        found[str(name)[:64]] = f"{getattr(effect.effect, name)}{unit} ({span})"[:200]
    return found


def main() -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a plug-in that prints
    try:
        said = prove(json.loads(sys.argv[1]))
    except PluginError as error:
        said = {"error": str(error)}
    answer.write(json.dumps(said))
    answer.flush()
    os._exit(0)  # its own end is not waited for: nothing more is asked of it


if __name__ == "__main__":
    sys.exit(main())
