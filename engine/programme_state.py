"""Where the night is: song, scene, standby; what follows from that for stems, players and gains.

The lowest layer of engine/programme.py. Pure; the conductor's; frames and beats as in its Timeline.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.layout import CommandKind
from engine.patch import Input, MidiIn
from engine.scene_mix import CUE, STEP_FADE_S, MixMoves, Pair, silenced_by, wanted_by
from engine.song import FullSong, Scene, key_name, songs_of
from engine.song_wants import plays, wants_of
from engine.stem_queue import LATEST_S
from engine.timeline import Timeline

if TYPE_CHECKING:
    from engine.conductor import Conductor

STANDBY_FADE_S = 1.0


@dataclass
class Change:
    """A song or scene that waits for its boundary. beat: that boundary on the line in force. armed:
    the audio process was told, and its frame is fixed. line: tempo and metre change, too. one: the
    frame of the first bar after the count-in. begins: beat of `frame` on the line that holds
    from there."""

    song: int
    scene: int
    beat: float
    line: bool = False
    count_in: int = 0  # bars
    armed: bool = False
    frame: int = 0
    one: int = 0
    begins: float = 0.0


@dataclass
class End:
    """A song that ends. kind: ending (a stem that ends it), fill, phrase or fade. start: beat at
    which stem, fill or fade begins; beat: where all has ended. metre: beats of a bar of the line
    that both count by. stem: the id of that which ends it."""

    kind: str
    start: float
    beat: float
    metre: int
    begun: bool = False
    armed: bool = False
    frame: int = 0
    stem: int = 0


class ProgrammeState:
    """See the module."""

    def __init__(self, conductor: Conductor) -> None:
        self._c = conductor
        self.songs = songs_of(conductor.patch)
        self.song = self.scene = 0
        self.standby = False
        self.held = False  # by a hand: the tempo stands
        self.change: Change | None = None
        self.end: End | None = None
        self.ended_by = 0  # the id of the stem that END has ended a song with last
        self.counts_in = False  # the song was changed in standby: leaving that begins it
        self.faded = 0  # frame from which nothing generated is heard, while in standby
        self.quiet = (0, 0)  # from, to: a count-in, in which players are silent
        self.one_beat: float | None = None  # of a song that has just begun: its first bar
        self.out: set[str] = set()  # roles that a scene of this song has sent out
        self.mix = MixMoves(conductor.started)
        self._tell_book()

    # ---- looking

    @property
    def playing(self) -> FullSong:
        return self.songs[self.song]

    def scene_of(self, song: int, scene: int) -> Scene:
        return list(self.songs[song].scenes.values())[scene]

    def scene_name(self, song: int, scene: int) -> str:
        return list(self.songs[song].scenes)[scene]

    @property
    def here(self) -> Scene:
        return self.scene_of(self.song, self.scene)

    def enters(self, now: int) -> bool:
        """Whether stems may be let in: not in standby, nor while a song or metre changes, nor into
        the fade of an end."""
        end = self.end
        ends = end is not None and (end.armed or (end.begun and end.kind == "fade"))
        return not (self.standby or self.moving or self.other_metre is not None or ends)

    @property
    def moving(self) -> bool:
        """Another song or metre was told to the audio process and has not begun: stems are wanted
        for it, and the line is still the old one."""
        change = self.change
        if change is None or not change.armed:
            return False
        return change.song != self.song or self.other_metre is not None

    @property
    def other_metre(self) -> float | None:
        """The beat at which the song goes on in another metre, if it waits for that."""
        change, line = self.change, self._c.line
        if change is None or not change.line or change.song != self.song or line is None:
            return None
        same = line.beats_per_bar == self.songs[change.song].beats_per_bar
        return None if same else change.beat

    def soonest(self, line: Timeline, now: int) -> int:
        """The frame from which on something may begin or end: not in a count-in."""
        soon = now + round(LATEST_S * line.rate)
        return soon if self.one_beat is None else max(soon, line.frame_at(self.one_beat))

    def stem_line(self, line: Timeline) -> Timeline:
        """The line in force, or in standby, where another song was chosen, one of its tempo and
        metre: stems are made and kept for that."""
        if not self.counts_in:
            return line
        song = self.playing
        return replace(
            line, bpm=song.bpm, beats_per_bar=song.beats_per_bar,
            bars_per_phrase=song.bars_per_phrase,
        )  # fmt: skip

    def off(self, role: str) -> bool:
        """A scene of this song has sent a role out."""
        return role in self.out

    def allowed(self, player: str, now: int) -> bool:
        """Whether a player may play now, as far as song, scene and standby go. Behind a fade: the
        player goes on until that is over."""
        if self.standby and now >= self.faded:
            return False
        if self.quiet[0] <= now < self.quiet[1]:
            return False
        return self.here.players.get(player, True)

    def set_switch(self, switch: np.ndarray, now: int) -> None:
        """Fill in a SWITCH (1,) (engine/shm.py): players may play once somebody has let them in,
        where no voltage, scene or standby keeps them silent."""
        c = self._c
        c.steering.steer(switch, c.patch)
        c.routes.steer(switch, c.let_in and not c.dry)
        for i, name in enumerate(c.patch.players):
            if not self.allowed(name, now) or name in c.steering.off:
                switch[0]["generate"][i] = 0
        switch["frozen"] = int(self.standby)

    def next_song_index(self) -> int | None:
        return self.song + 1 if self.song + 1 < len(self.songs) else None

    # ---- what follows

    def _tell_book(self) -> None:
        """Which stems are wanted now, and which will be: those of the next scene and song."""
        patch, book = self._c.patch, self._c.book
        book.want = wants_of(patch, self.playing, self.here)
        later = []
        if self.scene + 1 < len(self.playing.scenes):
            later.append(wants_of(patch, self.playing, self.scene_of(self.song, self.scene + 1)))
        following = self.next_song_index()
        if following is not None:
            first = self.scene_of(following, 0)
            wants = wants_of(patch, self.songs[following], first)
            later.append({r: w for r, w in wants.items() if plays(first, r)})
        book.later = [(r, w) for wants in later for r, w in wants.items() if w != book.want[r]]

    def _gains(self, frame: int, ramp: int, scene: Scene | None = None, silent: bool = False,
               now: bool = False) -> None:  # fmt: skip
        """Move the gains to a scene's, from `frame` on (now: at once) within `ramp` frames."""
        target = self.mix.with_hands(
            self._c.patch, self.here if scene is None else scene, self._c.started,
            silent or self.standby,
        )  # fmt: skip
        for source, bus, gain in self.mix.towards(target):
            self._gain((source, bus), frame, ramp, gain, now)

    def send_by_hand(self, pair: Pair, frame: int, ramp: int, gain: float) -> None:
        """A hand moves what goes from a source to a bus; what is generated, in standby, with the
        end of that."""
        c = self._c
        wanted = wanted_by(c.patch, self.here, c.started).get(pair, 0.0)
        self.mix.by_hand[pair] = (wanted, gain)
        if pair[1] == CUE or pair[0] not in silenced_by(c.patch, Scene(), self.standby):
            self.mix.tell(pair, gain)
            self._gain(pair, frame, ramp, gain)

    def _gain(self, pair: Pair, frame: int, ramp: int, gain: float, at_once: bool = False) -> None:
        """at_once: whenever that is heard of, which is about `frame`."""
        self.mix.note(pair, frame, ramp, gain)
        self._tell_gain(pair, 0 if at_once else frame, ramp, gain)

    def _tell_gain(self, pair: Pair, frame: int, ramp: int, gain: float) -> None:
        source, bus = pair
        self._c.command(CommandKind.GAIN, slot=source, c=bus, frame=frame, a=ramp, x=gain)

    def glide(self, scene: Scene, line: Timeline) -> int:
        """Frames in which a scene's gains move."""
        return max(round(STEP_FADE_S * line.rate), round(scene.glide * line.frames_per_beat))

    def _mark_song(self, scene: Scene) -> None:
        """Another song's scene says which roles play; the others go on if they sound."""
        book = self._c.book
        self._c.wanted.update(r for r in self._c.patch.roles if book.playing(r) is not None)
        self.out.clear()
        self._mark_roles(scene)

    def _mark_roles(self, scene: Scene) -> None:
        """A scene says which roles play; those it leaves out go on as they are."""
        c = self._c
        for role, part in scene.stems.items():
            (c.wanted.add if part.play else c.wanted.discard)(role)
            (self.out.discard if part.play else self.out.add)(role)

    def _say(self, event: str, frame: int, **facts: Any) -> None:
        self._c.news.append({"event": event, "frame": frame, **facts})

    # ---- the journal, and people

    def to_dict(self) -> dict[str, Any]:
        return {
            "song": self.playing.name,
            "scene": self.scene_name(self.song, self.scene),
            "standby": self.standby,
            "held": self.held,
            "change": None if self.change is None else asdict(self.change),
            "end": None if self.end is None else asdict(self.end),
            "ended_by": self.ended_by,
            "counts_in": self.counts_in,
            "faded": self.faded,
            "quiet": list(self.quiet),
            "one_beat": self.one_beat,
            "out": sorted(self.out),
            "mix": self.mix.to_dict(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        names = [s.name for s in self.songs]
        self.song = names.index(saved["song"]) if saved["song"] in names else 0
        scenes = list(self.playing.scenes)
        self.scene = scenes.index(saved["scene"]) if saved["scene"] in scenes else 0
        self.standby, self.counts_in = saved["standby"], saved["counts_in"]
        self.held = saved["held"]
        self.change = Change(**saved["change"]) if saved["change"] else None
        self.end = End(**saved["end"]) if saved["end"] else None
        self.ended_by = saved["ended_by"]
        self.faded, self.quiet = saved["faded"], (saved["quiet"][0], saved["quiet"][1])
        self.one_beat, self.out = saved["one_beat"], set(saved["out"])
        self.mix.restore(saved["mix"])
        self._tell_book()

    def status(self) -> dict[str, Any]:
        """For people, as JSON values."""
        following, song, patch = self.next_song_index(), self.playing, self._c.patch
        performers: dict[str, Input | MidiIn] = {**patch.inputs, **patch.midi}
        return {
            "song": song.name,
            "key": key_name(song.key, song.minor),
            "written": {
                name: key_name(song.key, song.minor, given.written)
                for name, given in performers.items()
                if given.written
            },
            "scene": self.scene_name(self.song, self.scene),
            "next_song": None if following is None else self.songs[following].name,
            "standby": self.standby,
            "held": self.held,
            "changing": self.change is not None,
            "ending": self.end is not None,
        }
