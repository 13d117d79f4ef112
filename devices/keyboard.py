"""The keys of the computer as a MIDI keyboard, for `segue demo --live`.

a w s e d f t g y h u j k are C to C; z and x change the octave. A terminal tells presses only, so a
note lasts HOLD_S after the last press of its key. Notes go through a ring to the midi process, as
from any keyboard. Own thread; nothing here touches sound.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator

import numpy as np

from engine.layout import NOTE, NoteKind
from engine.shm import Shared

KEYS = "awsedftgyhujk"
HOLD_S = 0.45
POLL_S = 0.01
VELOCITY = 90
OCTAVES = range(2, 7)


class ComputerKeys:
    """Turns typed characters into NOTE records. voice: index of the sampler voice they play."""

    def __init__(self, voice: int) -> None:
        self._voice = voice
        self._octave = 4
        self._held: dict[int, float] = {}

    def typed(self, character: str, now: float) -> list[tuple[NoteKind, int]]:
        """What a character plays at `now` (seconds): (kind, MIDI key)."""
        if character in "zx":
            step = -1 if character == "z" else 1
            self._octave = min(max(self._octave + step, OCTAVES[0]), OCTAVES[-1])
            return []
        if character not in KEYS:
            return []
        key = 12 * (self._octave + 1) + KEYS.index(character)
        again = key in self._held
        self._held[key] = now + HOLD_S
        return [] if again else [(NoteKind.ON, key)]

    def due(self, now: float) -> list[tuple[NoteKind, int]]:
        """Notes that end by `now`."""
        over = [key for key, end in self._held.items() if end <= now]
        for key in over:
            del self._held[key]
        return [(NoteKind.OFF, key) for key in over]

    def records(self, notes: list[tuple[NoteKind, int]], frame: int) -> np.ndarray:
        found = np.zeros(len(notes), NOTE)
        for record, (kind, key) in zip(found, notes, strict=True):
            record["frame"], record["kind"], record["key"] = frame, kind, key
            record["velocity"] = VELOCITY if kind is NoteKind.ON else 0
            record["voice"] = self._voice
        return found

    def play(self, shared: Shared, stop: threading.Event) -> None:
        """Read standard input until `stop`, or until its terminal has gone."""
        sources = [sys.stdin.fileno()]
        while not stop.is_set():
            ready = select.select(sources, [], [], POLL_S)[0]
            now = time.monotonic()
            notes = self.due(now)
            for source in ready:
                for character in (text := _read(source)):
                    notes += self.typed(character, now)
                if not text:
                    sources.clear()
            if notes:
                shared.push("computer_notes", self.records(notes, shared.now()))


def _read(source: int) -> str:
    """What was typed; nothing: nobody will type here any more."""
    try:
        return os.read(source, 64).decode("latin-1")
    except OSError:
        return ""


@contextlib.contextmanager
def playing(keys: ComputerKeys, shared: Shared) -> Iterator[None]:
    """Single key presses from the terminal while the context lasts; the terminal is put back."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    stop = threading.Event()
    thread = threading.Thread(target=keys.play, args=(shared, stop), daemon=True)
    tty.setcbreak(descriptor)
    try:
        thread.start()
        yield
    finally:
        stop.set()
        thread.join(1.0)
        with contextlib.suppress(termios.error):  # it has gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
