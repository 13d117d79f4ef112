"""The programme: which song and scene is played, and what hands do with it.

    NEXT SONG, song     at the playing song's next phrase (or bar), with its count-in
    NEXT SCENE, scene   at the next bar (or phrase), gains glide
    STANDBY             what is generated falls silent behind a fade, the tracker is frozen, dry is
                        open; again: it resumes. A song chosen meanwhile begins when standby ends
    END                 as the song says: all fades out over some bars; or else with a stem that is
                        an ending, where one is ready; or after a fill, or with the phrase. Then
                        standby. Again, before it began: called off

In layers: engine/programme_state.py (where we are), engine/programme_change.py (boundaries), here
endings and hands. Pure: the conductor owns it, and calls pass_boundary and advance every tick. Not
thread-safe. A patch without songs is one song with one scene; nothing here then says anything to
the audio process until a hand asks for standby or the end.
"""

from __future__ import annotations

from engine.layout import CommandKind
from engine.patch import Patch
from engine.programme_change import ARM_BEATS, ProgrammeChange
from engine.programme_state import End
from engine.scene_mix import STEP_FADE_S
from engine.song import songs_of
from engine.stem import Play
from engine.stem_entry import StemEntry
from engine.stem_queue import LATEST_S
from engine.timeline import Boundary, Timeline, Timestamp


