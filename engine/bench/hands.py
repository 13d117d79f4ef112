"""`segue bench hands`: how fast a press is answered, by light and by sound, over real JACK ports.

One JACK server, `segue run`, a native client as its interface, the emulated Launchpad and a
foot-switch as MIDI clients. A press is timed when it is handed to JACK; so what JACK's MIDI costs
(up to two periods each way) is in every figure.

press_to_led_ms    until the emulator shows the pressed cell lit otherwise; its clock ticks every
                   millisecond. Pages of a running performance are painted meanwhile.
press_to_sound_ms  until the first captured frame that a press has changed: DRY on the pads (from
                   the midi process straight to the audio process) and a one-shot that enters at
                   once (a foot-switch, by way of the conductor); `dry`, `stem`: each by itself
led                a page that changes every cell at 40 frames a second, through the driver, the
                   midi process and JACK: frames and bytes a second as received, entries at most
unanswered         presses whose answer did not come before the next: JACK loses the events of a
                   cycle that a stalled machine misses. More than one in twenty: no figures.
missed             cycles that segue missed and a native client did not, over all of this
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from devices.launchpad.emulated import Mode
from devices.launchpad.emulator import Emulator, EmulatorError
from devices.launchpad.layout import DRY_PAD
from devices.launchpad.mk3 import CELLS, FRAME_NS, Mk3
from engine.bench.hands_stage import (
    CAPTURES,
    CUE,
    HIT_CC,
    LOOP_FRAMES,
    MONITOR,
    RATE,
    Feet,
    HandsError,
    has_stem,
    let_noise_in,
    write_patch,
)
from engine.bench.jackd import JackServer, wait_until
from engine.bench.live import Live, LiveError
from engine.bench.native import Recording, Witness
from engine.bench.stats import miss_report, percentiles
from engine.gig.stage import missed_in
from engine.layout import MIDI_OUT
from engine.patch import Patch, Surface
from engine.shm import Shared

PRESSES = 200  # of each kind
ROLE_PADS = (11, 12)  # pick a role: lit, and still while nobody touches them
ANSWER_S = 1.0  # a press that is not answered by then is lost
LED_S = 10.0
BLOCK = 128
PAUSE_S = (0.08, 0.16)  # between presses of pads, so that they fall anywhere in a frame
DRY_PAUSE_S = (0.12, 0.22)  # longer than its fade
HIT_S = 0.3  # longer than the one-shot
QUIET_FRAMES = 64  # before a press: whether it sounds or not
SAME = 1e-6  # what is played again is bit for bit the same but for rounding
FLOOD = "Flooded"


@dataclass
class Presses:
    """Frames of the presses, by what they ask for; leds_ms: of each that was answered by light."""

    leds_ms: list[float] = field(default_factory=list)
    dry: list[int] = field(default_factory=list)
    hits: list[int] = field(default_factory=list)
    unanswered: int = 0


def bench_hands(presses: int = PRESSES) -> dict[str, Any]:
    """The figures of the module's docstring. Raises HandsError, JackError, NativeError."""
    try:
        with tempfile.TemporaryDirectory(prefix="segue-hands-") as folder:
            return _bench(Path(folder), presses)
    except (EmulatorError, LiveError) as error:
        raise HandsError(str(error)) from error


def _bench(folder: Path, count: int) -> dict[str, Any]:
    hand = random.Random(3)
    line = np.random.default_rng(2).uniform(-0.1, 0.1, (RATE, 1)).astype(np.float32)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(JackServer(block=BLOCK))
        _use(stack, server)
        native = stack.enter_context(Witness(server, name="native", capture=False))
        interface = stack.enter_context(
            Witness(server, name="stage", inputs=["-"] * CAPTURES, outputs=["-"],
                    play=line, loop=True)
        )  # fmt: skip
        pads = stack.enter_context(Emulator())
        feet = Feet()
        stack.callback(feet.close)
        with Live(server, write_patch(folder), folder, ("--no-rig",)) as stage:
            let_noise_in(stage)
            stage.wait(lambda: pads.mode is Mode.PROGRAMMER, "find the pads")
            begun = stage.shared.now()
            done = Presses()
            _light(pads, done, hand, count)
            _sound(stage, pads, feet, done, hand, count)
            led = _flood(folder)
            missed, cycles = _missed(stage.shared, begun)
    heard, beside = interface.recording(), native.recording()
    dry = _changes(heard, done.dry[0] - QUIET_FRAMES, done.dry)
    stem = _onsets(heard, done.hits)
    lost = done.unanswered + int(np.isnan(dry).sum()) + int(np.isnan(stem).sum())
    if lost > count // 20:
        raise HandsError(f"{lost} of {3 * count} presses were never answered")
    dry, stem = dry[~np.isnan(dry)], stem[~np.isnan(stem)]
    both = np.concatenate([dry, stem]) / RATE * 1e3
    theirs = beside.missed()
    report = miss_report(missed, theirs[theirs >= begun], cycles, BLOCK)
    return {
        "press_to_led_ms": _figures(np.array(done.leds_ms)),
        "press_to_sound_ms": _figures(both),
        "dry": _figures(dry / RATE * 1e3),
        "stem": _figures(stem / RATE * 1e3),
        "led": led,
        "missed": report,
        "presses": 3 * count,
        "unanswered": lost,
        "block": BLOCK,
    }


def _use(stack: contextlib.ExitStack, server: JackServer) -> None:
    """libjack and rtmidi read the server's name from this process's environment, in C."""
    for name in ("JACK_DEFAULT_SERVER", "JACK_NO_START_SERVER"):
        before = os.environ.get(name)
        os.environ[name] = server.env[name]
        if before is None:
            stack.callback(os.environ.pop, name, None)
        else:
            stack.callback(os.environ.__setitem__, name, before)


