"""Risk: hands need the conductor. DRY, panic and master over real JACK ports, from pads and pedals,
with the conductor stopped (not dead: a process that is stopped holds everything it holds)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rtmidi
from stage import CUE, MAIN, RATE, Stage, interface, lost, music, soon

from devices.launchpad.emulated import Mode
from devices.launchpad.emulator import Emulator
from devices.launchpad.layout import DRY_PAD, PANIC_BUTTON
from engine.bench.jackd import JackServer
from engine.bench.native import Recording
from engine.shm_records import AudioPhase

pytestmark = [pytest.mark.jack, pytest.mark.slow]

CONDUCTOR = "engine.conductor_process"
FEET = "Stage Feet"
FADER_CC = 7
# Dry alone on main, stems alone on cue; a foot-switch and a fader on a port that no voice plays.
PATCH = """
name: hands
audio: {{device: "{device}"}}
clock: {{bpm: 120, beats_per_bar: 4, bars_per_phrase: 1}}
inputs:
  line: {{channel: 1, dry: segue, to: {{main: 0}}}}
midi:
  feet: {{port: "Stage Feet", master_cc: 7}}
roles:
  drums: {{maker: rules, bars: 1, to: {{cue: 0}}}}
outputs:
  main: {{channels: [1, 2], limit: false}}
  cue: {{channels: [3, 4], limit: false}}
surfaces:
  pads: {{}}
