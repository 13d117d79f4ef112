"""The conductor: the one writer of the performance's state.

Pure: reports, observations, presses and the pool's events in; commands, requests and log lines out.
engine/conductor_process.py carries them. Nothing here waits or reads a clock; `now` is a frame.
Not thread-safe.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import layout
from engine.ask import Ask
from engine.beat_history import BeatHistory
from engine.clock import Clock
from engine.conductor_capture import queue_captured
from engine.conductor_hands import ACTIONS
from engine.conductor_mix import MixState, howls, let_go
from engine.conductor_steer import SteerState
from engine.conductor_undo import Undo
from engine.cv_routes import CvRoutes
from engine.journal import event_of
from engine.layout import CommandKind, ObservationKind, ReportKind
from engine.patch import Patch
from engine.programme import Programme
from engine.song import songs_of
from engine.stem import Play, StemState
from engine.stem_book import StemBook
from engine.stem_orders import levels_of
from engine.stem_recovery import reconcile
from engine.stem_stretch import stretch_far
from engine.timeline import Timeline

ROTATE_PHRASES = 3  # armed: a stem plays this long before a variation replaces it


def _line(patch: Patch, frame: int, rate: float) -> Timeline:
    song = songs_of(patch)[0]
    return Timeline(
        frame=frame,
        beat=0.0,
        bpm=song.bpm,
        rate=rate,
        beats_per_bar=song.beats_per_bar,
        bars_per_phrase=song.bars_per_phrase,
        confidence=0.0,
    )


class Conductor:
    """scripted: something else (the demo's performer) says when stems enter, so nothing rotates by
    itself. started: the patch that the other processes were started with; patch: the one in force,
    where it was reloaded since. reload_asked: a hand wants it read again."""

    def __init__(
        self,
        started: Patch,
        slots: int,
        slot_frames: int,
        patch: Patch | None = None,
        captures: int = 0,
        capture_frames: int = 0,
    ) -> None:
        self.started = started
        self.patch = patch = patch or started
        self.book = StemBook(
            patch,
            slots,
            slot_frames,
            levels=levels_of(started),
            captures=captures,
            capture_frames=capture_frames,
        )
        self.beats = BeatHistory()
        self.reload_asked = False
        self.routes = CvRoutes(patch)
        self.clock: Clock | None = None
        self.let_in = patch.armed
        self.oriented = patch.armed  # a hand has said where the one is
        self.scripted = False
        self.dry = False
        self.click = False
        self.mix = MixState()
        self.steering = SteerState()
        self.undo = Undo()
        self.surfaces: dict[str, dict[str, Any]] = {}  # what each shows, for a successor
        self.armed = ""  # the source that CAPTURE takes where nothing else is said
        self.wanted: set[str] = set()  # roles that are to sound as soon as a stem is ready
        self.commands: list[np.ndarray] = []
        self.news: list[dict[str, Any]] = []
        self.line: Timeline | None = None
        self._lines: list[Timeline] = []
        self.programme = Programme(self)

    # ---- time

    def begin(self, frame: int, rate: float) -> None:
        """The first frame: musical time starts here, unless a journal has set it."""
        if self.clock is None:
            self.clock = Clock(
                _line(self.patch, frame, rate), follow=self.patch.clock.source == "listener"
            )
            bpm, song = self.clock.line.bpm, self.programme.playing.name
            self.news.append({"event": "begin", "frame": frame, "bpm": bpm, "song": song})
            self.programme.begin(self.clock.line)

    def advance(self, now: int) -> None:
        """A tick: the timeline, stems that are due, stems to ask for."""
        if self.clock is None:
            return
        self.programme.pass_boundary(now)
        changed = self.clock.advance(now)
        if changed is not None:
            self._publish(changed, now)
        line = self.line
        if line is None:
            return
        let_go(self, now)
        self.programme.advance(line, now)
        if self.let_in and not self.dry and self.programme.enters(now):
            self._let_wanted_in(line, now)
        wanted = self.programme.stem_line(line)
        if self.oriented and not self.programme.moving:  # before, the tempo is nobody's word
            self.book.set_aside(wanted, now)
        self.book.set_others_aside(now)
        if not self.programme.moving:
            self.book.fill(wanted, now)
        stretch_far(self.book, line, now)
        self.steering.shape(self.patch, self.book.requests)
        self.routes.shape(self.book.requests)
        queue_captured(self, now)
        self.book.advance(line, now)
        self.commands.extend(self.book.commands)
        self.book.commands.clear()
        self.news.extend(self.book.news)
        self.book.news.clear()

    def _publish(self, line: Timeline, now: int) -> None:
        old = self.line
        self.line = line
        self._lines.append(line)
        self.beats.add(line, now)
        self.tell_line(line)
        if (
            old is None
            or abs(old.bpm - line.bpm) > 0.05
            or abs(old.beat_at(now) - line.beat_at(now)) > 0.01
        ):
            self.news.append(
                {"event": "timeline", "frame": line.frame, "beat": line.beat, "bpm": line.bpm}
            )

    def lines(self) -> list[Timeline]:
        """Timelines to publish since the last call, oldest first."""
        out, self._lines = self._lines, []
        return out

    def _let_wanted_in(self, line: Timeline, now: int) -> None:
        book = self.book
        if book.ending() is not None:
            return
        if not self.scripted and self.patch.armed:
            self.wanted.update(
                n
                for n, r in self.patch.roles.items()
                if Play(r.play) is Play.LOOP and not self.programme.off(n)
            )
        phrase = line.beats_per_bar * line.bars_per_phrase * line.frames_per_beat
        for role in sorted(self.wanted):
            if not self.routes.lets(role):
                if book.playing(role) or book.of(role, StemState.QUEUED):
                    book.leave(role, line, now)
                continue
            playing = book.playing(role)
            if playing is None and self._choked(role):
                continue
            rotates = (
                playing is not None
                and not self.scripted
                and self.patch.armed
                and now - playing.start_frame > (ROTATE_PHRASES - 0.5) * phrase
                and any(not e.held for e in book.of(role, StemState.READY))
            )
            due = playing is None or rotates or book.stale(role)
            entered = due and self.programme.enter(role, line, now)
            if entered and Play(self.patch.roles[role].play) is not Play.LOOP:
                self.wanted.discard(role)

    def _choked(self, role: str) -> bool:
        """Another role of its choke group sounds or is about to: only a hand puts it out."""
        states = (StemState.QUEUED, StemState.PLAYING)
        return any(self.book.of(other, *states) for other in self.book.rival_roles(role))

    # ---- what others say

    def report(self, r: np.void) -> None:
        """One layout.REPORT from the audio process."""
        kind, frame = int(r["kind"]), int(r["frame"])
        if kind == ReportKind.STEM_STARTED:
            self.book.started(int(r["id"]), frame)
        elif kind == ReportKind.STEM_ENDED:
            self.book.ended(int(r["id"]), int(r["slot"]), frame)
            self._note_the_end(int(r["id"]), frame)
        elif kind == ReportKind.STEM_REFUSED and self.line is not None:
            fits = int(r["a"]) >= 0
            self.book.refused(int(r["id"]), int(r["slot"]), self.line, frame, fits)
        elif kind == ReportKind.DRY:
            self.dry = bool(r["slot"])
        elif kind == ReportKind.PANIC:
            self.wanted.clear()
            self.book.panic(frame)
            self.let_in = False  # what made somebody panic comes back by a hand only
        elif kind == ReportKind.RESUMED:
            self.programme.tell_again(frame)
        self.news.append(event_of(r))

    def _note_the_end(self, stem: int, frame: int) -> None:
        """An ending was played to its end: nothing enters before a hand lets it in again, or where
        END has asked for it, before standby is left."""
        if self.book.over:
            self.book.over = False
            if stem == self.programme.ended_by:
                self.programme.ended_by = 0
                return
            self.wanted.clear()
            self.book.panic(frame)
            self.let_in = False
            self.news.append({"event": "song_over", "frame": frame})

    def observe(self, observation: np.void) -> None:
        """Before a hand has said where the one is, the tracker hears tuning and applause: until
        then the patch's tempo stands."""
        if int(observation["kind"]) == ObservationKind.HOWL:
            howls(self, observation)
        elif self.clock is not None and self.oriented:
            self.clock.observe(observation)

    def take(self, patch: Patch, now: int, keys: list[str]) -> str | None:
        """A reloaded patch, of which nothing needs a restart; keys: what it changes. Returns why it
        cannot be taken now, or None."""
        refused = self.programme.take(patch, now)
        if refused is None:
            self.news.append({"event": "reload", "frame": now, "changed": keys})
        return refused

    # ---- hands

    def act(
        self,
        name: str,
        now: int,
        role: str | None = None,
        stem: int | None = None,
        ask: Ask | None = None,
    ) -> str:
        """Do what a pad, a key or a socket asks for; returns what was done, or why it was not. ask:
        where more was said than role and stem."""
        handler = ACTIONS.get(name)
        if handler is None:
            return f"action {name!r}, expected one of {', '.join(sorted(ACTIONS))}"
        ask = ask or Ask(now, role, stem)
        if ask.role is not None and ask.role not in self.patch.roles:
            return f"role {ask.role!r}, expected one of {', '.join(self.patch.roles)}"
        if self.clock is None or self.line is None:
            return "the performance has not begun"
        before = self.undo.look(self, name)
        said = handler(self, ask)
        self.undo.note(self, name, ask, said, before)
        self.news.append({"event": "act", "frame": now, "name": name, **ask.words(), "said": said})
        return said

    # ---- commands, journal, status

    def command(self, kind: CommandKind, **fields: float) -> None:
        self.commands.append(layout.command(kind, **fields))

    def tell_line(self, line: Timeline) -> None:
        self.command(
            CommandKind.TIMELINE,
            frame=line.frame,
            x=line.beat,
            y=line.bpm,
            z=line.confidence,
            a=line.beats_per_bar,
            b=line.bars_per_phrase,
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "clock": self.clock.to_dict() if self.clock else None,
            "book": self.book.to_dict(),
            "let_in": self.let_in,
            "oriented": self.oriented,
            "scripted": self.scripted,
            "click": self.click,
            "dry": self.dry,
            "frozen": self.routes.frozen,
            "routes_off": self.routes.off,
            "wanted": sorted(self.wanted),
            "mix": self.mix.to_dict(),
            "steering": self.steering.to_dict(),
            "armed": self.armed,
            "undo": self.undo.to_dict(),
            "surfaces": self.surfaces,
            "programme": self.programme.to_dict(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take over from a predecessor's journal."""
        if saved["clock"] is not None:
            self.clock = Clock.from_dict(saved["clock"])
            self.line = self.clock.line
            self.beats.add(self.line, self.line.frame)
        self.book.restore(saved["book"])
        self.let_in, self.oriented = saved["let_in"], saved["oriented"]
        self.scripted, self.click, self.dry = saved["scripted"], saved["click"], saved["dry"]
        self.wanted = set(saved["wanted"])
        self.routes.frozen, self.routes.off = saved["frozen"], list(saved["routes_off"])
        self.mix = MixState.of(saved["mix"])
        self.steering = SteerState(**saved["steering"])
        self.armed, self.undo = saved["armed"], Undo.of(saved["undo"])
        self.surfaces = saved["surfaces"]
        self.programme.restore(saved["programme"])

    def reconcile(self, stems: np.ndarray, now: int) -> None:
        """After restore: `stems` is what the audio process really has."""
        if self.line is not None:
            reconcile(self.book, stems, self.line, now)

    def status(self, now: int) -> dict[str, Any]:
        """What a person wants to know, as JSON values."""
        line = self.line
        return {
            "frame": now,
            "bpm": line.bpm if line else None,
            "beat": line.beat_at(now) if line else None,
            "bar": line.bar_at(now) if line else None,
            "clock": self.clock.state.value if self.clock else None,
            "confidence": line.confidence if line else None,
            "let_in": self.let_in,
            "dry": self.dry,
            "cv_in": self.routes.values(),
            "frozen": self.routes.frozen,
            "mix": self.mix.to_dict(),
            "steering": self.steering.to_dict(),
            "armed": self.armed,
            "undo": self.undo.next,
            **self.programme.status(),
            "stems": [
                {**e.to_dict(), "ready_in_phrases": line and self.book.ready_in(e, line, now)}
                for e in self.book.entries.values()
            ],
        }