def _figures(values: np.ndarray) -> dict[str, float]:
    found = percentiles(values)
    return {k: round(found[k], 2) for k in ("p50", "p99", "max")}


# ---- presses


def _light(pads: Emulator, done: Presses, hand: random.Random, count: int) -> None:
    """Press the two role pads in turn."""
    for n in range(count):
        index = ROLE_PADS[n % len(ROLE_PADS)]
        before = pads.leds()[index]
        pressed = time.monotonic_ns()
        pads.press(index)
        if wait_until(lambda i=index, b=before: pads.leds()[i] != b, ANSWER_S):  # type: ignore[misc]
            answered = pads.leds()[index].changed_ns
            done.leds_ms.append((answered - pressed) / 1e6)
        else:
            done.unanswered += 1
        time.sleep(0.03)
        pads.release(index)
        time.sleep(hand.uniform(*PAUSE_S))


def _sound(
    stage: Live, pads: Emulator, feet: Feet, done: Presses, hand: random.Random, count: int
) -> None:
    """DRY on and off; then one-shots."""
    for _ in range(count - count % 2):
        done.dry.append(stage.shared.now())
        pads.press(DRY_PAD)
        time.sleep(0.03)
        pads.release(DRY_PAD)
        time.sleep(hand.uniform(*DRY_PAUSE_S))
    for _ in range(count):
        # Played once it is done, and may be played again a moment later.
        wait_until(lambda: has_stem(stage, "hit", "ready", "done"), ANSWER_S)
        time.sleep(hand.uniform(*PAUSE_S))
        done.hits.append(stage.shared.now())
        feet.press(HIT_CC)
        time.sleep(HIT_S)


def _until_next(pressed: list[int]) -> list[tuple[int, int]]:
    """(press, end of its answer) in frames: what follows the next press is not its own."""
    after = [*pressed[1:], pressed[-1] + round(ANSWER_S * RATE)]
    return [
        (frame, min(end, frame + round(ANSWER_S * RATE)))
        for frame, end in zip(pressed, after, strict=True)
    ]


def _changes(heard: Recording, begun: int, pressed: list[int]) -> np.ndarray:
    """Frames from every press on DRY to the first that differs: from the noise as it was in the
    loop before `begun`, or from silence. NaN: none before the next press."""
    noise = heard.between(begun - LOOP_FRAMES, begun)[:, CUE]
    found = []
    for frame, end in _until_next(pressed):
        near = heard.between(frame - QUIET_FRAMES, end)[:, CUE]
        silent = not near[:QUIET_FRAMES].any()
        at = (np.arange(frame, end) - begun) % LOOP_FRAMES
        usual = np.zeros(len(at)) if silent else noise[at]
        found.append(_first(np.abs(near[QUIET_FRAMES:] - usual) > SAME))
    return np.array(found)


def _onsets(heard: Recording, pressed: list[int]) -> np.ndarray:
    """Frames from every press to the first sound of its one-shot; NaN as above."""
    return np.array(
        [
            _first(np.abs(heard.between(frame, end)[:, MONITOR]) > 0.0)
            for frame, end in _until_next(pressed)
        ]
    )


def _first(true: np.ndarray) -> float:
    found = np.flatnonzero(true)
    return float(found[0]) if len(found) else float("nan")


# ---- lights


def _flood(folder: Path) -> dict[str, float | int]:
    """Every cell in another colour in every frame, at the rate that the driver allows, through a
    midi process of its own: what the conductor's pages may at most ask for."""
    patch = Patch(surfaces={"pads": Surface(port=f"{FLOOD} .*LPProMK3|{FLOOD}:LPProMK3")})
    shared = Shared.create(folder / "flood", patch)
    with contextlib.ExitStack() as stack:
        stack.callback(shared.remove)
        pads = stack.enter_context(Emulator(FLOOD))
        process = subprocess.Popen(
            [sys.executable, "-m", "devices.midi.process", str(shared.folder)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        if not wait_until(lambda: pads.mode is Mode.PROGRAMMER, ANSWER_S * 10):
            raise HandsError("the midi process did not find the emulated Launchpad")
        driver, sent = Mk3(), 0
        before, begun = replace(pads.heard), time.monotonic_ns()
        while (now := time.monotonic_ns()) < begun + LED_S * 1e9:
            step = (now - begun) // FRAME_NS
            cells = {index: ((step * 3) % 128, index % 128, step % 2) for index in CELLS}
            for message in driver.render(cells, now):
                record: Any = np.zeros(1, MIDI_OUT)
                record["size"] = len(message)
                record["data"][0, : len(message)] = np.frombuffer(message, np.uint8)
                sent += shared.push("midi_out", record)
            time.sleep(0.001)
        seconds = (time.monotonic_ns() - begun) / 1e9
        wait_until(lambda: pads.heard.frames - before.frames >= sent, ANSWER_S)
        after = pads.heard
        ignored = sum(after.ignored.values()) - sum(before.ignored.values())
        return {
            "frames_per_s": round((after.frames - before.frames) / seconds, 2),
            "bytes_per_s": round((after.bytes - before.bytes) / seconds),
            "max_entries": after.entries_max,
            "frames_lost": sent - (after.frames - before.frames),
            "ignored": ignored,
        }


def _missed(shared: Shared, begun: int) -> tuple[np.ndarray, int]:
    """Frames of the cycles that segue missed since `begun`, and how many cycles there were."""
    count, size = int(shared.ledger_count[0]), len(shared.ledger)
    rows = shared.ledger[np.arange(max(0, count - size), count) % size]
    rows = rows[rows["frame"] >= begun]
    return np.array(missed_in(rows), np.int64), len(rows)
