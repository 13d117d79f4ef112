"""The nouns of a night: songs, their scenes and endings, as a patch writes them. Immutable; pure.

A patch without songs is one song with one scene that changes nothing (songs_of). What a song leaves
out (None) it takes from the patch's `clock`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.patch import Patch

Sends = dict[str, float]  # bus or effect name -> dB
NOTE_NAMES = ("C", "D flat", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")


@dataclass(frozen=True)
class ScenePart:
    """A role in a scene. play: its stems sound, once let in. density (0-1), program (General MIDI,
    0-127): of the stems wanted; None: the role's own."""

    play: bool = True
    density: float | None = None
    program: int | None = None


@dataclass(frozen=True)
class Scene:
    """What changes when it is entered. stems: by role; roles left out go on as they are. voices,
    players: off ones fall silent; left out: on. mix: source -> bus -> dB, instead of the patch's
    own sends. glide: beats in which gains move. enter: grid it waits for."""

    stems: dict[str, ScenePart] = field(default_factory=dict)
    voices: dict[str, bool] = field(default_factory=dict)
    players: dict[str, bool] = field(default_factory=dict)
    mix: dict[str, Sends] = field(default_factory=dict)
    glide: float = 1.0
    enter: str = "bar"


@dataclass(frozen=True)
class Ending:
    """What END does. kind: phrase (all stops at the phrase's end), fill (so, after the stem of
    `role` as the last bars; none is ready: as fade) or fade (over `bars` from the next bar line
    on). But for fade, a ready stem that is an ending (play: ending) is played instead."""

    kind: str = "phrase"
    bars: int = 4
    role: str | None = None


@dataclass(frozen=True)
class Song:
    """count_in: bars of clicks, on the click bus alone, before its first bar. enter: grid of the
    playing song at which it (its count-in) begins."""

    bpm: float | None = None
    beats_per_bar: int | None = None
    bars_per_phrase: int | None = None
    key: int | None = None
    minor: bool | None = None
    count_in: int = 0
    enter: str = "phrase"
    scenes: dict[str, Scene] = field(default_factory=dict)
    ending: Ending = field(default_factory=Ending)

    @staticmethod
    def from_dict(d: dict[str, Any]) -> Song:
        """What dataclasses.asdict wrote; trusts it."""
        scenes = {
            name: Scene(**{**s, "stems": {r: ScenePart(**p) for r, p in s["stems"].items()}})
            for name, s in d["scenes"].items()
        }
        return Song(**{**d, "scenes": scenes, "ending": Ending(**d["ending"])})


@dataclass(frozen=True)
class SetEntry:
    """patch: path of a patch, from the set's folder. song: one of its songs; None: all of them."""

    patch: str = ""
    song: str | None = None


@dataclass(frozen=True)
class SetList:
    """A set file: songs in the order of the night."""

    name: str = "untitled"
    songs: tuple[SetEntry, ...] = ()


@dataclass(frozen=True)
class FullSong:
    """A song with nothing left out. scenes: at least one, in order."""

    name: str
    bpm: float
    beats_per_bar: int
    bars_per_phrase: int
    key: int
    minor: bool
    count_in: int
    enter: str
    scenes: dict[str, Scene]
    ending: Ending


def songs_of(patch: Patch) -> list[FullSong]:
    """The songs of a patch in order; of one without songs: the patch itself."""
    return [_full(patch, n, s) for n, s in (patch.songs or {patch.name: Song()}).items()]


def _full(patch: Patch, name: str, song: Song) -> FullSong:
    clock = patch.clock
    return FullSong(
        name=name,
        bpm=clock.bpm if song.bpm is None else song.bpm,
        beats_per_bar=song.beats_per_bar or clock.beats_per_bar,
        bars_per_phrase=song.bars_per_phrase or clock.bars_per_phrase,
        key=clock.key if song.key is None else song.key,
        minor=clock.minor if song.minor is None else song.minor,
        count_in=song.count_in,
        enter=song.enter,
        scenes=song.scenes or {"all": Scene(glide=0.0)},
        ending=song.ending,
    )


def slowest_bar_s(patch: Patch) -> float:
    """Seconds of the longest bar that any song of the patch plays, at its written tempo."""
    return max(s.beats_per_bar * 60.0 / s.bpm for s in songs_of(patch))


def key_name(key: int, minor: bool, written: int = 0) -> str:
    """A key as people call it. key: tonic in semitones above C, sounding. written: semitones by
    which a transposing player's part lies above what sounds (B flat trumpet: 2)."""
    return f"{NOTE_NAMES[(key + written) % 12]} {'minor' if minor else 'major'}"


def without(scene: Scene, roles: set[str], voices: set[str], players: set[str]) -> Scene:
    """The scene with these roles, voices and players off."""
    return replace(
        scene,
        stems={**{r: ScenePart(play=False) for r in roles}, **scene.stems},
        voices={**dict.fromkeys(voices, False), **scene.voices},
        players={**dict.fromkeys(players, False), **scene.players},
    )
