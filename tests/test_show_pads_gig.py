"""Risk: what the pads show, what the log says and what is heard are three different stories.

A whole gig by hands on the emulated Launchpad alone, over JACK: at every step the lights that came
over the wire, the session's log and the interface's capture have to agree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stage import CUE, RATE, Stage, interface, lost, music, soon

from devices.launchpad.emulated import Mode
from devices.launchpad.emulator import Emulator
from devices.launchpad.layout import (
    DRY_PAD,
    PANIC_BUTTON,
    ROLE_ROW,
    SHIFTED,
    SONG_BUTTONS,
    SONGS,
    STEM_ROWS,
    TRANSPORT,
    ActionKind,
    pad,
)
from devices.launchpad.mk3 import SHIFT
from engine.bench.jackd import JackServer, wait_until
from engine.bench.native import Recording
from engine.gig.hands import stop_button
from engine.surface import OFF, RGB, role_colour

pytestmark = [pytest.mark.jack, pytest.mark.slow]

# Dry on main, drums on cue, bass on monitor1, a chaos voltage on channel 7; two songs.
PATCH = """
name: pads
audio: {{device: "{device}"}}
clock: {{bpm: 120, beats_per_bar: 4, bars_per_phrase: 1}}
inputs:
  line: {{channel: 1, dry: segue, to: {{main: 0}}}}
roles:
  drums: {{maker: rules, bars: 1, ahead: 1, to: {{cue: 0}}}}
  bass: {{maker: rules, bars: 1, ahead: 1, to: {{monitor1: 0}}}}
cv_in:
  wander: {{kind: chaos, hz: 4, smooth_ms: 1}}
cv:
  wander: {{channel: 7, source: wander, kind: modulation}}
songs:
  first: {{bpm: 120}}
  second: {{bpm: 132}}
outputs:
  main: {{channels: [1, 2], limit: false}}
  cue: {{channels: [3, 4], limit: false}}
  monitor1: {{channels: [5, 6], limit: false}}
surfaces:
  pads: {{}}
