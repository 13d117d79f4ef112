"""The performance's one musical clock: taps, commands and beat evidence in, a Timeline out.

Pure: frames in, Timeline out, no thread, no wall time. The conductor owns the one instance and is
its only caller; not real-time safe (it allocates), not thread-safe.

Who decides, highest first: a hand (tap, this_is_one, nudge, shift, double, halve, set_bpm), an
external clock, the tracker (BEAT observations), the free run. Once a hand has set the beat,
nothing but a hand ever moves it in a step; the tracker may only bend the tempo.

The tracker's part is engine/clock_follow.py. In silence the clock coasts. Evidence that comes back
near the tempo is met by bending; only without a hand may the clock step onto evidence, and then the
octave or the half-beat changes at a bar line alone, when enough beats in a row say so.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from engine.clock_evidence import TapSeries
from engine.clock_follow import RELOCK, SLEW, WINDOW_BEATS, Follower
from engine.clock_state import CLOCK_STEPS, ClockState
from engine.layout import ObservationKind
from engine.timeline import Boundary, Timeline, Timestamp, check_bpm

BEND_BEATS = 1.5  # a bend without new evidence ends after this
COAST_AFTER_BEATS = 4.0  # this long without evidence, and the clock coasts
SEARCH_AFTER_BEATS = 32.0  # this long, and without a hand it starts anew
MIN_CONFIDENCE = 0.05  # of an observation; below it is noise
MAX_AHEAD_S = 0.5  # beats may be predicted; a frame farther ahead is a broken stamp
FADE_BEATS = 8.0  # coasting halves the confidence in this

_C = ClockState


@dataclass(frozen=True)
class _AtBar:
    beat: float  # the bar line waited for
    factor: float  # of the tempo
    shift: float  # beats
    by_hand: bool


class Clock:
    """See the module. All frames are Timestamps; `line` is the Timeline in force.

    follow: listen to BEAT observations (patch clock.source: listener). bpm_range: tempi that taps,
    commands and the tracker are held to.
    """

    def __init__(
        self, line: Timeline, follow: bool = False, bpm_range: tuple[float, float] = (40.0, 240.0)
    ) -> None:
        low, high = (check_bpm(b) for b in bpm_range)
        self.low, self.high = min(low, line.bpm), max(high, line.bpm)  # what a song says, goes
        self.line = line
        self.state = _C.SEARCHING if follow else _C.INTERNAL
        self.follow = follow
        self.held = False
        self.beat_by_hand = False  # a hand has said where the beat is
        self.one_by_hand = False  # a hand has said where the one is
        self._follower = Follower(line.rate, line.bpm, self.low, self.high)
        self._taps = TapSeries(line.rate)
        self._trust = 0.2 if follow else 1.0
        self._now = line.frame
        self._last_evidence = line.beat  # the beat of the last evidence that counted
        self._bend_until = math.inf  # the beat at which a bend ends
        self._wanted: float | None = None  # a tempo for the next advance
        self._at_bar: _AtBar | None = None
        # Lines of the last beats with the frame each came into force: beats are observed late.
        self._past: deque[tuple[int, Timeline]] = deque([(line.frame, line)], maxlen=16)
        self._changed = True

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
        """Take one layout.OBSERVATION; only a BEAT with some confidence counts, and only where
        nobody above the tracker decides."""
        if int(observation["kind"]) != ObservationKind.BEAT:
            return
        frame, confidence = int(observation["frame"]), float(observation["y"])
        listening = self.follow and not self.held and self.state is not _C.EXTERNAL
        ahead = (frame - self._now) / self.line.rate
        if not listening or not confidence >= MIN_CONFIDENCE or ahead > MAX_AHEAD_S:
            return
        if not self._follower.series.add(frame):
            return
        if self.state is _C.SEARCHING:
            if (found := self._follower.first()) is not None:
                self._take_up(*found)
            return
        locked = self.state is _C.LOCKED
        verdict = self._follower.hear(
            frame, self._line_at(frame).beat_at(frame), locked, self.beat_by_hand
        )
        if verdict.play is not None:
            self._wanted = verdict.play
        if verdict.locked is not None:
            self._last_evidence = self._beat
            self._trust += 0.2 * (verdict.locked - self._trust)
            if not locked:
                self._become(_C.LOCKED)
        if (verdict.factor != 1.0 or verdict.shift) and self._at_bar is None:
            self._at_bar = _AtBar(self._next_bar(), verdict.factor, verdict.shift, False)

    # -- a hand ----------------------------------------------------------------------------

    def tap(self, frame: Timestamp) -> int:
        """A tap at `frame`; returns how many the series has. From the fourth on, tempo and phase
        follow the series at once; its first tap is a bar's first beat unless a hand has said where
        the one is. A series that ends with two or three taps refines both, if it agrees with the
        tempo within RELOCK."""
        if (ended := self._taps.finish(frame)) is not None:
            self._refine(*ended)
        fit = self._taps.add(frame)
        if fit is not None:
            bpm, at = fit
            beat: float = self.line.beat_at(round(at))
            if self.one_by_hand:
                beat = round(beat)
            else:
                bar, place = self.line.beats_per_bar, self._taps.count - 1
                beat = round((beat - place) / bar) * bar + place
            self._by_hand(at, beat, self._in_range(bpm))
        return self._taps.count

    def this_is_one(self, frame: Timestamp) -> None:
        """A phrase starts here. Phase is the hand's, except that a locked clock within WINDOW_BEATS
        of the press keeps its own, which is the steadier. The count goes on, never back."""
        beat = self.line.beat_at(frame)
        error = beat - round(beat)
        steady = self.state is _C.LOCKED and abs(error) <= WINDOW_BEATS
        phrase = self.line.beats_of(Boundary.PHRASE)
        one = math.ceil((beat - 0.5) / phrase) * phrase
        self._by_hand(frame, one + (error if steady else 0.0), self.line.bpm)
        self.one_by_hand = True

    def nudge(self, milliseconds: float) -> None:
        """Beats come this much later (negative: earlier). ValueError beyond half a second."""
        if not abs(milliseconds) <= 500.0:
            raise ValueError(f"nudge is {milliseconds} ms, expected -500 to 500")
        later = milliseconds * self.line.bpm / 60_000.0
        self._by_hand(self._now, self._beat - later, self.line.bpm)

    def shift(self, beats: float) -> None:
        """Beats come this much later: half a beat when the tracker sits on the off-beat, one or
        more when the bar is wrong. ValueError unless a multiple of a half within 8."""
        if not abs(beats) <= 8 or beats * 2 != round(beats * 2):
            raise ValueError(f"shift is {beats} beats, expected a multiple of 0.5 within 8")
        self._by_hand(self._now, self._beat - beats, self.line.bpm)

    def double(self) -> None:
        """Twice the tempo from the next bar line on. ValueError outside the range."""
        self._scale(2.0)

    def halve(self) -> None:
        """Half the tempo from the next bar line on. ValueError outside the range."""
        self._scale(0.5)

    def set_bpm(self, bpm: float) -> None:
        """This tempo from now on, phase kept. ValueError outside the range."""
        if not self.low <= check_bpm(bpm) <= self.high:
            raise ValueError(f"tempo is {bpm}, expected {self.low:g} to {self.high:g} (the range)")
        self._by_hand(self._now, self._beat, bpm)

    def set_metre(self, beats_per_bar: int, bars_per_phrase: int) -> None:
        """Another metre; beat 0 stays where it is."""
        self.line = replace(self.line, beats_per_bar=beats_per_bar, bars_per_phrase=bars_per_phrase)
        self._changed = True

    def begin_song(self, line: Timeline, by_hand: bool) -> None:
        """Another song: its line from line.frame on (call when that has come, or is about to).
        by_hand: a hand says where the beat is; else the tracker may find it."""
        self.line = replace(line, confidence=self.line.confidence)
        self._at_bar, self._wanted, self._bend_until = None, None, math.inf
        self.low, self.high = min(self.low, line.bpm), max(self.high, line.bpm)
        self._follower.forget()
        self._follower.set_base(line.bpm)
        self._past.clear()
        self._past.append((line.frame, self.line))
        self._last_evidence = self._beat
        self.beat_by_hand = self.one_by_hand = by_hand
        self._trust = 1.0 if by_hand else 0.2
        if self.follow and self.state not in (_C.COASTING, _C.EXTERNAL):
            self._become(_C.COASTING)
        if self.follow and not by_hand and self.state is _C.COASTING:
            self._become(_C.SEARCHING)
        self._changed = True

    def hold(self, on: bool) -> None:
        """Freeze: no evidence and no external clock moves anything until released."""
        self.held = on
        self._follower.forget()
        self._bend_until, self._wanted = self._beat, None
        self._last_evidence = self._beat

    def let_go(self) -> None:
        """Forget what hands have set: the external clock or the tracker may decide again."""
        self.beat_by_hand = self.one_by_hand = False
        self._follower.forget()
        if self.follow and self.state is not _C.SEARCHING:
            if self.state is not _C.COASTING:
                self._become(_C.COASTING)
            self._become(_C.SEARCHING)

    def set_follow(self, on: bool) -> None:
        """Listen to the tracker, or run free on the present tempo."""
        if on == self.follow:
            return
        self.follow = on
        self._follower.forget()
        self._last_evidence = self._beat
        if not on:
            self._become(_C.INTERNAL)
        elif self.state is not _C.EXTERNAL:
            self._become(_C.COASTING if self.beat_by_hand else _C.SEARCHING)

    def external(self, frame: Timestamp, beat: float, bpm: float) -> bool:
        """Another clock says so. Its phase within the bar is taken, not its count. False, and
        nothing done, where a hand has the beat, while held, or for a tempo out of range."""
        if self.beat_by_hand or self.held:
            return False
        if not (math.isfinite(beat) and self.low <= bpm <= self.high):
            return False
        bar = self.line.beats_per_bar
        mine = self.line.beat_at(frame)
        away = (beat - mine) % bar
        if self.state is not _C.EXTERNAL:
            self._become(_C.EXTERNAL)
            self._follower.forget()
        elif away > bar / 2:  # already together: the small correction, not a bar on
            away -= bar
        self._step(frame, mine + away, bpm)
        self._trust = 1.0
        return True

    def external_lost(self) -> None:
        """The other clock is gone: fly on at its tempo."""
        if self.state is _C.EXTERNAL:
            self._last_evidence = self._beat
            self._become(_C.COASTING if self.follow else _C.INTERNAL)

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
        clock._at_bar = None if d["at_bar"] is None else _AtBar(**d["at_bar"])
        clock._follower.set_base(d["base"])
        clock._bend_until = clock._beat
        return clock

    # -- inside ------------------------------------------------------------------------------

    @property
    def _beat(self) -> float:
        return self.line.beat_at(self._now)

    def _next_bar(self) -> float:
        bar = self.line.beats_per_bar
        return float((math.floor(self._beat / bar) + 1) * bar)

    def _in_range(self, bpm: float) -> float:
        """The tempo, in the octave that lies in the range."""
        while bpm < self.low:
            bpm *= 2.0
        while bpm > self.high:
            bpm /= 2.0
        return max(bpm, self.low)

    def _become(self, state: ClockState) -> None:
        if state not in CLOCK_STEPS[self.state]:
            raise ValueError(f"clock is {self.state.value}, cannot become {state.value}")
        self.state = state

    def _line_at(self, frame: Timestamp) -> Timeline:
        for start, line in reversed(self._past):
            if start <= frame:
                return line
        return self._past[0][1]

    def _step(self, frame: Timestamp, beat: float, bpm: float) -> None:
        """Another line altogether; past evidence is read by it from now on."""
        self.line = replace(self.line, frame=round(frame), beat=beat, bpm=bpm)
        self._follower.set_base(bpm)
        self._past.clear()
        self._past.append((self._now, self.line))
        self._bend_until, self._wanted = math.inf, None
        self._last_evidence = self._beat
        self._changed = True

    def _run_at(self, bpm: float) -> None:
        """Another tempo from now on, phase kept, within SLEW of every tempo of the last beat."""
        since = self._now - 0.9 * self.line.frames_per_beat  # evidence comes a bit early, too
        while len(self._past) > 1 and self._past[1][0] <= since:
            self._past.popleft()
        recent = [line.bpm for _, line in self._past]
        bpm = min(max(bpm, max(recent) * (1.0 - SLEW)), min(recent) * (1.0 + SLEW))
        bpm = min(max(bpm, self.low), self.high)
        if bpm != self.line.bpm:
            self.line = self.line.with_tempo(self._now, bpm)
            self._past.append((self._now, self.line))
            self._changed = True

    def _by_hand(self, frame: float, beat: float, bpm: float) -> None:
        if bpm != self.line.bpm:
            self._at_bar = None
        self._follower.forget()
        whole = round(frame)
        self._step(whole, beat + (whole - frame) * bpm / (60.0 * self.line.rate), bpm)
        self.beat_by_hand = True
        self._trust = 1.0
        if self.state is _C.EXTERNAL and not self.follow:
            self._become(_C.INTERNAL)
        elif self.state in {_C.SEARCHING, _C.EXTERNAL}:
            self._become(_C.COASTING)

    def _refine(self, bpm: float, frame: float) -> None:
        """Two or three taps, now ended."""
        if abs(bpm / self.line.bpm - 1.0) <= RELOCK:
            beat = round(self.line.beat_at(round(frame)))
            self._by_hand(frame, beat, self._in_range((bpm + self.line.bpm) / 2.0))

    def _scale(self, factor: float) -> None:
        waiting = self._at_bar.factor if self._at_bar is not None and self._at_bar.by_hand else 1.0
        bpm = self._follower.base * waiting * factor
        if not self.low <= bpm <= self.high:
            raise ValueError(f"tempo would be {bpm:g}, expected {self.low:g} to {self.high:g}")
        both = waiting * factor
        self._at_bar = _AtBar(self._next_bar(), both, 0.0, True) if both != 1.0 else None

    def _pass_bar(self, waiting: _AtBar) -> None:
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
