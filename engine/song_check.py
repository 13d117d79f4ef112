"""What no single value of a patch's songs can tell: references, routes, lengths.

Yields faults for engine/patch_check.py: (key, found, expected). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.arena import arena_of
from engine.patch import AUDITION, EFFECTS, Patch
from engine.patch_read import suggest
from engine.patch_yaml import describe
from engine.song import Scene, songs_of
from engine.sources import source_names

MAX_STEM_S = 64
MAX_ARENA_MB = 4096  # of memory for all stems: a place for each is as long as the longest role
Fault = tuple[str, str, str]


def song_faults(patch: Patch) -> Iterator[Fault]:
    """Every fault between the songs of a patch and its parts."""
    yield from _lengths(patch)
    yield from _memory(patch)
    for name, song in patch.songs.items():
        key = f"songs.{name}"
        for scene_name, scene in song.scenes.items():
            yield from _scene(patch, f"{key}.scenes.{scene_name}", scene)
        ending = song.ending
        if ending.role is not None and ending.role not in patch.roles:
            wanted = "a role: " + suggest(ending.role, patch.roles)
            yield f"{key}.ending.role", describe(ending.role), wanted
        elif ending.kind == "fill" and ending.role is None:
            yield f"{key}.ending.role", "nothing", "the role whose stem is the fill"
        elif ending.kind != "fill" and ending.role is not None:
            found = f"a role, with kind: {ending.kind}"
            yield f"{key}.ending.role", found, "a role only for kind: fill"


def _lengths(patch: Patch) -> Iterator[Fault]:
    for song in songs_of(patch):
        for name, role in patch.roles.items():
            seconds = role.bars * song.beats_per_bar * 60.0 / song.bpm
            if seconds <= MAX_STEM_S:
                continue
            where = f", in the song {song.name}" if patch.songs else ""
            found = f"{role.bars} bars, which last {seconds:.0f} s at {song.bpm:g} BPM{where}"
            yield f"roles.{name}.bars", found, f"stems of at most {MAX_STEM_S} s"


def _memory(patch: Patch) -> Iterator[Fault]:
    places = arena_of(patch)
    if places.megabytes <= MAX_ARENA_MB or not patch.roles:
        return
    longest = max(patch.roles, key=lambda n: patch.roles[n].bars)
    found = (
        f"{patch.roles[longest].bars} bars, with which the {places.slots} places of the stem arena "
        f"need {places.megabytes:.0f} MB"
    )
    expected = f"at most {MAX_ARENA_MB} MB: fewer bars, fewer roles, or less `ahead`"
    yield f"roles.{longest}.bars", found, expected


def _scene(patch: Patch, key: str, scene: Scene) -> Iterator[Fault]:
    for part, named, known in (
        ("stems", scene.stems, patch.roles),
        ("voices", scene.voices, patch.voices),
        ("players", scene.players, patch.players),
    ):
        for name in named:
            if name not in known:
                yield f"{key}.{part}.{name}", "an unknown name", suggest(name, known)
    sources = [n for n in source_names(patch) if n not in ("click", AUDITION)]
    for source, sends in scene.mix.items():
        path = f"{key}.mix.{source}"
        if source not in sources:
            yield path, "an unknown source", suggest(source, sources)
            continue
        kind, _, name = source.partition(".")
        for bus in sends:
            if kind == "input" and bus == "main" and patch.inputs[name].dry != "segue":
                found = f"main, for an input with dry: {patch.inputs[name].dry}"
                yield f"{path}.{bus}", found, "no main: its dry sound is carried elsewhere"
            elif kind == "effect" and bus in EFFECTS:
                yield f"{path}.{bus}", "an effect into an effect", "a bus"
