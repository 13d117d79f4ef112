"""What `segue devices` lists: audio devices, the JACK server, MIDI ports.

Each is asked in a child with a time limit: PortAudio and libjack hang for good where a sound server
has died, and write to standard error. Nothing here starts a server or opens a stream. Any thread;
each call takes up to TIMEOUT_S.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 8.0

_AUDIO = """
import json, sounddevice as sd
apis = [api["name"] for api in sd.query_hostapis()]
rows = [dict(d, api=apis[d["hostapi"]]) for d in sd.query_devices()]
out(json.dumps([rows, list(sd.default.device)]))
"""
_JACK = """
import json, jack
c = jack.Client("segue-devices", no_start_server=True)
names = lambda **kind: [p.name for p in c.get_ports(is_physical=True, is_audio=True, **kind)]
row = dict(rate=c.samplerate, block=c.blocksize, realtime=c.realtime)
row.update(captures=names(is_output=True), playbacks=names(is_input=True))
c.close()
out(json.dumps(row))
"""
_MIDI = """
import json, rtmidi
rows = []
for api in rtmidi.get_compiled_api():
    name = rtmidi.get_api_display_name(api)
    try:
        rows.append([name, rtmidi.MidiIn(api).get_ports(), rtmidi.MidiOut(api).get_ports(), ""])
    except Exception as error:
        rows.append([name, [], [], str(error)])
out(json.dumps(rows))
"""
# The answer goes to a descriptor of its own: libraries write what they like to the other two.
_PRELUDE = """
import os, sys
answer = os.dup(1); os.dup2(2, 1)
def out(text): os.write(answer, b"\\n@" + text.encode() + b"\\n")
"""


class ProbeError(Exception):
    """A library that could not be asked; says which, and how it ended."""


class ProbeTimeout(ProbeError):
    """It hung, and was killed: as a rule a sound server that has died or stands still."""


@dataclass(frozen=True)
class AudioDevice:
    """latency: seconds, as PortAudio suggests for low latency (input, output)."""

    index: int
    name: str
    api: str
    inputs: int
    outputs: int
    rate: float
    latency: tuple[float, float]
    default_input: bool
    default_output: bool


@dataclass(frozen=True)
class JackServer:
    """A running server, named as in JACK_DEFAULT_SERVER. captures, playbacks: hardware ports."""

    name: str
    rate: int
    block: int
    realtime: bool
    captures: tuple[str, ...]
    playbacks: tuple[str, ...]


@dataclass(frozen=True)
class MidiApi:
    """One MIDI backend of python-rtmidi. error: why it cannot be used, '' if it can."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    error: str


@dataclass(frozen=True)
class Devices:
    """All there is. errors: what could not be asked, in words."""

    audio: tuple[AudioDevice, ...] = ()
    jack: JackServer | None = None
    pipewire: bool = False
    midi: tuple[MidiApi, ...] = ()
    errors: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For `segue devices --json`."""
        return asdict(self)

    def as_text(self) -> str:
        """For people, one line a device."""
        return "\n".join(_lines(self))


def ask(what: str, script: str, timeout_s: float = TIMEOUT_S) -> Any:
    """Run a probe in a child and return the JSON it answers. Raises ProbeError."""
    env = {**os.environ, "JACK_NO_START_SERVER": "1"}
    command = [sys.executable, "-c", _PRELUDE + script]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, env=env, check=False)
    except subprocess.TimeoutExpired:
        raise ProbeTimeout(f"{what} did not answer within {timeout_s:g} s: restart it") from None
    for line in reversed(done.stdout.splitlines()):
        if line.startswith(b"@"):
            return json.loads(line[1:])
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    ended = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
    raise ProbeError(f"{what} ended with {ended}: {said[-1] if said else 'no message'}")


def audio_devices(timeout_s: float = TIMEOUT_S) -> list[AudioDevice]:
    """PortAudio's devices. Raises ProbeError."""
    rows, (default_in, default_out) = ask("PortAudio", _AUDIO, timeout_s)
    return [
        AudioDevice(
            index=index,
            name=row["name"],
            api=row["api"],
            inputs=row["max_input_channels"],
            outputs=row["max_output_channels"],
            rate=row["default_samplerate"],
            latency=(row["default_low_input_latency"], row["default_low_output_latency"]),
            default_input=index == default_in,
            default_output=index == default_out,
        )
        for index, row in enumerate(rows)
    ]


