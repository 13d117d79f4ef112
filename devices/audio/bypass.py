"""The dry path in JACK itself: capture ports connected straight to the outputs they are sent to.

While the audio process is away the supervisor closes the gap with it. JACK has no gain, so a
connection is a step, and only sends near unity are carried (to main in any case); coming back, the
engine fades in right after the disconnection, so nothing can overlap unheard. Connections that
exist already count as made: an earlier run may have left them (`segue run --keep-dry`).
Not thread-safe; the supervisor's.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from pathlib import Path
from typing import Any

import jack

from engine.patch import Input, Patch

UNITY_DB = 1.0  # sends within this of 0 dB are carried; others would be too loud or too soft
HOST = "JACK Audio Connection Kit"  # as PortAudio calls it: `audio.device` may match "host: name"
OWN = re.compile(r"segue(-[a-z]+)?(-\d+)?$")  # our own clients are no interface
EXISTS = 17  # EEXIST: connected already
log = logging.getLogger("segue.bypass")


def carried(source: Input) -> list[str]:
    """The buses to which JACK carries an input: main, and those it reaches near unity."""
    return [
        bus
        for bus, db in source.to.items()
        if bus == "main" or abs(db + source.trim_db) <= UNITY_DB
    ]


class JackBypass:
    """facts: the file in which the audio process leaves its channel map (audio.json). Until there
    is one, the ports are those of the client that the patch's device names."""

    def __init__(self, patch: Patch) -> None:
        self._patch = patch
        self._client: Any = None
        self._dead = False
        self._made: list[tuple[str, str]] = []
        self.facts: Path | None = None

    def tend(self) -> None:
        """Open or reopen our JACK client; connect inputs whose dry path is JACK's own."""
        if self._dead:
            # libjack frees what belonged to a dead server itself: closing it again is a crash
            self._client._ptr = jack._ffi.NULL
            self._client, self._dead, self._made = None, False, []
        if self._client is None:
            with contextlib.suppress(jack.JackOpenError):
                self._client = jack.Client("segue-supervisor", no_start_server=True)
                self._client.set_shutdown_callback(self._gone)
        if self._client is not None:
            for pair in self.pairs("jack"):
                self._connect(pair)

    def close(self) -> None:
        """Leave the server; what was connected stays connected."""
        if self._client is not None and not self._dead:
            self._client.close()
            self._client = None

    def _gone(self, *_: object) -> None:
        self._dead = True

    # ---- which ports

    def pairs(self, dry: str) -> list[tuple[str, str]]:
        """(capture port, playback port) for every input with that dry path."""
        inputs = {n: i for n, i in self._patch.inputs.items() if i.dry == dry}
        if not inputs:
            return []
        if self.facts is not None and self.facts.exists():
            facts = json.loads(self.facts.read_text())
            captures, playbacks = facts["ports_in"], facts["ports_out"]
            channel_of, channels = facts["channels"]["inputs"], facts["channels"]["outputs"]
        else:
            captures, playbacks, channel_of, channels = self._ports_of_server()
        return [
            (captures[channel_of[name]], playbacks[out])
            for name, source in inputs.items()
            if name in channel_of and channel_of[name] < len(captures)
            for bus in carried(source)
            for out in channels.get(bus, ())
            if out < len(playbacks)
        ]

    def _ports_of_server(
        self,
    ) -> tuple[list[str], list[str], dict[str, int], dict[str, list[int]]]:
        """Captures, playbacks, and the channels (from 0) of inputs and buses, from JACK itself."""
        if self._client is None or self._dead:
            return [], [], {}, {}
        ports = self._client.get_ports(is_audio=True)
        device = self._device([p.name.partition(":")[0] for p in ports if p.is_input])
        mine = [p for p in ports if p.name.partition(":")[0] == device]
        captures = [p for p in mine if p.is_output]
        playbacks = [p for p in mine if p.is_input]
        inputs = {n: _channel(i.channel, captures) for n, i in self._patch.inputs.items()}
        outputs = {
            n: [_channel(c, playbacks) for c in o.channels] for n, o in self._patch.outputs.items()
        }
        return (
            [p.name for p in captures],
            [p.name for p in playbacks],
            {n: c for n, c in inputs.items() if c is not None},
            {n: [c for c in cs if c is not None] for n, cs in outputs.items() if None not in cs},
        )

    def _device(self, clients: list[str]) -> str | None:
        """The client that the audio process will open: the patch's device, else "system"."""
        others = [c for c in dict.fromkeys(clients) if not OWN.fullmatch(c)]
        wanted = self._patch.audio.device
        if wanted:
            return next((c for c in others if re.search(wanted, f"{HOST}: {c}")), None)
        return "system" if "system" in others else None

    # ---- connecting

    def _connect(self, pair: tuple[str, str]) -> bool:
        try:
            self._client.connect(*pair)
        except jack.JackErrorCode as error:
            return bool(error.code == EXISTS)
        except jack.JackError:
            return False
        return True

    def close_gap(self) -> bool:
        if self._client is None or self._dead:
            return False
        try:
            pairs = self.pairs("segue")
        except jack.JackError:
            return False
        self._made = [pair for pair in pairs if self._connect(pair)]
        return bool(self._made)

    def release(self) -> None:
        for pair in self._made:
            with contextlib.suppress(jack.JackError):
                self._client.disconnect(*pair)
        self._made = []


def _channel(wanted: int | str | None, ports: list[Any]) -> int | None:
    """A channel (from 0) by its number (from 1) or by a pattern of port names and aliases."""
    if wanted is None:
        return None
    if isinstance(wanted, int):
        return wanted - 1 if 1 <= wanted <= len(ports) else None
    names = [" ".join([p.name, *p.aliases]) for p in ports]
    return next((i for i, name in enumerate(names) if re.search(wanted, name)), None)
