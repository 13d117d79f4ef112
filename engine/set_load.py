"""A set: songs of one or several patches, in the order of the night; and the one way in for both.

A set is played as one performance: the parts of its patches together, so that NEXT SONG needs no
restart. What two patches call by the same name must be the same in both; what a song's own patch
does not have is off while it plays. load_performance takes a patch or a set and raises PatchError
with every fault. Not real-time safe; any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.patch import Patch
from engine.patch_check import check
from engine.patch_fields import FIELDS
from engine.patch_kinds import MAX_TEXT, Named
from engine.patch_load import PatchError, known_models, load_patch, read_file
from engine.patch_read import Reader, suggest
from engine.patch_yaml import Mapping as Tree
from engine.patch_yaml import Node, Sequence, describe, read_tree
from engine.rig_load import LoadedRig, load_rig
from engine.song import SetList, Song, songs_of, without

OWN = ("name", "clock", "songs")  # what each patch of a set may have otherwise
PARTS = tuple(
    name for name, f in FIELDS[Patch].items() if isinstance(f.kind, Named) and name not in OWN
)
ALIKE = tuple(name for name in FIELDS[Patch] if name not in (*OWN, *PARTS))


def is_set(tree: Node) -> bool:
    """A set lists its songs; a patch names them."""
    songs = tree.entries.get("songs") if isinstance(tree, Tree) else None
    return songs is not None and isinstance(songs[1], Sequence)


def load_performance(
    path: str | Path,
    rig: str | Path | LoadedRig | None = None,
    models: Mapping[str, str] | None = None,
) -> Patch:
    """The patch in a file, or the patches of the set in it as one, as it is played here: with the
    rig (at) `rig` over it, or as it stands (None). models: see load_patch.

    Raises PatchError: faults of any of the files, or of them together (a voltage on a speaker's
    channel).
    """
    path = Path(path)
    tree = read_tree(str(path), read_file(path))
    placed = rig if rig is None or isinstance(rig, LoadedRig) else load_rig(rig)
    if not is_set(tree):
        return load_patch(path, models, placed)
    models = known_models() if models is None else models
    reader = Reader(str(path))
    given: SetList = reader.table(tree, "", SetList)
    patches = _patches(given, reader, path.resolve().parent, models, placed)
    if reader.problems:
        raise PatchError(reader.problems)
    whole = _together(given, patches, reader)
    if not reader.problems:
        check(whole, reader, path.resolve().parent, models, None if placed is None else reader)
    if reader.problems:
        raise PatchError(reader.problems)
    return whole


def _patches(
    given: SetList,
    reader: Reader,
    folder: Path,
    models: Mapping[str, str],
    rig: LoadedRig | None,
) -> list[Patch]:
    """The patch of every entry, each read once; what is wrong with one is noted at its entry."""
    read: dict[Path, Patch] = {}
    found = []
    for i, entry in enumerate(given.songs):
        key = f"songs[{i}].patch"
        if len(entry.patch) > MAX_TEXT or reader.faulty(key):
            continue
        at = (folder / entry.patch).resolve()
        try:
            if at not in read:
                read[at] = load_patch(at, models, rig)
        except PatchError as error:
            reader.problems += error.problems
            continue
        found.append(read[at])
        songs = read[at].songs
        if entry.song is not None and entry.song not in songs:
            where = f"songs[{i}].song"
            wanted = f"a song of {entry.patch}: " + suggest(entry.song, songs)
            reader.note(reader.line_of(where), where, describe(entry.song), wanted)
    return found


def _together(given: SetList, patches: list[Patch], reader: Reader) -> Patch:
    """One patch of all; differences that cannot be played together are noted."""
    first = patches[0]
    parts: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    listen = list(dict.fromkeys(name for p in patches for name in p.clock.listen))
    for i, patch in enumerate(patches):
        key = f"songs[{i}].patch"
        for name in ALIKE:
            if getattr(patch, name) != getattr(first, name):
                _differs(reader, key, name, given.songs[0].patch)
        if patch.clock.source != first.clock.source:
            _differs(reader, key, "clock.source", given.songs[0].patch)
        for part in PARTS:
            for name, value in getattr(patch, part).items():
                if parts[part].setdefault(name, value) != value:
                    _differs(reader, key, f"{part}.{name}", "an earlier patch")
    for part in PARTS:
        kind = FIELDS[Patch][part].kind
        if isinstance(kind, Named) and len(parts[part]) > kind.most:
            found = f"{len(parts[part])} {part} in all patches together"
            reader.note(reader.line_of("songs"), "songs", found, f"at most {kind.most}")
    clock = replace(first.clock, listen=tuple(listen))
    songs = _songs(given, patches, parts)
    whole: dict[str, Any] = {**parts, "name": given.name, "clock": clock, "songs": songs}
    return replace(first, **whole)


def _differs(reader: Reader, key: str, what: str, other: str) -> None:
    found = f"another {what} than in {other}"
    reader.note(reader.line_of(key), key, found, "the same in all patches of a set")


def _songs(
    given: SetList, patches: list[Patch], parts: dict[str, dict[str, Any]]
) -> dict[str, Song]:
    songs: dict[str, Song] = {}
    for entry, patch in zip(given.songs, patches, strict=True):
        roles = set(parts["roles"]) - set(patch.roles)
        voices = set(parts["voices"]) - set(patch.voices)
        players = set(parts["players"]) - set(patch.players)
        for full in songs_of(patch):
            if entry.song not in (None, full.name):
                continue
            song = Song(
                bpm=full.bpm,
                beats_per_bar=full.beats_per_bar,
                bars_per_phrase=full.bars_per_phrase,
                key=full.key,
                minor=full.minor,
                count_in=full.count_in,
                enter=full.enter,
                scenes={n: without(s, roles, voices, players) for n, s in full.scenes.items()},
                ending=full.ending,
            )
            songs[_unused(full.name, songs)] = song
    return songs


def _unused(name: str, songs: dict[str, Song]) -> str:
    """The name, or with a number: a song may come twice in a night."""
    again = 2
    unique = name
    while unique in songs:
        unique, again = f"{name}-{again}", again + 1
    return unique
