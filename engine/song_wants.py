"""What a song's scene wants of each role: the facts that a stem is made for, and by which a ready
one is known to fit. JSON values, for the journal. Pure.
"""

from __future__ import annotations

from typing import Any

from engine.patch import Patch
from engine.song import FullSong, Scene, songs_of

Want = dict[str, Any]


def want_of(patch: Patch, song: FullSong, scene: Scene, role_name: str) -> Want:
    """What the pool is asked for, and what a ready stem must have been made for to enter."""
    role = patch.roles[role_name]
    part = scene.stems.get(role_name)
    density = None if part is None else part.density
    program = None if part is None else part.program
    return {
        "song": song.name,
        "bpm": song.bpm,
        "beats_per_bar": song.beats_per_bar,
        "key": song.key,
        "minor": song.minor,
        "bars": role.bars,
        "maker": role.maker,
        "density": role.density if density is None else density,
        "program": role.program if program is None else program,
    }


def wants_of(patch: Patch, song: FullSong, scene: Scene) -> dict[str, Want]:
    """By role."""
    return {role: want_of(patch, song, scene, role) for role in patch.roles}


def first_wants(patch: Patch) -> dict[str, Want]:
    """Those of the first song's first scene."""
    song = songs_of(patch)[0]
    return wants_of(patch, song, next(iter(song.scenes.values())))


def plays(scene: Scene, role: str) -> bool:
    """Whether a scene has a role play, or leaves it as it is."""
    part = scene.stems.get(role)
    return part is None or part.play
