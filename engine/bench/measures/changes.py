"""changes.{song,scene,reload,capture}.{missed,native,cycles,excess_per_100k,step_db}: what changes
cost, live over JACK. `segue run` plays a texture and stems with a client as its interface and a
second one beside it that owes it nothing; each change is asked for ROUNDS times over the socket.

cycles           from AROUND_S before each press to AROUND_S after the change was heard
missed, native   of these, segue's by its own ledger (late, or never begun) and the client's
excess_per_100k  segue's that the client did not miss too, nor a neighbour
step_db          the largest step from sample to sample in what the interface captured, within
                 NEAR_S of the press and of the change, over the largest in CALM_S before the press;
                 the worst of all rounds. Cycles that anybody missed are left out
changes          how many were heard

The material has no onsets of its own there: held tones, slow pads and a texture made of them.
Takes about a minute and a half.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.bench.forward import segue_missed, within
from engine.bench.jackd import JackServer
from engine.bench.live import Live, LiveError
from engine.bench.measures import MeasureError
from engine.bench.native import Recording, Witness
from engine.bench.stats import miss_report

RATE, BLOCK = 48_000, 128
ROUNDS = 5
AROUND_S = 0.5
CALM_S = 1.0
NEAR_S = 0.025
SETTLE_S = 2.0  # between two changes
PATCH = """
name: changes
armed: true
audio: {device: "stage"}
clock: {bpm: 150, beats_per_bar: 4, bars_per_phrase: 1}
inputs:
  line: {channel: 1, to: {main: -9.0}}
players:
  mist: {model: rave, listens: line, to: {main: -12}}
roles:
  pads: {maker: rules, bars: 1, program: 89, gain_db: -9, to: {main: 0}}
  strings: {maker: rules, bars: 1, program: 89, gain_db: -9, to: {main: 0}, config: {role: pads}}
  loops: {maker: capture, bars: 1, enter: bar, to: {main: -9}}
capture: {kept: 4, bars: 1, sources: [input.line]}
outputs:
  main: {channels: [1, 2]}
songs:
  one:
    scenes:
      thin: {stems: {strings: {play: false}}}
      full: {stems: {strings: {play: true}}, mix: {stems.pads: {main: -6}}}
  two:
    bpm: 144
    key: 5
    scenes:
      thin: {stems: {strings: {play: false}}}
      full: {stems: {strings: {play: true}}, mix: {stems.pads: {main: -6}}}
