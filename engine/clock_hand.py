"""Hands on the performance's clock, and other clocks: see engine/clock.py. Pure."""

from __future__ import annotations

import math
from dataclasses import replace

from engine.clock_follow import RELOCK, WINDOW_BEATS
from engine.clock_line import AtBar, ClockLine
from engine.clock_state import ClockState
from engine.timeline import Boundary, Timeline, Timestamp, check_bpm

_C = ClockState


class ClockHand(ClockLine):
    """Each method is one thing that a hand does."""

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

    def set_phrase(self, bars: int) -> None:
        """Another length of phrases, in bars; beat 0 stays where it is."""
        self.line = replace(self.line, bars_per_phrase=bars)
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

    @property
    def waiting_factor(self) -> float:
        """Of the tempo, at the next bar line, because a hand said so; 1: none."""
        waiting = self._at_bar
        return waiting.factor if waiting is not None and waiting.by_hand else 1.0

    def _refine(self, bpm: float, frame: float) -> None:
        """Two or three taps, now ended."""
        if abs(bpm / self.line.bpm - 1.0) <= RELOCK:
            beat = round(self.line.beat_at(round(frame)))
            self._by_hand(frame, beat, self._in_range((bpm + self.line.bpm) / 2.0))

    def _scale(self, factor: float) -> None:
        waiting = self.waiting_factor
        bpm = self._follower.base * waiting * factor
        if not self.low <= bpm <= self.high:
            raise ValueError(f"tempo would be {bpm:g}, expected {self.low:g} to {self.high:g}")
        both = waiting * factor
        self._at_bar = AtBar(self._next_bar(), both, 0.0, True) if both != 1.0 else None
