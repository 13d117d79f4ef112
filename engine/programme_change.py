"""From one song or scene to the next, at a boundary and on its exact frame.

What changes is told to the audio process ARM_BEATS before the boundary: the new line with the frame
from which it holds, the click of a count-in, the gains' ramps, the stems that stop and start there.
From then on the frame stands, and a conductor that dies changes nothing of it; the conductor's own
clock steps when the frame has come. Beats go on counting: a song's first bar lies on a multiple of
its own phrase. See engine/programme.py.
"""

from __future__ import annotations

from engine.layout import CommandKind
from engine.programme_state import STANDBY_FADE_S, Change, ProgrammeState
from engine.stem import StemState
from engine.stem_book import SEND_BEATS
from engine.stem_queue import LATEST_S
from engine.timeline import Boundary, Timeline, Timestamp

ARM_BEATS = SEND_BEATS


class ProgrammeChange(ProgrammeState):
    """Time passes: see the module."""

    # ---- planning

    def _plan(self, song: int, scene: int, now: Timestamp, line_too: bool = False) -> str:
        """A change at the next boundary; one that waits already makes way, if it still can.
        line_too: tempo or metre change, though the song does not: at the bar."""
        line = self._c.line
        assert line is not None
        waiting = self.change
        if waiting is not None and waiting.armed:
            return "something changes at this very moment"
        if self.end is not None and self.end.begun:
            return "it is ending"
        other = song != self.song
        if waiting is not None and waiting.song == self.song and not other:
            line_too = line_too or waiting.line  # what was reloaded comes all the same
        target = self.songs[song]
        grid = Boundary(target.enter if other else self.scene_of(song, scene).enter)
        grid = Boundary.BAR if line_too else grid
        after = now + round(LATEST_S * line.rate) if other else self.soonest(line, now)
        beat = line.beat_at(line.next_boundary(after, grid))
        count_in = target.count_in if other else 0
        self.change = Change(song, scene, round(beat, 3), other or line_too, count_in)
        self.end = None if other else self.end
        return f"{target.name}, {self.scene_name(song, scene)}: at the {grid.value}"

    # ---- time

    @property
    def coming(self) -> Timeline | None:
        """The line that the audio process was told for a frame ahead."""
        change, line = self.change, self._c.line
        if change is None or not (change.armed and change.line) or line is None:
            return None
        return self._line_of(change, line.rate)

    def pass_boundary(self, now: Timestamp) -> None:
        """Before the clock advances: what was armed and has come."""
        change = self.change
        if change is None or not change.armed or now < change.frame:
            return
        self.change = None
        c = self._c
        other = change.song != self.song
        self.song, self.scene = change.song, change.scene
        if change.line:
            assert c.line is not None
            line = self._line_of(change, c.line.rate)
            self._begin_line(line, other)
        if other:
            c.steering.density.clear()  # a hand's word is for the song
        if change.line and other:
            self.one_beat = round(line.beat_at(change.one), 3)
            self._say("song", change.frame, name=self.playing.name, bpm=line.bpm,
                      beat=line.beat, one=change.one)  # fmt: skip
        self._say("scene", change.frame, name=self.scene_name(self.song, self.scene))
        self._tell_book()

    def _begin_line(self, line: Timeline, other: bool) -> None:
        """other: of another song, which says where the one is. A reloaded tempo or metre says
        nothing of the kind: who has not said it has it still to say."""
        c = self._c
        assert c.clock is not None
        one = c.clock.one_by_hand
        c.clock.begin_song(line, other or c.clock.beat_by_hand or not c.clock.follow)
        c.clock.hold(self.standby or self.held)
        if other:
            c.oriented = True
        else:
            c.clock.one_by_hand = one

    def prepare(self, line: Timeline, now: Timestamp) -> None:
        """After the clock has advanced: arm what is near."""
        change = self.change
        if change is None or change.armed:
            return
        frame = line.frame_at(change.beat)
        if frame - now > ARM_BEATS * line.frames_per_beat:
            return
        if frame - now < LATEST_S * line.rate / 2:  # overslept: the next boundary
            self.change = None
            self._plan(change.song, change.scene, now, change.line)
            return
        change.armed, change.frame, change.one = True, frame, frame
        if change.song != self.song:
            self._arm_song(change, line, now)
            return
        if not (change.line and change.scene == self.scene):  # else what hands chose since stands
            self._arm_scene(change, line, now)
        if change.line:
            other_metre = self.other_metre
            self._arm_line(change, line)
            if other_metre is not None:
                self._arm_metre(change, line, now)

    def _align(self, change: Change, rate: float) -> Timeline:
        """Say on which beat the new line begins, so that the first bar after the count-in lies on a
        phrase of it; returns the line."""
        song = self.songs[change.song]
        phrase = song.beats_per_bar * song.bars_per_phrase
        count = float(change.count_in * song.beats_per_bar)
        first = float(-(-(round(change.beat, 3) + count) // phrase) * phrase)
        change.begins = first - count
        line = self._line_of(change, rate)
        change.one = line.frame_at(first)
        return line

    def _line_of(self, change: Change, rate: float) -> Timeline:
        song = self.songs[change.song]
        return Timeline(
            frame=change.frame,
            beat=change.begins,
            bpm=song.bpm,
            rate=rate,
            beats_per_bar=song.beats_per_bar,
            bars_per_phrase=song.bars_per_phrase,
            confidence=1.0,
        )

    def _arm_song(self, change: Change, old: Timeline, now: Timestamp) -> None:
        c = self._c
        assert c.clock is not None
        scene = self.scene_of(change.song, change.scene)
        new = self._arm_line(change, old)
        self._mark_song(scene)
        here = self.song, self.scene
        self.song, self.scene = change.song, change.scene
        self._tell_book()  # from now on stems of the new song are wanted
        self.song, self.scene = here
        self._turn_over(change, old, now)
        ramp = self.glide(scene, new)
        if change.count_in:
            short = min(ramp, round(new.frames_per_beat))
            self._gains(change.frame, short, scene, silent=True)
            self._gains(change.one, ramp, scene)
            self.quiet = (change.frame + short, change.one)
            self._count_in(change.frame, change.one, change.count_in)
        else:
            self._gains(change.frame, ramp, scene)

    def _turn_over(self, change: Change, old: Timeline, now: Timestamp) -> None:
        """Beats are counted anew from the boundary: no stem goes on over it, those that are wanted
        and ready begin there."""
        c = self._c
        for role in c.patch.roles:
            c.book.leave_at(role, old, now, change.beat)
            if not change.count_in and role in c.wanted and self._open():
                c.book.enter_at(role, old, now, change.beat, change.begins)

    def _arm_metre(self, change: Change, old: Timeline, now: Timestamp) -> None:
        """The song goes on in another metre (it was reloaded)."""
        c = self._c
        there = (StemState.PLAYING, StemState.QUEUED)
        c.wanted.update(r for r in c.patch.roles if c.book.of(r, *there))
        self.one_beat = None  # it counted by the old line
        self._turn_over(change, old, now)

    def _arm_line(self, change: Change, old: Timeline) -> Timeline:
        assert self._c.clock is not None
        self._c.clock.hold(True)  # its boundary must not move under what was told
        if not self.moving:  # bars stay where they are, and all that counts by beats
            change.begins = change.beat
            new = self._line_of(change, old.rate)
        else:
            new = self._align(change, old.rate)
        self._c.tell_line(new)
        return new

    def _open(self) -> bool:
        return self._c.let_in and not self._c.dry and not self.standby

    def _count_in(self, frame: int, one: int, bars: int) -> None:
        """The metronome for so long, on the click bus; where it was on it stays on."""
        self._say("count_in", frame, bars=bars, one=one)
        if not self._c.click:
            self._c.command(CommandKind.CLICK, slot=1, frame=frame)
            self._c.command(CommandKind.CLICK, slot=0, frame=one)

    def _arm_scene(self, change: Change, line: Timeline, now: Timestamp) -> None:
        c = self._c
        scene = self.scene_of(change.song, change.scene)
        here = self.scene
        self.scene = change.scene
        self._tell_book()
        self.scene = here
        self._mark_roles(scene)
        for role, part in scene.stems.items():
            if not part.play:
                c.book.leave_at(role, line, now, change.beat)
            elif self._open() and (c.book.playing(role) is None or c.book.stale(role)):
                c.book.enter_at(role, line, now, change.beat)
        self._gains(change.frame, self.glide(scene, line), scene)

    # ---- standby

    def _set_standby(self, on: bool, now: Timestamp) -> str:
        c = self._c
        assert c.line is not None
        assert c.clock is not None
        self.standby = on
        self._say("standby", now, on=on)
        if on:
            ramp = round(STANDBY_FADE_S * c.line.rate)
            self.faded = now + ramp
            c.clock.hold(True)
            self._gains(now, ramp, now=True)
            if self.end is not None and self.end.begun:  # its long fade was to nothing, too
                for source, bus, gain in self.mix.all():
                    self._gain((source, bus), now, ramp, gain, at_once=True)
            self._outlast(now, ramp)
            change = self.change
            if change is not None and not change.armed and change.song != self.song:
                self._change_in_standby(change.song, change.scene, now)
            return "standby"
        c.clock.hold(self.held)
        if self.counts_in:
            self._begin_song(now)
        else:
            ramp = self.glide(self.here, c.line)
            self._gains(now, ramp, now=True)
            self._outlast(now, ramp)
        return "on"

    def _outlast(self, now: Timestamp, ramp: int) -> None:
        """Gains that the audio process keeps for a later frame would undo this then: the same once
        more for that frame."""
        change, later = self.change, self.quiet[1]
        if change is not None and change.armed:
            later = max(later, change.one)
        if later > now:
            for source, bus, gain in self.mix.all():
                self._gain((source, bus), later, ramp, gain)

    def _change_in_standby(self, song: int, scene: int, now: Timestamp) -> str:
        """Nothing sounds, so nothing is waited for; the song begins when standby ends."""
        c = self._c
        assert c.line is not None
        self.change = self.end = None
        self.song, self.scene = song, scene
        c.steering.density.clear()
        self._tell_book()
        self._mark_song(self.here)
        for role in c.patch.roles:
            c.book.cut(role, now)
        self.counts_in = True
        self._gains(now, round(STANDBY_FADE_S * c.line.rate), now=True)
        self._say("song", now, name=self.playing.name, bpm=self.playing.bpm, standby=True)
        self._say("scene", now, name=self.scene_name(song, scene))
        return f"{self.playing.name}: begins when standby ends"

    def _begin_song(self, now: Timestamp) -> None:
        """Out of standby: the count-in (or the first bar) begins now. A song without a count-in
        whose tempo a drummer gives waits for a hand to say where its one is."""
        c = self._c
        assert c.line is not None
        assert c.clock is not None
        self.counts_in = False
        frame = now + round(LATEST_S * c.line.rate)
        beat = round(c.line.beat_at(frame), 3)
        change = Change(self.song, self.scene, beat, True, self.playing.count_in, True, frame)
        line = self._align(change, c.line.rate)
        by_hand = bool(change.count_in) or not c.clock.follow
        c.clock.begin_song(line, by_hand)
        self.one_beat = round(line.beat_at(change.one), 3)
        c.oriented = by_hand or c.patch.armed
        if not c.oriented:
            c.let_in = False
        self._gains(frame, self.glide(self.here, line), now=True)
        if change.count_in:
            self.quiet = (now, change.one)
            self._count_in(frame, change.one, change.count_in)
        self._say("song_begins", frame, name=self.playing.name, bpm=line.bpm, one=change.one)
