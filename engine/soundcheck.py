"""The conversation of `segue soundcheck`: noise, trims, round trip, ring-out, tuning.

Every step may be skipped; what is measured comes back as changes to the rig. Not real-time safe;
the interface and the person come in through engine/venue.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from engine import soundcheck_levels, soundcheck_loop, soundcheck_tuning
from engine.channel_map import ChannelMap
from engine.mixer import linear
from engine.patch import Patch
from engine.rig_find import levels_db
from engine.soundcheck_loop import LEVEL_DB, Way
from engine.soundcheck_tuning import NoReference
from engine.sources import pedals_of
from engine.venue import Interface, Talk, listen, silence

STEPS = ("noise", "trim", "loop", "pedals", "ring", "tuning")
NOISE_S, TRIM_S, TUNING_S = 4.0, 8.0, 4.0
AGREE_FRAMES = 0.5  # two measurements of one round trip
SAFE_DB = 6.0  # margin that is left when somebody walks up to a microphone
METRE_MS = 2.9  # of air

# (audio, rate) -> pitches in Hz, their confidence, seconds of a hop
Tracker = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray, float]]
_NOTES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11, "h": 11}


def parse_note(text: str) -> int | None:
    """A note's name (A, Bb, F#) -> its MIDI key in the octave from C4; '' is A; None: no note."""
    found = re.fullmatch(r"([a-h])([b#]?)", text.strip().lower() or "a")
    if found is None:
        return None
    return 60 + (_NOTES[found[1]] + {"": 0, "b": -1, "#": 1}[found[2]]) % 12


def _figures(found: Any) -> dict[str, Any]:
    """For JSON, which knows no infinity: None (the loudness of silence)."""
    values = asdict(found).items()
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values}


def _together(ways: dict[str, Way], sends: dict[str, float]) -> Way:
    """The loop through all of these microphones at once: what they hear adds up on the bus."""
    one = next(iter(ways.values()))
    gains = np.array([linear(sends[name]) for name in ways])
    response = gains @ np.stack([way.response for way in ways.values()])
    noise = gains @ np.stack([way.noise for way in ways.values()])
    return Way(one.rate, response, noise, one.before)


