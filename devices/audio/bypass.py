"""The dry path in JACK itself: capture ports connected straight to the main outputs.

While the audio process is away the supervisor closes the gap with it. JACK has no gain, so a
connection is a step; coming back, the engine fades in right after the disconnection (the direct
path is one period earlier than ours on an asynchronous server, so nothing can overlap unheard).
Not thread-safe; the supervisor's.
"""

from __future__ import annotations

import contextlib
import json
import logging
from pathlib import Path
from typing import Any

import jack

from engine.patch import Patch

log = logging.getLogger("segue.bypass")


class JackBypass:
    """facts: the file in which the audio process leaves its channel map (audio.json)."""

    def __init__(self, patch: Patch) -> None:
        self._patch = patch
        self._client: Any = None
        self._dead = False
        self._made: list[tuple[str, str]] = []
        self.facts: Path | None = None

    def tend(self) -> None:
        """Open or reopen our JACK client; connect inputs whose dry path is JACK's own."""
        if self._dead:
            self._client, self._dead, self._made = None, False, []
        if self._client is None:
            with contextlib.suppress(jack.JackOpenError):
                self._client = jack.Client("segue-supervisor", no_start_server=True)
                self._client.set_shutdown_callback(self._gone)
        if self._client is not None:
            for pair in self._pairs("jack"):
                self._connect(pair)

    def _gone(self, *_: object) -> None:
        self._dead = True

    def _pairs(self, dry: str) -> list[tuple[str, str]]:
        """(capture port, playback port) for every input with that dry path."""
        if self.facts is None or not self.facts.exists():
            return []
        facts = json.loads(self.facts.read_text())
        inputs, outputs = facts["channels"]["inputs"], facts["channels"]["outputs"].get("main", [])
        captures, playbacks = facts["ports_in"], facts["ports_out"]
        return [
            (captures[channel], playbacks[out])
            for name, channel in inputs.items()
            if self._patch.inputs[name].dry == dry
            and self._patch.inputs[name].to.get("main") is not None
            for out in outputs
            if channel < len(captures) and out < len(playbacks)
        ]

    def _connect(self, pair: tuple[str, str]) -> bool:
        try:
            self._client.connect(*pair)
        except jack.JackErrorCode as error:
            return error.code == 17  # EEXIST: connected already
        except jack.JackError:
            return False
        return True

    def close_gap(self) -> bool:
        if self._client is None or self._dead:
            return False
        pairs = self._pairs("segue")
        self._made = [pair for pair in pairs if self._connect(pair)]
        return bool(self._made)

    def release(self) -> None:
        for pair in self._made:
            with contextlib.suppress(jack.JackError):
                self._client.disconnect(*pair)
        self._made = []
