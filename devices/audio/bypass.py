"""The dry path outside the audio process: a JACK client that stands by, and JACK itself.

While the audio process is away (killed, stalled, not up yet) the client "segue-dry"
(dry.py, dry.c) plays the inputs marked `dry: segue` to the outputs they are sent to, at the levels
they have. Inputs marked `dry: jack`, and the others at
the end of `segue run --keep-dry`, are connected straight through: JACK has no gain, so only sends
near unity are.

It also remembers who was connected to segue's ports, and connects them to a successor's. Not
thread-safe; the supervisor's. After a server's death everything here is made anew.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jack

from devices.audio.channels import channel_of
from devices.audio.dry import DryPath
from devices.quiet import quiet
from engine.mixer import dry_level
from engine.patch import Input, Patch
from engine.shm import Shared
from engine.shm_records import CLIENT_FILE, DRY_COVERING

UNITY_DB = (
    1.0  # sends within this of 0 dB are carried by JACK; others would be too loud or too soft
)
HOST = "JACK Audio Connection Kit"  # as PortAudio calls it: `audio.device` may match "host: name"
OWN = re.compile(r"segue(-[a-z]+)?(-\d+)?$")  # our own clients are no interface
EXISTS = 17  # EEXIST: connected already
log = logging.getLogger("segue.bypass")
Links = dict[str, frozenset[str]]  # a port of the audio process without its client -> its peers


def carried(source: Input) -> list[str]:
    """The buses to which JACK carries an input: main, and those it reaches near unity."""
    return [
        bus
        for bus, db in source.to.items()
        if bus == "main" or abs(db + source.trim_db) <= UNITY_DB
    ]


class JackBypass:
    """shared: the performance's. facts: the file in which the audio process leaves its channel map
    (audio.json). Until there is one, the ports are those of the client that the device names."""

    def __init__(self, patch: Patch) -> None:
        self._patch = patch
        self._client: Any = None
        self._dead = False
        self._dry: DryPath | None = None
        self._links: Links = {}
        self._successor = True  # the audio process's ports are not yet connected as before
        self.shared: Shared | None = None

    # ---- life

    def tend(self) -> None:
        """Open our client, or reopen it; follow levels and connections. A few times a second."""
        if self._dead:
            # libjack frees what belonged to a dead server itself: closing it again is a crash
            self._client._ptr = jack._ffi.NULL
            self._client, self._dry, self._dead = None, None, False
        if self._client is None:
            self._open()
        if self._client is None:
            return
        with contextlib.suppress(jack.JackError):
            for pair in self.pairs("jack"):
                self._connect(pair)
            self._note_links()
            if self._dry is not None:
                self._connect_dry(self._dry)
                self._dry.set_levels(self._levels())

    def _open(self) -> None:
        try:
            with quiet():
                client = jack.Client("segue-dry", no_start_server=True)
        except jack.JackOpenError:
            if self.shared is not None:
                self.shared.dry_words[DRY_COVERING] = 0  # nobody plays
            return
        client.set_shutdown_callback(self._gone)
        self._client = client
        if self.shared is None:
            return
        try:
            self._dry = DryPath(client, self._patch, self.shared.dry_words)
            client.activate()
            self._connect_dry(self._dry)
            self._dry.set_levels(self._levels())
            self._dry.set_enabled(True)
            for pair in self.pairs("segue"):  # left by an earlier run (--keep-dry)
                with contextlib.suppress(jack.JackError):
                    client.disconnect(*pair)
        except jack.JackError as error:
            log.warning("no dry path beside the audio process: %s", error)
            self._dry = None

    def _gone(self, *_: object) -> None:
        self._dead = True

    def end(self, keep: bool) -> None:
        """Before the audio process ends: be silent. keep: JACK carries the dry inputs from now."""
        if self._dry is not None:
            self._dry.set_enabled(False)
        if keep and self._client is not None and not self._dead:
            with contextlib.suppress(jack.JackError):
                for pair in self.pairs("segue"):
                    self._connect(pair)

    def close(self) -> None:
        """Leave the server; what is connected straight through stays so."""
        if self._client is not None:
            if self._dead:
                self._client._ptr = jack._ffi.NULL  # as in tend()
            self._client.close()
        self._client, self._dry = None, None

    # ---- which ports

    def pairs(self, dry: str) -> list[tuple[str, str]]:
        """(capture port, playback port) for every input with that dry path, as JACK carries it."""
        inputs = {n: i for n, i in self._patch.inputs.items() if i.dry == dry}
        if not inputs:
            return []
        captures, playbacks, channel_of, channels = self._map()
        return [
            (captures[channel_of[name]], playbacks[out])
            for name, source in inputs.items()
            if name in channel_of and channel_of[name] < len(captures)
            for bus in carried(source)
            for out in channels.get(bus, ())
            if out < len(playbacks)
        ]

    def _map(self) -> tuple[list[str], list[str], dict[str, int], dict[str, list[int]]]:
        """Captures, playbacks, and the channels (from 0) of inputs and buses."""
        facts = self._facts()
        if facts is None:
            return self._ports_of_server()
        channels = facts["channels"]
        return facts["ports_in"], facts["ports_out"], channels["inputs"], channels["outputs"]

    def _facts(self) -> dict[str, Any] | None:
        if self.shared is None or not self.shared.file("audio.json").exists():
            return None
        facts = json.loads(self.shared.file("audio.json").read_text())
        return facts if isinstance(facts, dict) else None

    def _ports_of_server(
        self,
    ) -> tuple[list[str], list[str], dict[str, int], dict[str, list[int]]]:
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

    # ---- connections

    def _connect(self, pair: tuple[str, str]) -> bool:
        try:
            self._client.connect(*pair)
        except jack.JackErrorCode as error:
            return bool(error.code == EXISTS)
        except jack.JackError:
            return False
        return True

    def _connect_dry(self, dry: DryPath) -> None:
        """The client's ports stand beside the audio process's: the same peers."""
        captures, playbacks, channel_of, channels = self._map()
        wanted: dict[str, frozenset[str]] = {}
        for i, name in enumerate(dry.inputs):
            channel = channel_of.get(name)
            if channel is not None:
                plain = frozenset(captures[channel : channel + 1])
                wanted[f"in_{i}"] = self._links.get(f"in_{channel}", plain)
        for o, (bus, k) in enumerate(dry.outputs):
            chans = channels.get(bus, [])
            if k < len(chans):
                plain = frozenset(playbacks[chans[k] : chans[k] + 1])
                wanted[f"out_{o}"] = self._links.get(f"out_{chans[k]}", plain)
        for port, peers in wanted.items():
            self._link(f"{self._client.name}:{port}", peers)

    def _peers(self, port: str) -> frozenset[str]:
        found = self._client.get_all_connections(self._client.get_port_by_name(port))
        return frozenset(p.name for p in found)

    def _link(self, port: str, peers: frozenset[str]) -> None:
        """Connect a port to these and no others."""
        incoming = port.rpartition(":")[2].startswith("in_")
        for peer in (now := self._peers(port)) ^ peers:
            pair = (peer, port) if incoming else (port, peer)
            if peer in now:
                self._client.disconnect(*pair)
            else:
                self._connect(pair)

    def _ports_of_audio(self) -> list[str]:
        """Of this performance's: another one on the server has a name of its own."""
        if self.shared is None or not self.shared.file(CLIENT_FILE).exists():
            return []
        mine = self.shared.file(CLIENT_FILE).read_text()
        ports = self._client.get_ports(is_audio=True)
        return [p.name for p in ports if p.name.partition(":")[0] == mine]

    def _note_links(self) -> None:
        """Remember who is connected to the audio process; while it is a new one, only who came."""
        links = {port.rpartition(":")[2]: self._peers(port) for port in self._ports_of_audio()}
        if self._successor:
            old = self._links
            both = {p: old.get(p, frozenset()) | links.get(p, frozenset()) for p in old | links}
            # A port that has just been made is not connected yet: that is nobody's wish.
            links = {p: peers for p, peers in both.items() if peers or p in old}
        if links:
            self._links = links

    def audio_lost(self) -> None:
        """The audio process has ended or is about to: what we remember is as it was."""
        self._successor = True

    def audio_back(self) -> None:
        """Another one plays: connect its ports as its predecessor's were."""
        self._successor = False
        if self._client is None or self._dead:
            return
        with contextlib.suppress(jack.JackError):
            for port in self._ports_of_audio():
                peers = self._links.get(port.rpartition(":")[2])
                if peers is not None:
                    self._link(port, peers)

    # ---- levels

    def _levels(self) -> Callable[[str, str], float]:
        """What the mixer's levels are now, or will be at the end of their ramps."""
        state = None if self.shared is None else self.shared.sections["state"].read()
        return partial(dry_level, self._patch, None if state is None else state[0])


def _channel(wanted: int | str | None, ports: list[Any]) -> int | None:
    """As the audio process finds it."""
    return channel_of(wanted, len(ports), [" ".join([p.name, *p.aliases]) for p in ports])
