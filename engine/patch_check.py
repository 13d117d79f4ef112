"""What no single value can tell: references, routes, channels and files of a patch.

`check` notes faults with the reader, at keys where nothing was wrong so far. Nothing of a model is
imported: a table passed in names those there are, with their KIND.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.patch import CAPTURE_MAKER, PERFORMER, Patch
from engine.patch_check_cv import check_cv, check_cv_in
from engine.patch_check_insert import check_inserts
from engine.patch_controls import faults as control_faults
from engine.patch_read import Reader, suggest
from engine.patch_yaml import describe
from engine.song_check import song_faults
from engine.sources import pedals_of, source_names

PLAYER_KINDS = ("notes", "texture")
MAKER_KINDS = ("stems",)


def check(
    patch: Patch,
    reader: Reader,
    folder: Path,
    models: Mapping[str, str],
    rig: Reader | None = None,
) -> None:
    """Note every fault between the parts of `patch`; paths are relative to `folder`. rig: that of
    the rig laid over it, where faults are noted that it brings."""
    found = (
        *_inputs(patch),
        *_midi(patch),
        *_players(patch, models),
        *_roles(patch, models, folder),
        *_capture(patch),
        *_clock(patch),
        *_ducking(patch),
        *_vibes(patch),
        *song_faults(patch),
        *_channels(patch),
        *check_cv(patch, folder),
        *check_cv_in(patch),
        *check_inserts(patch, folder),
        *_circles(patch),
        *_files(patch, folder),
        *(_places(patch) if rig is None else ()),
    )
    for key, what, expected in found:
        at = rig if rig is not None and key in rig.lines else reader
        if not at.faulty(key):
            at.note(at.line_of(key), key, what, expected)


Fault = tuple[str, str, str]  # key, found, expected


def _inputs(patch: Patch) -> Iterator[Fault]:
    for name, given in patch.inputs.items():
        key = f"inputs.{name}"
        if given.channel is not None and given.stream is not None:
            yield f"{key}.stream", "a stream beside a channel", "one of the two"
        streams = (PERFORMER, *(n for n, p in patch.players.items() if p.to))
        if given.stream is not None and given.stream not in streams:
            yield f"{key}.stream", describe(given.stream), suggest(given.stream, streams)


def _places(patch: Patch) -> Iterator[Fault]:
    """Where no rig says it, the patch has to."""
    for name, given in patch.inputs.items():
        if given.channel is None and given.stream is None:
            expected = "a channel, a stream that feeds this input, or a rig that has its place"
            yield f"inputs.{name}.channel", "nothing", expected
    for name, output in patch.outputs.items():
        if not output.channels:
            yield f"outputs.{name}.channels", "nothing", "a list of channels, or a rig that has it"
    for name, cv in patch.cv.items():
        if not cv.channel:
            yield f"cv.{name}.channel", "nothing", "a channel, or a rig that has its place"
    for name, given_cv in patch.cv_in.items():
        if given_cv.channel is None and given_cv.kind != "chaos":
            yield f"cv_in.{name}.channel", "nothing", "a channel, or a rig that has its place"


def _midi(patch: Patch) -> Iterator[Fault]:
    for name, given in patch.midi.items():
        yield from _voice(patch, f"midi.{name}.voice", given.voice)
        for control, does in given.controls.items():
            for found, expected in control_faults(control, does):
                yield f"midi.{name}.controls.{control}", found, expected


def _voice(patch: Patch, key: str, voice: str | None) -> Iterator[Fault]:
    if voice is not None and voice not in patch.voices:
        yield key, describe(voice), "a voice: " + suggest(voice, patch.voices)


def _model(
    key: str, model: str, kinds: tuple[str, ...], models: Mapping[str, str]
) -> Iterator[Fault]:
    fitting = sorted(name for name, kind in models.items() if kind in kinds)
    if model not in fitting:
        what = describe(model)
        if model in models:
            what += f", a model of the kind {models[model]}"
        yield key, what, f"a model of the kind {' or '.join(kinds)}: " + suggest(model, fitting)


def _players(patch: Patch, models: Mapping[str, str]) -> Iterator[Fault]:
    for name, player in patch.players.items():
        key = f"players.{name}"
        yield from _model(f"{key}.model", player.model, PLAYER_KINDS, models)
        yield from _voice(patch, f"{key}.voice", player.voice)
        kind = models.get(player.model)
        if kind not in PLAYER_KINDS:
            continue
        if kind == "notes":
            heard, wanted = (*patch.midi,), "a MIDI input: "
            if player.voice is None and player.midi_out is None:
                yield f"{key}.voice", "nowhere for its notes to sound", "a voice, or midi_out"
            if player.to:
                yield f"{key}.to", "sends of a player of notes", "sends at its voice (voices: ...)"
        else:
            heard, wanted = (*patch.inputs,), "an input: "
            if not player.to:
                yield f"{key}.to", "nowhere for its texture to sound", "a bus, such as {main: -12}"
            for end in ("voice", "midi_out"):
                if getattr(player, end) is not None:
                    yield f"{key}.{end}", "notes of a player of textures", "only `to`"
        if player.listens not in heard:
            wanted += suggest(player.listens, heard)
            yield f"{key}.listens", describe(player.listens), wanted


def _capture(patch: Patch) -> Iterator[Fault]:
    kinds = ("input.", "voice.", "texture.")
    there = [n for n in source_names(patch) if n.startswith(kinds)]
    for index, name in enumerate(patch.capture.sources):
        if name not in there:
            yield f"capture.sources[{index}]", describe(name), suggest(name, there)


def _roles(patch: Patch, models: Mapping[str, str], folder: Path) -> Iterator[Fault]:
    for name, role in patch.roles.items():
        if role.folder is not None:
            if not resolve(role.folder, folder).is_dir():
                at = resolve(role.folder, folder)
                found = f"{describe(role.folder)}, and no folder there"
                yield f"roles.{name}.folder", found, f"a folder at {at}"
        elif role.maker == CAPTURE_MAKER:
            if not patch.capture.kept:
                found = f"{CAPTURE_MAKER}, and capture.kept is 0"
                yield f"roles.{name}.maker", found, "capture: {kept: 4}, or another maker"
        else:
            yield from _model(f"roles.{name}.maker", role.maker, MAKER_KINDS, models)
        yield from _voice(patch, f"roles.{name}.voice", role.voice or None)
        if role.voice and (role.folder is not None or role.maker == CAPTURE_MAKER):
            yield f"roles.{name}.voice", "a voice for stems that are sound", "no voice here"


def _clock(patch: Patch) -> Iterator[Fault]:
    for index, name in enumerate(patch.clock.listen):
        if name not in patch.inputs:
            key = f"clock.listen[{index}]"
            yield key, describe(name), "an input: " + suggest(name, patch.inputs)
    if patch.clock.source == "listener" and not patch.clock.listen:
        yield (
            "clock.listen",
            "nothing to listen to",
            "a list of inputs, as clock.source is listener",
        )


def _ducking(patch: Patch) -> Iterator[Fault]:
    for index, name in enumerate(patch.ducking.by):
        if name not in patch.inputs:
            yield f"ducking.by[{index}]", describe(name), "an input: " + suggest(name, patch.inputs)


def _vibes(patch: Patch) -> Iterator[Fault]:
    for name, vibe in patch.vibes.items():
        for role in vibe.density:
            if role not in patch.roles:
                expected = "a role: " + suggest(role, patch.roles)
                yield f"vibes.{name}.density.{role}", describe(role), expected
        for player in vibe.players:
            if player not in patch.players:
                expected = "a player: " + suggest(player, patch.players)
                yield f"vibes.{name}.players.{player}", describe(player), expected
    for name, surface in patch.surfaces.items():
        for index, page in enumerate(surface.pages):
            if page in surface.pages[:index]:
                yield f"surfaces.{name}.pages[{index}]", f"{page} again", "each page once"


def _channels(patch: Patch) -> Iterator[Fault]:
    """A channel carries one bus: two on one would add up unseen, and past the limiter."""
    if not patch.outputs:
        yield "outputs", "no output", "at least one, such as main: {channels: [1, 2]}"
    taken: dict[int | str, str] = {}
    for name, output in patch.outputs.items():
        for index, channel in enumerate(output.channels):
            key = f"outputs.{name}.channels[{index}]"
            if channel in taken:
                yield key, f"channel {channel} again (also {taken[channel]})", "each channel once"
            taken.setdefault(channel, key)


def _circles(patch: Patch) -> Iterator[Fault]:
    """An input fed by a player that, through whatever chain of inputs, listens to that input; what
    comes back from a pedal is fed by the input in whose strip it stands."""
    senders = {str(insert.returns): name for name, insert in pedals_of(patch).items()}
    for start in patch.inputs:
        chain, at = [start], start
        while True:
            if at in senders:
                by, heard = "pedal", senders[at]
            else:
                player = patch.inputs[at].stream
                if player is None or player not in patch.players:
                    break
                by, heard = player, patch.players[player].listens
            if heard not in patch.inputs:
                break
            chain += [by, heard]
            if heard == start:
                route = " <- ".join(chain)
                yield f"inputs.{start}.stream", f"a circle ({route})", "a route that ends"
                break
            if heard in chain[:-1]:
                break  # a circle further on, told at its own inputs
            at = heard


def resolve(path: str, folder: Path) -> Path:
    """A path of a patch: absolute, or relative to the patch's folder."""
    return (folder / path).resolve()


def _files(patch: Patch, folder: Path) -> Iterator[Fault]:
    named = [("soundfont", patch.soundfont)]
    named += [(f"players.{n}.checkpoint", p.checkpoint) for n, p in patch.players.items()]
    for key, path in named:
        if path is None:
            continue
        if path.startswith("~"):
            yield key, describe(path), "a full path, or one relative to the patch (no ~)"
        elif not (at := resolve(path, folder)).is_file():
            yield key, f"{describe(path)}, and no file there", f"a file at {at}"
        elif key == "soundfont" and not _is_soundfont(at):
            yield key, f"{describe(path)}, a file that is no SoundFont", "a SoundFont 2 file (.sf2)"


def _is_soundfont(path: Path) -> bool:
    """By its header only; the sampler loads it in a child before it is used."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head[:4] == b"RIFF" and head[8:12] == b"sfbk"