@dataclass
class Soundcheck:
    """patch: placed (with the rig over it). channels: where its things are on the interface.
    level_db: dBFS peak of the sweeps."""

    patch: Patch
    channels: ChannelMap
    interface: Interface
    talk: Talk
    track: Tracker
    level_db: float = LEVEL_DB
    changes: dict[tuple[str, ...], Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    _trims: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self._trims = {n: i.trim_db for n, i in self.patch.inputs.items()}

    def run(self, steps: tuple[str, ...] = STEPS) -> None:
        """Fills changes and figures. Raises VenueError when the interface goes away."""
        for step in steps:
            {
                "noise": self._noise,
                "trim": self._trim,
                "loop": self._loop,
                "pedals": self._pedals,
                "ring": self._ring,
                "tuning": self._tuning,
            }[step]()

    def _skipped(self, text: str) -> bool:
        return self.talk.ask(f"{text} Enter: go, s: skip. ").lower().startswith("s")

    # ---- levels

    def _noise(self) -> None:
        inputs = self.channels.inputs
        if not inputs or self._skipped(f"Noise: everybody quiet for {NOISE_S:g} s."):
            return
        heard = listen(self.interface, NOISE_S)
        for name, channel in inputs.items():
            found = soundcheck_levels.noise(heard[:, channel], self.interface.rate)
            self.figures.setdefault("noise", {})[name] = _figures(found)
            self.changes["inputs", name, "noise_db"] = round(found.rms_db, 1)
            line = f"  {name}: {found.rms_db:.1f} dBFS"
            if found.hum_hz is not None:
                line += f", most of it hum of {found.hum_hz:g} Hz: look for a ground loop"
            elif found.rms_db + self._trims[name] > soundcheck_levels.NOISY_DB:
                line += ", which will be heard: preamp, cable, or a gate in its strip"
            self.talk.say(line)

    def _trim(self) -> None:
        for name, channel in self.channels.inputs.items():
            question = f"Trim: play {name} as loudly as tonight, for {TRIM_S:g} s."
            while not self._skipped(question):
                heard = listen(self.interface, TRIM_S)[:, channel]
                found = soundcheck_levels.trim(heard, self.interface.rate)
                self.figures.setdefault("trim", {})[name] = _figures(found)
                line = f"  {name}: peak {found.peak_db:.1f} dBTP, {found.lufs:.1f} LUFS"
                if found.trim_db is not None:
                    self._trims[name] = round(found.trim_db, 1)
                    self.changes["inputs", name, "trim_db"] = self._trims[name]
                    left = -(found.peak_db + found.trim_db)
                    line += f"; trim {found.trim_db:+.1f} dB leaves {left:.0f} dB of headroom"
                self.talk.say(line)
                if not found.advice:
                    break
                self.talk.say(f"  {name}: {found.advice}")

    # ---- from an output back to an input

    def _sweep(self, outputs: tuple[int, ...]) -> np.ndarray:
        """What every input hears of a sweep on these channels: (frames, inputs), with the tail."""
        rate = self.interface.rate
        played = soundcheck_loop.sweep(rate, self.level_db)
        play = silence(self.interface, soundcheck_loop.SWEEP_S + soundcheck_loop.TAIL_S)
        for channel in outputs:
            play[: len(played), channel] = played
        return self.interface.run(play)

    def _quiet(self) -> np.ndarray:
        return listen(self.interface, soundcheck_loop.SWEEP_S + soundcheck_loop.TAIL_S)

    def _way(self, heard: np.ndarray, quiet: np.ndarray) -> Way:
        rate = self.interface.rate
        played = soundcheck_loop.sweep(rate, self.level_db)
        return soundcheck_loop.measure(played, heard, quiet, rate)

    def _loop(self) -> None:
        if "main" not in self.channels.outputs or not self.interface.inputs:
            return
        output = self.channels.outputs["main"][0]
        where = f"output {output + 1} ({self.interface.outputs[output]})"
        if self._skipped(f"Round trip: a cable from {where} to any input."):
            return
        quiet = self._quiet()
        rounds = []
        for _ in range(2):
            heard = self._sweep((output,))
            channel = int(np.argmax(levels_db(heard)))
            way = self._way(heard[:, channel], quiet[:, channel])
            rounds.append((channel, soundcheck_loop.delay(way)))
        (channel, first), (other, second) = rounds
        if first is None or second is None or channel != other:
            self.talk.say("  nothing came back clearly: is the cable in, and the input open?")
        elif abs(first - second) > AGREE_FRAMES:
            self.talk.say(f"  {first:.1f} frames, then {second:.1f}: not the same way twice")
        else:
            ms = 1000.0 * first / self.interface.rate
            self.figures["round_trip"] = {"frames": first, "ms": ms, "input": channel + 1}
            self.changes["audio", "round_trip_ms"] = round(ms, 3)
            self.talk.say(
                f"  {ms:.2f} ms ({first:.1f} frames) to input {channel + 1}; through air it would "
                f"hold {METRE_MS} ms for every metre"
            )

    def _pedals(self) -> None:
        """How late each pedal's sound comes back, from its monitor to its return."""
        ways = {
            name: (insert.send, str(insert.returns))
            for name, insert in pedals_of(self.patch).items()
            if insert.send in self.channels.outputs and insert.returns in self.channels.inputs
        }
        if not ways or self._skipped(
            "Pedals: plugged in and switched to bypass, without delay or reverb. "
            f"A sweep at {self.level_db:g} dBFS goes through each."
        ):
            return
        quiet = self._quiet()
        for name, (send, back) in ways.items():
            channel = self.channels.inputs[back]
            heard = self._sweep(self.channels.outputs[str(send)])
            frames = soundcheck_loop.delay(self._way(heard[:, channel], quiet[:, channel]))
            if frames is None:
                self.talk.say(f"  {name}: nothing came back clearly on {back}: is it plugged in?")
                continue
            ms = 1000.0 * frames / self.interface.rate
            self.figures.setdefault("pedals", {})[name] = {"frames": frames, "ms": ms}
            self.changes["inputs", back, "late_ms"] = round(ms, 3)
            self.talk.say(f"  {name}: {ms:.2f} ms ({frames:.1f} frames) out and back")

    def _ring(self) -> None:
        """Each bus by itself, as it would be heard by the microphones that are sent to it."""
        loops = {
            bus: sends
            for bus in self.channels.outputs
            if (sends := self._sends(bus)) and self.patch.outputs[bus].channels
        }
        if not loops or self._skipped(
            "Ring-out: microphones, speakers and their volume as tonight, nobody near. "
            f"A sweep at {self.level_db:g} dBFS comes from each output."
        ):
            return
        quiet = self._quiet()
        for bus, sends in loops.items():
            heard = self._sweep(self.channels.outputs[bus])
            ways = {}
            for name, gain_db in sends.items():
                channel = self.channels.inputs[name]
                ways[name] = self._way(heard[:, channel], quiet[:, channel])
                self._tell_ring(bus, name, ways[name], gain_db)
            if len(sends) > 1:
                self._tell_ring(bus, "", _together(ways, sends), 0.0)
        self.talk.say("  Measured here and now, dry ways only: strips and effects come on top.")

    def _sends(self, bus: str) -> dict[str, float]:
        """Microphones whose dry sound this bus plays: name -> dB from input to output."""
        return {
            name: self._trims[name] + source.to[bus]
            for name, source in self.patch.inputs.items()
            if name in self.channels.inputs
            and bus in source.to
            and (source.dry == "segue" or bus != "main")
        }

    def _tell_ring(self, bus: str, name: str, way: Way, gain_db: float) -> None:
        found = soundcheck_loop.ring_out(way, gain_db)
        rings = self.figures.setdefault("ring_out", {}).setdefault(bus, {})
        rings[name or "all"] = asdict(found)
        if name:
            self.changes["inputs", name, "ring_out_db", bus] = round(found.margin_db, 1)
        who = f"{name} in {bus}" if name else f"all of them open in {bus}"
        if not found.heard:
            self.talk.say(f"  {who}: at least {found.margin_db:.0f} dB before it howls")
            return
        line = f"  {who}: {found.margin_db:.1f} dB before it howls, at {found.worst_hz:.0f} Hz"
        if found.margin_db < SAFE_DB:
            line += f"; {SAFE_DB - found.margin_db:.0f} dB less would be safe"
        self.talk.say(line)

    # ---- the reference

    def _tuning(self) -> None:
        inputs = self.channels.inputs
        while inputs:
            text = self.talk.ask(
                f"Tuning: hold an A, alone, for {TUNING_S:g} s from Enter "
                "(or type another note first, such as Bb). s: skip. "
            )
            key = parse_note(text)
            if text.lower().startswith("s"):
                return
            if key is None:
                self.talk.say("  A note: A, Bb, F# ...")
                continue
            heard = listen(self.interface, TUNING_S)
            levels = levels_db(heard)
            name = max(inputs, key=lambda n: float(levels[inputs[n]]))
            pitches, sure, hop_s = self.track(heard[:, inputs[name]], self.interface.rate)
            try:
                found = soundcheck_tuning.reference(pitches, sure, hop_s, key)
            except NoReference as error:
                self.talk.say(f"  {name}: {error}")
                continue
            self.figures["tuning"] = {**asdict(found), "input": name}
            self.changes["tuning_hz",] = round(found.tuning_hz, 1)
            self.talk.say(
                f"  {name}: A4 = {found.tuning_hz:.1f} Hz (the note moved by "
                f"{found.spread_cents:.1f} cents)"
            )
            return