"""
LOUD = 0.003  # of the drums' peaks
REACH_S = 0.4  # from a press until its effect is whole: two periods of MIDI, a block, a fade


class Feet:
    """A pedal board on JACK."""

    def __init__(self) -> None:
        self._out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name=FEET)
        self._out.open_virtual_port("out")

    def move(self, controller: int, *values: int) -> None:
        for value in values:
            self._out.send_message([0xB0, controller, value])

    def close(self) -> None:
        self._out.delete()


class Hands:
    """Pads, feet, and a conductor that is stopped whenever it runs."""

    def __init__(self, stage: Stage, pads: Emulator, feet: Feet) -> None:
        self.stage, self.pads, self.feet = stage, pads, feet
        self.stopped: set[int] = set()

    def stop(self) -> int:
        """SIGSTOP; its process id once it stands still."""
        soon(lambda: self.stage.pid(CONDUCTOR), "a conductor")
        pid = self.stage.pid(CONDUCTOR)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        soon(lambda: _state(pid) in ("T", None), "a conductor that stands still")
        self.stopped.add(pid)
        return pid

    def press_while_stopped(self, press: Callable[[], object], done: Callable[[], bool]) -> int:
        """Press until it is done; the frame of the press before that. The conductor stands still
        from before it until after it: one that the supervisor has replaced is stopped again, and
        the press counts for nothing until one conductor stood still all through."""
        while True:
            pid, frame = self.stop(), self.stage.frame()
            press()
            soon(done, "what was pressed")
            if _state(pid) == "T":
                return frame
            press()  # takes it back
            soon(lambda: not done(), "what was taken back")

    def dry(self) -> bool:
        clock = self.stage.shared.clock()
        return clock is not None and clock.dry

    def master(self) -> float:
        state = self.stage.shared.sections["state"].read()
        return 1.0 if state is None else float(state[0]["master"]["g1"])

    def tap_dry_pad(self) -> None:
        self.pads.press(DRY_PAD)
        self.pads.release(DRY_PAD)

    def tap_dry_pedal(self) -> None:
        self.feet.move(67, 127, 0)


def _state(pid: int) -> str | None:
    """One letter, as in /proc/PID/stat; None: it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def test_dry_panic_and_master_with_the_conductor_stopped(
    server: JackServer, tmp_path: Path
) -> None:
    play = music(4)
    feet = Feet()
    with Emulator() as pads, interface(server, play, captures=4) as witness:
        with Stage(server, tmp_path, patch=PATCH) as stage:
            hands = Hands(stage, pads, feet)
            stage.wait_sound()
            stage.let_in()
            soon(lambda: pads.mode is Mode.PROGRAMMER, "Programmer mode")
            begun = stage.frame()
            soon(lambda: stage.frame() > begun + 2 * RATE, "two seconds of drums")
            on = hands.press_while_stopped(hands.tap_dry_pad, hands.dry)
            wait(stage, on, 1.5)
            off = hands.press_while_stopped(hands.tap_dry_pedal, lambda: not hands.dry())
            wait(stage, off, 2.5)
            down = hands.press_while_stopped(
                lambda: feet.move(FADER_CC, 127, 64), lambda: hands.master() < 0.3
            )
            wait(stage, down, 1.5)
            pid = hands.stop()
            held = stage.frame()
            pads.press(PANIC_BUTTON)
            soon(lambda: _panics(stage), "panic")
            assert _state(pid) == "T"
            pads.release(PANIC_BUTTON)
            wait(stage, stage.frame(), 1.5)
            end = stage.frame()
            assert sounding(stage)
            soon(lambda: stage.events("panic"), "a conductor that has read what happened meanwhile")
        events = stage.events()
    feet.close()
    heard = Heard(witness.recording(), events, play)
    reach = round(REACH_S * RATE)
    assert heard.peak(begun, on) > LOUD
    assert heard.silent(on + reach, off)
    assert heard.peak(off + reach, down) > LOUD
    for first, last in ((begun, on), (on, off), (off, down)):
        assert heard.dry_gain(first, last) == pytest.approx(1.0, abs=1e-3)  # DRY touches no input
    assert heard.dry_gain(down + reach, held) == pytest.approx((64 / 127) ** 2, abs=1e-3)
    assert heard.peak(down + reach, held) > LOUD
    assert heard.silent(held + reach + RATE // 2, end)
    assert heard.dry_gain(held + RATE, end) == pytest.approx((64 / 127) ** 2, abs=1e-3)
    told = [(e["event"], e["slot"]) for e in events if e["event"] in ("dry", "panic")]
    assert told[-1][0] == "panic"
    assert ("dry", 1) in told
    assert ("dry", 0) in told


def wait(stage: Stage, after: int, seconds: float) -> None:
    soon(lambda: stage.frame() > after + seconds * RATE, f"{seconds} s")


def sounding(stage: Stage) -> bool:
    clock = stage.shared.clock()
    return clock is not None and clock.phase is AudioPhase.RUNNING


def _panics(stage: Stage) -> bool:
    """All that was generated has ended in the audio process."""
    state = stage.shared.sections["state"].read()
    return state is not None and not state[0]["stems"]["state"].any()


class Heard:
    """What the interface captured; frames that nobody answers for are left out."""

    def __init__(
        self, recording: Recording, events: list[dict[str, Any]], play: np.ndarray
    ) -> None:
        assert recording.play_frame is not None
        self.recording, self.play = recording, play[:, 0]
        self.begun = recording.play_frame
        self.free = ~lost(recording, events)

    def _cue(self, first: int, last: int) -> np.ndarray:
        mask = self.free[first - self.recording.start : last - self.recording.start]
        assert mask.mean() > 0.5
        return self.recording.between(first, last)[mask][:, CUE]

    def peak(self, first: int, last: int) -> float:
        return float(np.abs(self._cue(first, last)).max())

    def silent(self, first: int, last: int) -> bool:
        return not self._cue(first, last).any()

    def dry_gain(self, first: int, last: int) -> float:
        """Of main against what was played, by the delay at which they fit best."""
        heard = self.recording.between(first, last)[:, MAIN][:, 0].astype(np.float64)
        mask = self.free[first - self.recording.start : last - self.recording.start]
        best, gain = -1.0, 0.0
        for delay in range(0, 1025, 64):
            at = (np.arange(first, last) - delay - self.begun) % len(self.play)
            played = self.play[at].astype(np.float64)
            fit = float(np.corrcoef(heard[mask], played[mask])[0, 1])
            if fit > best:
                best, gain = fit, float(heard[mask] @ played[mask] / (played[mask] @ played[mask]))
        assert best > 0.9999, f"main is not what was played: {best}"
        return gain