"""
BUSES = {"drums": CUE, "bass": slice(4, 6)}
ROLES = list(BUSES)
VOLTAGE = 6
LOUD = 0.003
WATCH_S = 1.2  # long enough to see a cell blink or pulse: over two beats
PRESSES, ANSWER_S = 5, 1.0
FADE_S = 0.3  # after a stop, DRY, panic or standby: its fade, and what JACK holds


def transport(kind: ActionKind) -> int:
    """The pad or button that asks for it on every page."""
    for index, (asked, _) in zip(SONG_BUTTONS, SONGS, strict=True):
        if asked is kind:
            return index
    return pad(8, [k for k, _ in TRANSPORT].index(kind) + 1)


def of(colour: RGB, whole: RGB) -> float:
    """How much of a whole colour a cell shows, 0..1; -1: it is another colour."""
    share = max(colour) / max(whole)
    near = all(abs(c - w * share) <= 2 for c, w in zip(colour, whole, strict=True))
    return share if near else -1.0


class Player:
    """Somebody with nothing but the pads: looks, presses, waits for what is shown."""

    def __init__(self, stage: Stage, pads: Emulator) -> None:
        self.stage, self.pads = stage, pads

    def press(self, index: int) -> int:
        """A short press; the frame before it. JACK loses what falls into a cycle that a stalled
        machine misses: a press that no light answers is made again, as anybody would."""
        for _ in range(PRESSES):
            frame, before = self.stage.frame(), self.pads.leds()[index]
            self.pads.press(index)
            answered = wait_until(lambda b=before: self.pads.leds()[index] != b, ANSWER_S)  # type: ignore[misc]
            self.pads.release(index)
            if answered:
                return frame
        raise AssertionError(f"no light answers a press on {index}")

    def ask(self, kind: ActionKind) -> int:
        """Press the pad of an action, and see it answered; the frame before the press."""
        return self.press(transport(kind))

    def wait(self, seconds: float) -> None:
        after = self.stage.frame()
        soon(lambda: self.stage.frame() > after + seconds * RATE, f"{seconds} s")

    def shares(self, index: int, whole: RGB) -> list[float]:
        """What a cell shows of a colour, over WATCH_S."""
        begun, seen = self.stage.frame(), []
        while self.stage.frame() < begun + WATCH_S * RATE:
            share = of(self.pads.colours()[index], whole)
            if not seen or seen[-1] != share:
                seen.append(share)
        return seen

    def stems(self, role: str) -> list[int]:
        """The cells of a role's variations."""
        row = STEM_ROWS[ROLES.index(role)]
        return [pad(row, column) for column in range(1, 5)]

    def shows(self, index: int, role: str) -> str:
        """What a stem's cell says, as a person reads it."""
        colour = role_colour(role, ROLES.index(role))
        seen = self.shares(index, colour)
        if seen == [0.0]:
            return "empty"
        if seen == [1.0]:
            return "ready"
        if min(seen) < 0.0:
            return "something else"
        if len(set(seen)) <= 3 and max(seen) > 0.95 and min(seen) < 0.2:
            return "waits"
        if max(seen) > 0.8 and min(seen) > 0.25:
            return "sounds"
        return "is quiet"

    def see(self, index: int, role: str, what: str) -> None:
        soon(lambda: self.shows(index, role) == what, f"{role} that {what}")

    def ready(self, role: str) -> int:
        """Wait for a cell of a role that says a stem is ready."""
        found: list[int] = []

        def look() -> bool:
            found[:] = [i for i in self.stems(role) if self.shows(i, role) == "ready"]
            return bool(found)

        soon(look, f"a {role} stem that is shown as ready")
        return found[0]

    def sounding(self, role: str) -> int:
        """The cell of a role that pulses."""
        return next(i for i in self.stems(role) if self.shows(i, role) == "sounds")

    def bright(self, kind: ActionKind, on: bool) -> None:
        """Wait until an action's pad is shown as being on, or off."""
        colours = {**dict(TRANSPORT), **dict(SONGS)}
        index = transport(kind)

        def as_meant() -> bool:
            share = of(self.pads.colours()[index], colours[kind])
            return share > 0.8 if on else 0.0 < share < 0.4

        soon(as_meant, f"{kind.value} {'on' if on else 'off'} on the pads")

    def enter(self, role: str) -> tuple[int, int]:
        """Pick a ready stem, queue it, see it wait and sound; (press, start) in frames."""
        cell = self.ready(role)
        pressed = self.press(cell)
        soon(lambda: self.began(role, pressed), f"{role} in the log")
        self.see(cell, role, "sounds")
        return pressed, self.began(role, pressed)

    def began(self, role: str, after: int) -> int:
        """The frame at which the log has a stem of a role begin; 0: it does not yet."""
        ids = {e["id"] for e in self.stage.events("stem") if e["role"] == role}
        starts = [e["frame"] for e in self.stage.events("stem_started") if e["id"] in ids]
        return next((f for f in starts if f > after), 0)

    def logged(self, event: str, after: int, **what: object) -> int:
        """Wait for an event of the log after a frame; its frame."""

        def found() -> list[dict[str, Any]]:
            return [
                e
                for e in self.stage.events(event)
                if e["frame"] >= after and all(e.get(k) == v for k, v in what.items())
            ]

        soon(found, f"{event} {what} in the log")
        return int(found()[0]["frame"])


