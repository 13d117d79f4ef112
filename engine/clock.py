"""The performance's one musical clock: taps, commands and beat evidence in, a Timeline out.

Pure: frames in, Timeline out, no thread, no wall time. The conductor owns the one instance and is
its only caller; not real-time safe (it allocates), not thread-safe.

Who decides, highest first: a hand (tap, this_is_one, nudge, shift, double, halve, set_bpm), an
external clock, the tracker (BEAT observations), the free run. Once a hand has set the beat,
nothing but a hand ever moves it in a step; the tracker may only bend the tempo.

In layers: engine/clock_line.py (the line), engine/clock_hand.py (hands), and here time, the
tracker's beats and the journal; engine/clock_follow.py is the tracker's reasoning. In silence the
clock coasts. Evidence that comes back near the tempo is met by bending; only without a hand may the
clock step onto evidence, and then the octave or the half-beat changes at a bar line alone, when
enough beats in a row say so.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from engine.clock_hand import ClockHand
from engine.clock_line import AtBar
from engine.clock_state import ClockState
from engine.layout import ObservationKind
from engine.timeline import Timeline, Timestamp

BEND_BEATS = 1.5  # a bend without new evidence ends after this
COAST_AFTER_BEATS = 4.0  # this long without evidence, and the clock coasts
SEARCH_AFTER_BEATS = 32.0  # this long, and without a hand it starts anew
MIN_CONFIDENCE = 0.05  # of an observation; below it is noise
MAX_AHEAD_S = 0.5  # beats may be predicted; a frame farther ahead is a broken stamp
FADE_BEATS = 8.0  # coasting halves the confidence in this

_C = ClockState


class Clock(ClockHand):
    """See the module. All frames are Timestamps; `line` is the Timeline in force."""

    # -- what the conductor calls every tick --------------------------------------------------

    def advance(self, frame: Timestamp) -> Timeline | None:
        """Go on to `frame` (never back). Returns the line, anchored there, if it has changed."""
        self._now = max(frame, self._now)
        if (ended := self._taps.finish(self._now)) is not None:
            self._refine(*ended)
        if self._at_bar is not None and self._beat >= self._at_bar.beat:
            self._pass_bar(self._at_bar)
        if self._wanted is not None:
            self._run_at(self._wanted)
            self._bend_until = self._beat + BEND_BEATS
        elif self._beat >= self._bend_until:
            self._bend_until = math.inf
            self._run_at(self._follower.base)
        self._wanted = None
        if not self.held:
            self._coast()
        self._set_confidence()
        if not self._changed:
            return None
        self._changed = False
        self.line = self.line.at(self._now)
        return self.line

    def observe(self, observation: np.void) -> None:
        """Take one layout.OBSERVATION; only a BEAT counts, and only where nobody above the tracker
        decides. One without confidence may confirm what is known, and finds nothing."""
        if int(observation["kind"]) != ObservationKind.BEAT:
            return
        frame, confidence = int(observation["frame"]), float(observation["y"])
        listening = self.follow and not self.held and self.state is not _C.EXTERNAL
        ahead = (frame - self._now) / self.line.rate
        sure = confidence >= MIN_CONFIDENCE
        if not listening or ahead > MAX_AHEAD_S:
            return
        beat = self._line_at(frame).beat_at(frame)
        if not sure and (
            self.state is _C.SEARCHING or not confidence >= 0.0 or not self._follower.expects(beat)
        ):
            return
        if not self._follower.series.add(frame):
            return
        if self.state is _C.SEARCHING:
            if (found := self._follower.first()) is not None:
                self._take_up(*found)
            return
        locked = self.state is _C.LOCKED
        verdict = self._follower.hear(frame, beat, locked, self.beat_by_hand, sure)
        if verdict.play is not None:
            self._wanted = verdict.play
        if verdict.locked is not None:
            self._last_evidence = self._beat
            self._trust += 0.2 * (verdict.locked - self._trust)
            if not locked:
                self._become(_C.LOCKED)
        if (verdict.factor != 1.0 or verdict.shift) and self._at_bar is None:
            self._at_bar = AtBar(self._next_bar(), verdict.factor, verdict.shift, False)

    # -- the journal -----------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Everything that a restarted conductor needs, as JSON values."""
        return {
            "line": asdict(self.line),
            "state": self.state.value,
            "follow": self.follow,
            "held": self.held,
            "beat_by_hand": self.beat_by_hand,
            "one_by_hand": self.one_by_hand,
            "range": [self.low, self.high],
            "base": self._follower.base,
            "trust": self._trust,
            "now": self._now,
            "last_evidence": self._last_evidence,
            "at_bar": None if self._at_bar is None else asdict(self._at_bar),
        }

    @staticmethod
    def from_dict(d: dict[str, Any]) -> Clock:
        """The clock that to_dict described; a lock has to be found again, so it coasts."""
        clock = Clock(Timeline(**d["line"]), d["follow"], (d["range"][0], d["range"][1]))
        state = ClockState(d["state"])
        clock.state = _C.COASTING if state is _C.LOCKED else state
        clock.held, clock.beat_by_hand = d["held"], d["beat_by_hand"]
        clock.one_by_hand = d["one_by_hand"]
        clock._trust, clock._now = d["trust"], d["now"]
        clock._last_evidence = d["last_evidence"]
        clock._at_bar = None if d["at_bar"] is None else AtBar(**d["at_bar"])
        clock._follower.set_base(d["base"])
        clock._bend_until = clock._beat
        return clock

    def go_back(self, saved: dict[str, Any], frame: Timestamp) -> None:
        """To where the line that to_dict described would be by now: a hand takes back what it did.
        The tracker may move it again."""
        before = Clock.from_dict(saved)
        self._taps.forget()
        self._by_hand(frame, before.line.beat_at(frame), before.line.bpm)
        self.set_phrase(before.line.bars_per_phrase)
        self.set_follow(before.follow)
        self.beat_by_hand, self.one_by_hand = before.beat_by_hand, before.one_by_hand
        self._at_bar = before._at_bar
        if self._at_bar is not None and self._at_bar.beat <= self._beat:
            self._at_bar = None

    # -- inside ------------------------------------------------------------------------------

    def _pass_bar(self, waiting: AtBar) -> None:
        self._at_bar = None
        bpm = self._in_range(self._follower.base * waiting.factor)
        if waiting.by_hand:
            self._by_hand(self._now, self._beat, bpm)
        elif not self.beat_by_hand:
            self._follower.forget()
            self._step(self._now, self._beat + waiting.shift, bpm)

    def _take_up(self, frame: Timestamp, bpm: float) -> None:
        """End a search: step onto the evidence, to the next whole beat, never back."""
        ahead = (self._now - frame) * bpm / (60.0 * self.line.rate)
        self._step(frame, float(math.ceil(self._beat - ahead)), bpm)
        self._trust = 0.5
        self._become(_C.LOCKED)

    def _coast(self) -> None:
        silent = self._beat - self._last_evidence
        if self.state is _C.LOCKED and silent > COAST_AFTER_BEATS:
            self._become(_C.COASTING)
            self._follower.settle()
            self._bend_until = self._beat
        if self.state is _C.COASTING and not self.beat_by_hand and silent > SEARCH_AFTER_BEATS:
            self._become(_C.SEARCHING)
            self._follower.forget()
            self._trust = 0.2

    def _set_confidence(self) -> None:
        confidence = self._trust
        if self.state is _C.COASTING:
            silent = max(0.0, self._beat - self._last_evidence - COAST_AFTER_BEATS)
            confidence = max(0.2, self._trust * 0.5 ** (silent / FADE_BEATS))
        elif self.state is _C.SEARCHING:
            confidence = 0.2
        steps = min(max(round(confidence * 20.0), 0), 20) / 20.0  # or every tick would be news
        if steps != self.line.confidence:
            self.line = replace(self.line, confidence=steps)
            self._changed = True
