"""The interface through PortAudio: which device, which channels, and what is missing of them.

sounddevice initialises PortAudio when it is imported, which may hang while a JACK server dies; so
it is imported here only, in a process that the supervisor may kill.
"""

from __future__ import annotations

import ctypes.util
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cffi

from devices.audio.channels import channel_of
from devices.audio.jack_clock import JackClock
from engine.channel_map import ChannelMap
from engine.patch import Patch

CLIENT_NAME = "segue"
# PortAudio puts the names of JACK's clients into patterns as they are: those with any of these it
# lists without channels, or with those of others.
UNOPENED = re.compile(r"[()\[\]{}+?*|^$\\]")


class NoDeviceError(Exception):
    """Nothing here matches what the patch asks for; says what there is."""


@dataclass
class Found:
    """The chosen device, and what of the patch it cannot serve."""

    index: int
    name: str
    host: str
    channels: ChannelMap
    missing: list[str] = field(default_factory=list)
    ports_in: list[str] = field(default_factory=list)
    ports_out: list[str] = field(default_factory=list)

    def save(self, path: Path, **more: Any) -> None:
        facts = {**asdict(self), **more}
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(facts, indent=1))
        os.replace(temporary, path)


def name_client(name: str = CLIENT_NAME) -> None:
    """Tell PortAudio's JACK side what to call us; before sounddevice is imported."""
    library = ctypes.util.find_library("portaudio")
    if library is None:
        return
    portaudio: Any = _ffi.dlopen(library)
    if hasattr(portaudio, "PaJack_SetClientName"):
        # PortAudio keeps the pointer, not a copy, and forgets it when it is unloaded.
        kept = (portaudio, _ffi.new("char[]", name.encode()))
        portaudio.PaJack_SetClientName(kept[1])
        _kept.append(kept)


def known_as() -> str:
    """What JACK calls us, once sounddevice is imported: beside another "segue" it is "segue-01"."""
    for portaudio, _ in _kept:
        name = _ffi.new("char **")
        if portaudio.PaJack_GetClientName(name) == 0 and name[0] != _ffi.NULL:
            return str(_ffi.string(name[0]).decode(errors="replace"))
    return CLIENT_NAME


_kept: list[Any] = []
_ffi: Any = cffi.FFI()
_ffi.cdef(
    """
    int PaJack_SetClientName(const char *name);
    int PaJack_GetClientName(char **name);
    """
)


def _candidates(sd: Any, want_jack: bool) -> list[tuple[int, dict[str, Any], str]]:
    hosts = [h["name"] for h in sd.query_hostapis()]
    found = []
    for index, device in enumerate(sd.query_devices()):
        host = hosts[device["hostapi"]]
        if want_jack and ("JACK" not in host or UNOPENED.search(device["name"])):
            continue
        if device["max_output_channels"] > 0:
            found.append((index, device, host))
    return found


def choose(sd: Any, patch: Patch, jack: JackClock | None) -> Found:
    """The device of the patch: the pattern's first match, else the host's default output.

    Raises NoDeviceError."""
    candidates = _candidates(sd, want_jack=jack is not None)
    pattern = re.compile(patch.audio.device) if patch.audio.device else None
    if pattern is not None:
        matching = [c for c in candidates if pattern.search(f"{c[2]}: {c[1]['name']}")]
    else:
        default = {h["default_output_device"] for h in sd.query_hostapis()}
        system = [c for c in candidates if c[1]["name"] == "system"]
        matching = system or [c for c in candidates if c[0] in default] or candidates
    if not matching:
        names = ", ".join(f"{c[2]}: {c[1]['name']}" for c in candidates) or "none at all"
        problem = f"audio.device {patch.audio.device!r} matches nothing; found {names}"
        if not candidates and jack is None:
            problem = "no sound server and no interface; start JACK or PipeWire, or plug one in"
        if jack is not None and pattern is not None:
            hidden = [c for c in jack.clients() if UNOPENED.search(c) and pattern.search(c)]
            problem += "".join(f"; rename {c!r}: PortAudio opens no ( ) [ ] + ?" for c in hidden)
        raise NoDeviceError(problem)
    index, device, host = matching[0]
    ports_in, ports_out = jack.ports(str(device["name"])) if jack is not None else ([], [])
    channels, missing = map_channels(
        patch,
        int(device["max_input_channels"]),
        int(device["max_output_channels"]),
        [" ".join(names) for names in ports_in],
        [" ".join(names) for names in ports_out],
    )
    if jack is not None and patch.audio.rate != jack.rate:
        missing.append(f"rate {patch.audio.rate} Hz: the sound server runs at {jack.rate} Hz")
    return Found(
        index,
        str(device["name"]),
        host,
        channels,
        missing,
        [names[0] for names in ports_in],
        [names[0] for names in ports_out],
    )


def _wanted(channels: Sequence[int | str | None], count: int) -> str:
    """What was looked for and is not there."""
    wanted = ", ".join(str(c) for c in channels if c)
    return f"channel {wanted} of {count}" if wanted else "no channel, in patch or rig"


def map_channels(
    patch: Patch, count_in: int, count_out: int, names_in: list[str], names_out: list[str]
) -> tuple[ChannelMap, list[str]]:
    """Channels (from 0) by number or by port-name pattern, and a line for each one missing."""
    missing: list[str] = []
    inputs: dict[str, int] = {}
    for name, source in patch.inputs.items():
        channel = channel_of(source.channel, count_in, names_in)
        if channel is not None:
            inputs[name] = channel
        elif source.stream is None:
            missing.append(f"input {name}: {_wanted([source.channel], count_in)}")
    outputs: dict[str, tuple[int, ...]] = {}
    for name, output in patch.outputs.items():
        found = [channel_of(c, count_out, names_out) for c in output.channels]
        if found and all(c is not None for c in found):
            outputs[name] = tuple(c for c in found if c is not None)
        else:
            missing.append(f"output {name}: {_wanted(output.channels, count_out)}")
    cv: dict[str, int] = {}
    for name, line in patch.cv.items():
        channel = channel_of(line.channel or None, count_out, names_out)
        speaker = next((n for n, chans in outputs.items() if channel in chans), None)
        if channel is None:
            missing.append(f"cv {name}: {_wanted([line.channel], count_out)}")
        elif speaker is not None:  # only known now, where one of them is a pattern
            missing.append(
                f"cv {name}: {line.channel} is channel {channel + 1}, where output {speaker} is"
            )
        elif channel in cv.values():
            missing.append(f"cv {name}: {line.channel} is channel {channel + 1}, taken already")
        else:
            cv[name] = channel
    cv_in: dict[str, int] = {}
    for name, given in patch.cv_in.items():
        channel = channel_of(given.channel or None, count_in, names_in)
        if channel is not None:
            cv_in[name] = channel
        elif given.channel or given.kind != "chaos":
            missing.append(f"cv_in {name}: {_wanted([given.channel], count_in)}")
    used_out = [*(c for chans in outputs.values() for c in chans), *cv.values()]
    return (
        ChannelMap(
            inputs=inputs,
            outputs=outputs,
            cv=cv,
            channels_in=max([*inputs.values(), *cv_in.values()], default=-1) + 1,
            channels_out=max(used_out, default=-1) + 1,
            cv_in=cv_in,
        ),
        missing,
    )
