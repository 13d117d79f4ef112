"""Part of engine/patch_check.py: what no single value tells of the inserts of a patch.

A pedal's monitor carries its strip and nothing else, and nothing of what comes back is sent there:
so no way leads round in a circle, whatever a hand does to the mix (engine/mixer.py wires it so).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.patch import Insert, Patch
from engine.patch_read import suggest
from engine.patch_yaml import describe
from engine.plugin import PluginError
from engine.plugin_proof import check_file
from engine.sources import pedals_of, source_names

Fault = tuple[str, str, str]  # key, found, expected
ONE = "vst3: FILE, or send and returns"


def check_inserts(patch: Patch, folder: Path) -> Iterator[Fault]:
    """Every fault; paths are relative to `folder`."""
    for part, entries in (
        ("inputs", patch.inputs),
        ("voices", patch.voices),
        ("players", patch.players),
    ):
        for name, given in entries.items():
            if given.insert is not None:
                yield from _one(f"{part}.{name}.insert", given.insert, folder, part == "inputs")
    for name, player in patch.players.items():
        if player.insert is not None and not player.to:
            found = "an insert on a player of notes"
            yield f"players.{name}.insert", found, "the insert at its voice (voices: ...)"
    yield from _pedals(patch)


def _one(key: str, insert: Insert, folder: Path, on_input: bool) -> Iterator[Fault]:
    pedal = insert.send is not None or insert.returns is not None
    if not pedal and insert.vst3 is None:
        yield key, "nothing to insert", ONE
    elif pedal and insert.vst3 is not None:
        yield key, "a plug-in and a pedal", f"one of the two: {ONE}"
    elif pedal and not on_input:
        yield key, "a pedal", "vst3: FILE; pedals are for inputs"
    elif pedal:
        for end in ("send", "returns"):
            if getattr(insert, end) is None:
                yield f"{key}.{end}", "nothing", "both send and returns"
    if pedal and (insert.plugin is not None or insert.parameters):
        yield key, "plugin or parameters without vst3", "them beside vst3 only"
    if insert.vst3 is not None:
        yield from _file(f"{key}.vst3", insert.vst3, folder)
    for name, value in insert.parameters.items():
        if not isinstance(value, bool | int | float | str):
            wanted = "a number, a text, true or false"
            yield f"{key}.parameters.{name}", describe_kind(value), wanted


def describe_kind(value: object) -> str:
    return "a list" if isinstance(value, list) else "a mapping" if value else "nothing"


def _file(key: str, path: str, folder: Path) -> Iterator[Fault]:
    if path.startswith("~"):
        yield key, describe(path), "a full path, or one relative to the patch (no ~)"
        return
    at = (folder / path).resolve()
    try:
        check_file(at)
    except (PluginError, OSError) as error:
        yield key, f"{at}, which {error}", "the path of a VST3 effect"


def _pedals(patch: Patch) -> Iterator[Fault]:
    sends: dict[str, str] = {}
    returns: dict[str, str] = {}
    for name, insert in pedals_of(patch).items():
        key = f"inputs.{name}.insert"
        send, back = str(insert.send), str(insert.returns)
        if send not in patch.outputs:
            yield f"{key}.send", describe(send), f"an output: outputs: {{{send}: ...}}"
        if send in sends:
            yield f"{key}.send", f"{send}, where {sends[send]} goes", "a monitor for each pedal"
        if back in returns:
            yield f"{key}.returns", f"{back}, {returns[back]}'s", "an input for each pedal"
        sends.setdefault(send, name)
        returns.setdefault(back, name)
        yield from _return(patch, key, name, back)
    for key, bus in _sent(patch):
        if bus in sends:
            found = f"a send to {bus}, which is the way to {sends[bus]}'s pedal"
            yield key, found, "another monitor: only that strip goes there"


def _return(patch: Patch, key: str, name: str, back: str) -> Iterator[Fault]:
    given = patch.inputs.get(back)
    if given is None or back == name:
        others = [n for n in patch.inputs if n != name]
        yield f"{key}.returns", describe(back), "another input: " + suggest(back, others)
        return
    if given.stream is not None:
        yield f"inputs.{back}.stream", "a stream, on a pedal's return", "a channel"
    if given.to:
        found = f"sends of {name}'s return"
        yield f"inputs.{back}.to", found, f"none: what comes back goes where {name} goes"
    if given.insert is not None:
        yield f"inputs.{back}.insert", f"an insert on {name}'s return", f"it at {name}, or none"


def _sent(patch: Patch) -> Iterator[tuple[str, str]]:
    """(key, bus) of every send."""
    parts = (
        ("inputs", patch.inputs),
        ("voices", patch.voices),
        ("players", patch.players),
        ("roles", patch.roles),
    )
    for part, entries in parts:
        for name, given in entries.items():
            for bus in given.to:
                yield f"{part}.{name}.to.{bus}", bus
    for bus in patch.click.to:
        yield f"click.to.{bus}", bus
    for song, whole in patch.songs.items():
        for scene, part_of in whole.scenes.items():
            for source, to in part_of.mix.items():
                for bus in to:
                    yield f"songs.{song}.scenes.{scene}.mix.{source}.{bus}", bus
    known = source_names(patch)
    for name, route in patch.routes.items():
        kind, _, rest = route.to.partition(".")
        source, _, bus = rest.rpartition(".")
        if kind == "send" and source in known:
            yield f"routes.{name}.to", bus