class Heard:
    """What the interface captured; frames that nobody answers for are left out."""

    def __init__(self, recording: Recording, events: list[dict[str, Any]]) -> None:
        self.recording = recording
        self.free = ~lost(recording, events)

    def _of(self, channels: slice | int, first: int, last: int) -> np.ndarray:
        mask = self.free[first - self.recording.start : last - self.recording.start]
        assert mask.mean() > 0.5, "too much was lost to judge"
        return self.recording.between(first, last)[mask][:, channels]

    def peak(self, role: str, first: int, last: int) -> float:
        return float(np.abs(self._of(BUSES[role], first, last)).max())

    def silent(self, role: str, first: int, last: int) -> bool:
        return not self._of(BUSES[role], first, last).any()

    def onset(self, role: str, near: int) -> int:
        """Frames from `near` to the first sound, from a tenth of a second before it on."""
        first = near - RATE // 10
        heard = np.abs(self.recording.between(first, near + RATE)[:, BUSES[role]]).max(1)
        return int(np.flatnonzero(heard > 0.0)[0]) - RATE // 10

    def moves(self, first: int, last: int) -> float:
        """How far the voltage goes, in full scales."""
        heard = self._of(VOLTAGE, first, last)
        return float(heard.max() - heard.min())

    def dry(self, first: int, last: int) -> float:
        return float(np.abs(self._of(0, first, last)).max())


def test_a_whole_gig_by_pads_alone(server: JackServer, tmp_path: Path) -> None:
    marks: dict[str, int] = {}
    play = music(4)
    with Emulator() as pads, interface(server, play, captures=7) as witness:
        with Stage(server, tmp_path, patch=PATCH) as stage:
            stage.wait_sound()
            soon(lambda: pads.mode is Mode.PROGRAMMER, "Programmer mode")
            marks = gig(Player(stage, pads))
        events = stage.events()
    heard = Heard(witness.recording(), events)
    fade = round(FADE_S * RATE)
    m = marks
    # Nothing before a hand let it in; then each stem on its frame, and on the one that was said.
    assert heard.silent("drums", m["begin"], m["drums"])
    assert heard.silent("bass", m["begin"], m["bass"])
    delays = [heard.onset(role, m[role]) for role in ("drums", "bass")]
    assert len(set(delays)) == 1, f"stems begin {delays} frames after the log's"
    assert 0 <= delays[0] <= 512
    assert heard.peak("drums", m["drums"], m["stop drums"]) > LOUD
    assert heard.peak("bass", m["bass"], m["stop bass"]) > LOUD
    beat = RATE // 2
    assert (m["bass"] - m["one"]) % (4 * beat) in (0, 1, 4 * beat - 1)
    assert (m["drums"] - m["one"]) % (4 * beat) not in (0, 1, 4 * beat - 1)
    # The next song, in its own tempo, without the first one's stems.
    assert heard.silent("bass", m["quiet"] + fade, m["end"])
    assert heard.silent("drums", m["quiet"] + fade, m["again"])
    assert heard.onset("drums", m["again"]) == delays[0]
    bar = 4 * RATE * 60.0 / 132.0
    off = (m["again"] - m["song"]) / bar
    assert abs(off - round(off)) * bar <= 2
    # Freeze, DRY, standby, panic: what is generated stands still or is gone, the dry sound is not.
    assert heard.moves(m["begin"], m["freeze"]) > 0.05
    assert heard.moves(m["freeze"] + fade, m["thaw"]) < 1e-4
    assert heard.moves(m["thaw"] + fade, m["dry"]) > 0.05
    assert heard.peak("drums", m["again"] + fade, m["dry"]) > LOUD
    assert heard.silent("drums", m["dry"] + fade, m["wet"])
    assert heard.peak("drums", m["wet"] + fade, m["standby"]) > LOUD
    assert heard.silent("drums", m["standby"] + 4 * fade, m["on"])
    assert heard.peak("drums", m["last"], m["panic"]) > LOUD
    assert heard.silent("drums", m["panic"] + 2 * fade, m["end"])
    for first, last in zip(list(m.values()), list(m.values())[1:], strict=False):
        if last - first > RATE // 2:
            assert heard.dry(first, last) > 0.1