class Programme(ProgrammeChange):
    """See the module."""

    def begin(self, line: Timeline) -> None:
        """The first song's first scene, before anything sounds."""
        self._mark_roles(self.here)
        self._gains(line.frame, round(STEP_FADE_S * line.rate), now=True)

    def advance(self, line: Timeline, now: Timestamp) -> None:
        """A tick, after the clock's."""
        book = self._c.book
        waits = self.other_metre
        book.not_before = self.one_beat if waits is None else waits
        if self.standby:
            book.closed = True
        elif book.closed:
            book.open(line, now)
        self.prepare(line, now)
        end = self.end
        if end is not None and not end.begun and end.metre != line.beats_per_bar:
            self.end = None  # it counted by another line
            self.end_song(now)
        if self.end is not None:
            self._go_on_ending(self.end, line, now)

    def enter(self, role: str, line: Timeline, now: Timestamp) -> bool:
        """Let a role in: at its own boundary, in a count-in at the song's first bar."""
        if self.one_beat is not None:
            if line.frame_at(self.one_beat) - now > LATEST_S * line.rate:
                return self._c.book.enter_at(role, line, now, self.one_beat)
            self.one_beat = None
        return self._c.book.enter(role, line, now)

    def tell_again(self, now: Timestamp) -> None:
        """The audio process is another one: what its predecessor was told and did not keep."""
        line, change = self._c.line, self.change
        if line is None:
            return
        fade = round(STEP_FADE_S * line.rate)
        for pair, frame, ramp, gain in self.mix.under_way(now):
            self._tell_gain(pair, frame, max(ramp, fade), gain)
        self._c.tell_line(line)
        if change is not None and change.armed and change.line:
            self._c.tell_line(self._line_of(change, line.rate))
        if self._c.click or now >= self.quiet[1]:
            self._c.command(CommandKind.CLICK, slot=int(self._c.click))
        else:
            begins = change.frame if change is not None and change.armed else self.quiet[0]
            self._c.command(CommandKind.CLICK, slot=1, frame=begins)
            self._c.command(CommandKind.CLICK, slot=0, frame=self.quiet[1])

    def let_in_again(self) -> None:
        """A hand lets everything in: what the scene wants of stems is wanted again."""
        self._mark_roles(self.here)

    # ---- a reloaded patch

    @property
    def busy(self) -> bool:
        """Something was told to the audio process that has not come yet: nothing else may now."""
        return (self.change is not None and self.change.armed) or (
            self.end is not None and self.end.begun
        )

    def take(self, patch: Patch, now: Timestamp) -> str | None:
        """Go on by another patch, from here; returns why that cannot be, or None. Gains move within
        the scene's glide, another tempo or metre comes at the next bar; a song or scene that was
        asked for comes all the same."""
        c, before = self._c, self.playing
        songs = songs_of(patch)
        names = [s.name for s in songs]
        alone = len(songs) == len(self.songs) == 1
        if before.name not in names and not alone:
            return f"the song that is played ({before.name}) is no longer in the patch"
        if self.busy:
            return "something changes at this very moment"
        scene, stems = self.scene_name(self.song, self.scene), self.here.stems
        wanted = self._wanted_names()
        c.patch = c.book.patch = patch
        self.songs, self.song = songs, 0 if alone else names.index(before.name)
        scenes = list(self.playing.scenes)
        self.scene = scenes.index(scene) if scene in scenes else 0
        self.change = None
        self._tell_book()
        if stems != self.here.stems:  # else a hand's choice stands
            self.out.clear()
            self._mark_roles(self.here)
        if c.line is None or c.clock is None:
            return None
        self._gains(now, self.glide(self.here, c.line), now=True)
        metre = (before.beats_per_bar, before.bars_per_phrase)
        other = metre != (self.playing.beats_per_bar, self.playing.bars_per_phrase)
        line_too = other or (before.bpm != self.playing.bpm and not c.clock.follow)
        if wanted is not None and wanted[0] in names:
            song = names.index(wanted[0])
            scenes = list(self.songs[song].scenes)
            there = scenes.index(wanted[1]) if wanted[1] in scenes else 0
            self._plan(song, there, now, line_too and song == self.song)
        elif line_too:
            self._plan(self.song, self.scene, now, line_too=True)
        return None

    def _wanted_names(self) -> tuple[str, str] | None:
        """Song and scene that a hand has asked for, and that wait for their boundary."""
        waiting = self.change
        if waiting is None or (waiting.song, waiting.scene) == (self.song, self.scene):
            return None
        return self.songs[waiting.song].name, self.scene_name(waiting.song, waiting.scene)

    # ---- hands

    def next_song(self, now: Timestamp) -> str:
        following = self.next_song_index()
        if following is None:
            return f"{self.playing.name} is the last song"
        return self._to_song(following, now)

    def choose_song(self, what: str | int | None, now: Timestamp) -> str:
        names = [s.name for s in self.songs]
        found = _find(what, names)
        if found is None:
            return f"song {what!r}, expected one of {', '.join(names)}"
        if found == self.song and not self.standby:
            return "it is playing"
        return self._to_song(found, now)

    def next_scene(self, now: Timestamp) -> str:
        waiting = self.change
        scene = waiting.scene if waiting and waiting.song == self.song else self.scene
        return self._to_scene((scene + 1) % len(self.playing.scenes), now)

    def choose_scene(self, what: str | int | None, now: Timestamp) -> str:
        names = list(self.playing.scenes)
        found = _find(what, names)
        if found is None:
            return f"scene {what!r}, expected one of {', '.join(names)}"
        return self._to_scene(found, now)

    def toggle_standby(self, now: Timestamp) -> str:
        return self._set_standby(not self.standby, now)

    def _to_song(self, song: int, now: Timestamp) -> str:
        if self.standby:
            return self._change_in_standby(song, 0, now)
        return self._plan(song, 0, now)

    def _to_scene(self, scene: int, now: Timestamp) -> str:
        if len(self.playing.scenes) == 1:
            return f"{self.playing.name} has one scene"
        if self.standby:
            self.scene = scene
            self._tell_book()
            self._mark_roles(self.here)
            self._say("scene", now, name=self.scene_name(self.song, scene))
            return f"{self.scene_name(self.song, scene)}: when standby ends"
        return self._plan(self.song, scene, now)

    # ---- the end

    def end_song(self, now: Timestamp) -> str:
        line = self._c.line
        assert line is not None
        if self.standby:
            return "in standby already"
        if self.end is not None:
            if self.end.begun:
                return "it is ending"
            self.end = None
            return "called off"
        if self.change is not None and self.change.armed:
            return "something changes at this very moment"
        if self._wanted_names() is not None:
            self.change = None
        ending = self.playing.ending
        soon = self.soonest(line, now)
        stem = None if ending.kind == "fade" else self._ending_stem()
        if stem is not None:
            boundary = Boundary(self._c.patch.roles[stem.role].enter)
            start = round(line.beat_at(line.next_boundary(soon, boundary)), 3)
            self.end = End("ending", start, start + stem.beats, line.beats_per_bar, stem=stem.id)
            return f"ends with {stem.role}"
        fill = ending.role if ending.role and self._c.book.ready(ending.role) else None
        if ending.kind == "fade" or (ending.kind == "fill" and fill is None):
            start = line.beat_at(line.next_boundary(soon, Boundary.BAR))
            bars = float(ending.bars * line.beats_per_bar)
            self.end = End("fade", round(start, 3), round(start + bars, 3), line.beats_per_bar)
            return f"fades over {ending.bars} bars"
        before = 0.0
        if fill is not None:
            before = float(self._c.patch.roles[fill].bars * line.beats_per_bar)
        beat = line.beat_at(line.next_boundary(
            soon + round(before * line.frames_per_beat), Boundary.PHRASE))  # fmt: skip
        kind = "phrase" if fill is None else "fill"
        self.end = End(kind, round(beat - before, 3), round(beat, 3), line.beats_per_bar)
        return "ends with the phrase" + (", after a fill" if kind == "fill" else "")

    def _ending_stem(self) -> StemEntry | None:
        """A ready stem that ends the song, if stems may sound."""
        book = self._c.book
        if not self._open():
            return None
        ready = (e for r in self._c.patch.roles if not self.off(r) for e in book.ready(r))
        return next((e for e in ready if e.play is Play.ENDING and e.beats), None)

    def _go_on_ending(self, end: End, line: Timeline, now: Timestamp) -> None:
        near = ARM_BEATS * line.frames_per_beat
        if not (end.begun or self.moving) and line.frame_at(end.start) - now < near:
            end.begun = True
            self._begin_end(end, line, now)
        if end.begun and not end.armed and end.kind == "ending":
            self._follow_stem(end, line, now)
        if end.begun and not end.armed and line.frame_at(end.beat) - now < near:
            end.armed, end.frame = True, max(now, line.frame_at(end.beat))
            if end.kind != "ending":  # that has stopped all else, and ends by itself
                for role in self._c.patch.roles:
                    self._c.book.leave_at(role, line, now, end.beat)
            self._c.wanted.clear()
        if end.armed and now >= end.frame:
            self.end = None
            self._say("ended", end.frame, song=self.playing.name, how=end.kind)
            self._set_standby(True, now)

    def _follow_stem(self, end: End, line: Timeline, now: Timestamp) -> None:
        """The ending may have to wait for a later boundary, or come to nothing."""
        stem = self._c.book.entries.get(end.stem)
        if stem is not None and self._c.book.ending() is stem and stem.until is not None:
            end.beat = stem.until
        else:
            soon = now + round(LATEST_S * line.rate)
            end.kind, self.ended_by = "phrase", 0
            end.beat = round(line.beat_at(line.next_boundary(soon, Boundary.PHRASE)), 3)

    def _begin_end(self, end: End, line: Timeline, now: Timestamp) -> None:
        frame = line.frame_at(end.start)
        self._say("ending", frame, song=self.playing.name, how=end.kind,
                  until=line.frame_at(end.beat))  # fmt: skip
        if end.kind == "ending":
            self._c.wanted.clear()
            self.ended_by = end.stem
            self._c.book.end_with(end.stem, line, now, end.start)
        elif end.kind == "fade":
            ramp = line.frame_at(end.beat) - frame
            self._gains(max(frame, now), ramp, silent=True)
        elif end.kind == "fill" and (fill := self.playing.ending.role) is not None:
            c = self._c
            for role in c.patch.roles:
                if role != fill and _kind_of(c.patch, role) == _kind_of(c.patch, fill):
                    c.book.leave_at(role, line, now, end.start)
                    c.wanted.discard(role)
            if self._open():
                c.book.enter_at(fill, line, now, end.start)


def _kind_of(patch: object, role: str) -> str:
    """What a role plays: a fill of drums takes the place of the drums."""
    return str(patch.roles[role].config.get("role", role))  # type: ignore[attr-defined]


def _find(what: str | int | None, names: list[str]) -> int | None:
    """The index of a name, or of a number from 1."""
    if isinstance(what, str):
        return names.index(what) if what in names else None
    return what - 1 if what is not None and 1 <= what <= len(names) else None