"""
LEVELS = ("{main: -9.0}", "{main: -10.0}")  # of the input, in turn


@dataclass
class Change:
    """Frames: of the press, and of what was then heard."""

    press: int
    heard: int


@dataclass
class Played:
    changes: dict[str, list[Change]] = field(default_factory=dict)
    rows: list[np.ndarray] = field(default_factory=list)


def held_tones(seconds: int = 8) -> np.ndarray:
    """What the interface plays, float32 (frames, 1): a chord that swells, whole periods of it."""
    t = np.arange(RATE * seconds) / RATE
    tones = sum(np.sin(2 * np.pi * f * t) / n for n, f in enumerate((110, 165, 220, 277), start=1))
    swell = 0.7 + 0.3 * np.sin(2 * np.pi * t / seconds)
    return np.asarray(0.12 * tones * swell, np.float32)[:, None]


class Changes:
    """Asks for one change after another and notes where they were."""

    def __init__(self, segue: Live, patch: Path) -> None:
        self.segue, self.patch = segue, patch
        self.played = Played()
        self._ledger = segue.ledger()

    def _once(self, what: str, press: Callable[[], str], kind: str, says: str) -> None:
        segue = self.segue
        before = len(segue.events(kind))
        pressed = segue.frame
        said = press()
        if says not in said:
            raise MeasureError(f"{what} was refused: {said}")
        segue.wait(lambda: len(segue.events(kind)) > before, f"change ({what})")
        heard = int(segue.events(kind)[before]["frame"])
        self.played.changes.setdefault(what, []).append(Change(pressed, heard))
        segue.wait_frame(max(heard, segue.frame) + round(SETTLE_S * RATE))
        self.played.rows.append(self._ledger.new())

    def run(self) -> Played:
        segue = self.segue
        for k in range(ROUNDS):
            self._once("scene", lambda: segue.act("next_scene"), "scene", "at the")
            self._once("capture", self._capture, "stem_started", "capturing")
            segue.act("stop_role", role="loops")
            self._once("reload", lambda s=k: self._reload(s), "reload", "taken")  # type: ignore[misc]
            name = ("two", "one")[k % 2]
            self._once("song", lambda n=name: segue.act("song", what=n), "song", "at the")  # type: ignore[misc]
        return self.played

    def _capture(self) -> str:
        return self.segue.act("capture", role="loops", source="line", bars=1)

    def _reload(self, k: int) -> str:
        text = self.patch.read_text()
        old, new = LEVELS if k % 2 == 0 else LEVELS[::-1]
        self.patch.write_text(text.replace(f"to: {old}", f"to: {new}"))
        answer = self.segue.ask(do="reload")
        return "taken" if "error" not in answer else str(answer["error"])


def largest_step(audio: np.ndarray, bad: np.ndarray) -> float:
    """From sample to sample, in any channel; where both are good."""
    steps = np.abs(np.diff(audio.astype(np.float64), axis=0)).max(axis=1)
    good = ~(bad[1:] | bad[:-1])
    return float(steps[good].max()) if good.any() else 0.0


def step_db(heard: Recording, change: Change, lost: np.ndarray) -> float:
    """See the module. lost: first frames of cycles that anybody missed."""
    near, calm, begin = round(NEAR_S * RATE), round(CALM_S * RATE), heard.start
    bad = np.zeros(len(heard.audio), bool)
    for frame in lost:
        bad[max(0, frame - begin - BLOCK) : max(0, frame - begin + 4 * BLOCK)] = True

    def steps(first: int, last: int) -> float:
        span = slice(first - begin, last - begin)
        return largest_step(heard.audio[span], bad[span])

    usual = steps(change.press - calm, change.press)
    there = max(steps(frame, frame + near + 4 * BLOCK) for frame in (change.press, change.heard))
    return float(20.0 * np.log10(max(there, 1e-9) / max(usual, 1e-9)))


def figures(played: Played, heard: Recording, native: Recording) -> dict[str, Any]:
    """Of every kind of change."""
    rows = np.concatenate(played.rows)
    ours, theirs = segue_missed(rows, BLOCK), native.missed()
    lost = np.unique(np.concatenate([ours, theirs, heard.missed()]))
    around = round(AROUND_S * RATE)
    facts: dict[str, Any] = {}
    for what, changes in played.changes.items():
        spans = [(c.press - around, c.heard + around) for c in changes]
        mine = np.concatenate([within(ours, *span) for span in spans])
        beside = np.concatenate([within(theirs, *span) for span in spans])
        cycles = sum(b - a for a, b in spans) // BLOCK
        report = miss_report(mine, beside, cycles, BLOCK)
        worst = max(step_db(heard, c, lost) for c in changes)
        facts[what] = {
            "missed": report["segue"],
            "native": report["native"],
            "cycles": report["cycles"],
            "excess_per_100k": round(report["excess_per_100k"], 1),
            "step_db": round(worst, 2),
            "changes": len(changes),
        }
    return facts


def measure() -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="segue-bench-") as made,
        JackServer(rate=RATE, block=BLOCK) as server,
        Witness(server, name="stage", inputs=["-"] * 2, outputs=["-"], play=held_tones(),
                loop=True) as stage,
        Witness(server, name="native", capture=False) as beside,
    ):  # fmt: skip
        folder = Path(made)
        patch = folder / "changes.yaml"
        patch.write_text(PATCH)
        try:
            with Live(server, patch, folder, ["--no-rig"]) as segue:
                segue.wait_sound()
                segue.wait(lambda: segue.events("stem_started"), "start a stem")
                segue.wait_frame(segue.frame + round(3 * SETTLE_S * RATE))
                played = Changes(segue, patch).run()
        except LiveError as error:
            raise MeasureError(str(error)) from error
        stage.stop()
        beside.stop()
        return {"changes": figures(played, stage.recording(), beside.recording())}