def gig(player: Player) -> dict[str, int]:
    """Play it; the frames at which things happened by the log, in order."""
    m = {"begin": player.stage.frame()}
    stage, pads = player.stage, player.pads
    soon(lambda: any(c != OFF for c in pads.colours().values()), "lights")
    # Ask for stems: select a role, ask for another one, see it come.
    player.press(pad(ROLE_ROW, ROLES.index("drums") + 1))
    asked = player.ask(ActionKind.REGENERATE)
    player.logged("act", asked, name="regenerate", role="drums")
    # Not let in: what is picked now is refused, and said so.
    cell = player.ready("drums")
    refused = player.press(cell)
    player.logged("act", refused, name="queue_stem", said="first say where the one is, then let in")
    first_one = player.ask(ActionKind.THIS_IS_ONE)
    player.logged("act", first_one, name="this_is_one", said="one")
    player.bright(ActionKind.LET_IN, on=False)
    let_in = player.ask(ActionKind.LET_IN)
    player.logged("act", let_in, name="let_in", said="let in")
    player.bright(ActionKind.LET_IN, on=True)
    _, m["drums"] = player.enter("drums")
    # Correct the one: two and a half beats later than it was; what enters then enters by it.
    soon(lambda: beat_of(stage) % 4.0 > 2.4, "beat three and a half")
    pressed = player.ask(ActionKind.THIS_IS_ONE)
    m["one"] = player.logged("act", pressed, name="this_is_one")
    _, m["bass"] = player.enter("bass")
    # Stop both with the buttons beside their rows, so that the next song begins with nothing.
    for role in ROLES:
        cell = player.sounding(role)
        m[f"stop {role}"] = player.press(stop_button(ROLES, role))
        soon(lambda r=role: r not in playing(stage), f"the end of {role}")  # type: ignore[misc]
        player.see(cell, role, "is quiet")
    # The next song waits for its bar line, and then has its own tempo.
    m["quiet"] = stage.frame()
    pressed = player.ask(ActionKind.NEXT_SONG)
    player.logged("act", pressed, name="next_song")
    m["song"] = player.logged("song", pressed, name="second")
    _, m["again"] = player.enter("drums")
    # Freeze: Shift and the pad that clicks.
    column = next(c for c, (kind, _) in SHIFTED.items() if kind is ActionKind.FREEZE)
    for mark in ("freeze", "thaw"):
        pads.press(SHIFT)
        pressed = player.press(pad(8, column))
        pads.release(SHIFT)
        m[mark] = player.logged("act", pressed, name="freeze")
        player.wait(1.5)
    for mark, on in (("dry", True), ("wet", False)):
        pressed = player.press(DRY_PAD)
        m[mark] = player.logged("dry", pressed, slot=int(on))
        player.bright(ActionKind.DRY, on=on)
        player.wait(1.5)
    pressed = player.ask(ActionKind.STANDBY)
    m["standby"] = player.logged("act", pressed, name="standby")
    player.bright(ActionKind.STANDBY, on=True)
    player.wait(3.0)
    m["on"] = player.ask(ActionKind.STANDBY)
    player.logged("act", m["on"], name="standby")
    player.bright(ActionKind.STANDBY, on=False)
    if "drums" not in playing(stage):
        player.enter("drums")
    m["last"] = stage.frame()
    player.wait(2.5)
    pressed = stage.frame()
    pads.press(PANIC_BUTTON)
    m["panic"] = player.logged("panic", pressed)
    assert m["panic"] - pressed > 0.4 * RATE  # it has to be held
    pads.release(PANIC_BUTTON)
    player.bright(ActionKind.LET_IN, on=False)
    player.wait(2.0)
    m["end"] = stage.frame()
    return m


def playing(stage: Stage) -> list[str]:
    return [s["role"] for s in stage.stems("playing", "retiring")]


def beat_of(stage: Stage) -> float:
    line = stage.shared.timeline()
    return 0.0 if line is None else line.beat_at(stage.frame())