def jack_server(timeout_s: float = TIMEOUT_S) -> JackServer | None:
    """The JACK server (or PipeWire's) that segue would use; None where none runs.

    Raises ProbeTimeout when one is there and does not answer.
    """
    try:
        row = ask("JACK", _JACK, timeout_s)
    except ProbeTimeout:
        raise
    except ProbeError:
        return None
    return JackServer(
        name=os.environ.get("JACK_DEFAULT_SERVER", "default"),
        rate=row["rate"],
        block=row["block"],
        realtime=row["realtime"],
        captures=tuple(row["captures"]),
        playbacks=tuple(row["playbacks"]),
    )


def pipewire_running() -> bool:
    """True when this user's PipeWire has its socket."""
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR")
    folder = folder or f"/run/user/{os.getuid()}"
    return Path(folder, os.environ.get("PIPEWIRE_REMOTE", "pipewire-0")).is_socket()


def midi_apis(timeout_s: float = TIMEOUT_S) -> list[MidiApi]:
    """MIDI backends and their ports. Raises ProbeError."""
    rows = ask("MIDI", _MIDI, timeout_s)
    return [MidiApi(name, tuple(ins), tuple(outs), error) for name, ins, outs, error in rows]


def devices(timeout_s: float = TIMEOUT_S) -> Devices:
    """Everything at once; what does not answer is told in `errors`."""
    probes: dict[str, Callable[[float], Any]] = {
        "audio": audio_devices,
        "jack": jack_server,
        "midi": midi_apis,
    }
    found: dict[str, Any] = {}
    errors: list[str] = []
    with ThreadPoolExecutor(len(probes)) as pool:
        asked = {name: pool.submit(probe, timeout_s) for name, probe in probes.items()}
    for name, answer in asked.items():
        try:
            found[name] = answer.result()
        except ProbeError as error:
            errors.append(str(error))
    return Devices(
        audio=tuple(found.get("audio", ())),
        jack=found.get("jack"),
        pipewire=pipewire_running(),
        midi=tuple(found.get("midi", ())),
        errors=tuple(errors),
    )


def _lines(found: Devices) -> list[str]:
    lines = ["audio devices"]
    for device in found.audio:
        marks = (" (default in)" if device.default_input else "") + (
            " (default out)" if device.default_output else ""
        )
        channels = f"{device.inputs} in, {device.outputs} out"
        about = f"{channels}, {device.rate:g} Hz, {device.api}{marks}"
        lines.append(f"  {device.index:3d}  {device.name}: {about}")
    if not found.audio:
        lines.append("  none: connect an interface, or start JACK or PipeWire")
    if found.jack is None:
        lines.append("JACK: no server answers")
    else:
        server = found.jack
        lines.append(
            f"JACK: server {server.name}, {server.rate} Hz, {server.block} frames, "
            f"{'real-time' if server.realtime else 'not real-time'}"
        )
        lines += [f"  in   {index}  {name}" for index, name in enumerate(server.captures, 1)]
        lines += [f"  out  {index}  {name}" for index, name in enumerate(server.playbacks, 1)]
    lines.append(f"PipeWire: {'running' if found.pipewire else 'not running'}")
    for api in found.midi:
        lines.append(f"MIDI ({api.name}){': ' + api.error if api.error else ''}")
        lines += [f"  in   {name}" for name in api.inputs]
        lines += [f"  out  {name}" for name in api.outputs]
    lines += [f"error: {error}" for error in found.errors]
    return lines
