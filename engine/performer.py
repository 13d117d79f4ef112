"""The demo's made-up performers: `python -m engine.performer FOLDER`, or stepped offline.

They play engine/demo_score.py through the same doors as people: audio through the input's stream
ring, notes through the midi process, cues as acts at the conductor.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine import demo_score
from engine.control_socket import ask_conductor
from engine.layout import BLOCK_FRAMES, NOTE, audio_dtype
from engine.patch import PERFORMER, Patch
from engine.process import Stop, enter
from engine.shm import Shared
from engine.soundfont import find_soundfont
from engine.timeline import Boundary, Timeline

LEAD_S = 0.3  # audio is handed over this long before its frame
WAIT_S = 0.02
PLAYERS_WAIT_S = 25.0  # for the models to load, before it begins without them
FINISHED = 5  # exit code: the piece is over
log = logging.getLogger("segue.performer")

Act = Callable[[str, str | None], None]


class Performers:
    """start: the frame of the piece's beat 0. advance() hands over what is due soon."""

    def __init__(self, shared: Shared, soundfont: Path, rate: int, start: int) -> None:
        patch = shared.patch
        self.shared, self.rate, self.start = shared, rate, start
        self._per_beat = rate * 60.0 / patch.clock.bpm
        self._streams: list[tuple[str, np.ndarray]] = []
        for name, source in patch.inputs.items():
            if source.stream == PERFORMER:
                audio = demo_score.trombone_audio(
                    soundfont, patch.clock.bpm, rate, key=patch.clock.key
                )
                self._streams.append((f"stream.{name}", audio))
                shared.ring(f"stream.{name}").new_epoch()
        self.notes = demo_score.keys_notes(
            patch.clock.bpm, rate, _keys_voice(patch), patch.clock.key
        )
        self.notes["frame"] += start
        self._cues = list(demo_score.scenes())
        self._audio_at = 0
        self._note_at = 0

    def skip_to(self, now: int) -> None:
        """A successor goes on where its predecessor died; what was due is not played late."""
        self._audio_at = max(0, now - self.start)
        self._note_at = int(np.searchsorted(self.notes["frame"], now))
        self._cues = [c for c in self._cues if self._frame(c.asked) > now]

    def _frame(self, beat: float) -> int:
        return self.start + round(beat * self._per_beat)

    @property
    def end(self) -> int:
        """The frame after which nothing sounds any more."""
        return self._frame(demo_score.BEATS + demo_score.TAIL_BEATS)

    def advance(self, now: int, act: Act) -> None:
        """Hand over audio due until now + LEAD_S, notes likewise, and cues due now."""
        until = now - self.start + round(LEAD_S * self.rate)
        for ring, audio in self._streams:
            self._send(ring, audio[self._audio_at : max(self._audio_at, until)])
        self._audio_at = max(self._audio_at, until)
        due = int(np.searchsorted(self.notes["frame"], self.start + until))
        if due > self._note_at:
            self.shared.push("performer_notes", self.notes[self._note_at : due].astype(NOTE))
            self._note_at = due
        while self._cues and self._frame(self._cues[0].asked) <= now:
            cue = self._cues.pop(0)
            names = {"enter": "enter", "leave": "stop_role", "end": "stop_all"}
            act(names[cue.action], cue.role or None)

    def _send(self, name: str, audio: np.ndarray) -> None:
        ring = self.shared.ring(name)
        records = np.zeros(-(-len(audio) // BLOCK_FRAMES), audio_dtype(1))
        for i, record in enumerate(records):
            part = audio[i * BLOCK_FRAMES : (i + 1) * BLOCK_FRAMES]
            record["frame"] = self.start + self._audio_at + i * BLOCK_FRAMES
            record["count"], record["epoch"] = len(part), ring.epoch
            record["data"][0, : len(part)] = part
        if len(records):
            ring.push(records)


def _keys_voice(patch: Patch) -> int:
    names = [m.voice for m in patch.midi.values() if m.voice]
    return list(patch.voices).index(names[0]) if names else 0


def first_beat(line: Timeline, now: int) -> int:
    """The frame at which the piece begins: the next phrase at least a second away."""
    return line.next_boundary(now + round(line.rate), Boundary.PHRASE)


def _act_over(shared: Shared) -> Act:
    """Acts sent to the conductor's socket; a conductor that is away is tried for two seconds."""

    assert shared.folder is not None
    folder = shared.folder

    def act(name: str, role: str | None) -> None:
        message = {"do": "act", "name": name, "role": role}
        for _ in range(40):
            if ask_conductor(folder, message, 1.0) is not None:
                return
            time.sleep(0.05)
        log.warning("the conductor did not hear %s %s", name, role)

    return act


def _players_ready(shared: Shared) -> bool:
    return all(shared.heartbeats[shared.names.index(f"player.{p}")] for p in shared.patch.players)


def _serve(shared: Shared, stop: Stop) -> int:
    soundfont = find_soundfont(shared.patch)
    if soundfont is None:
        log.error("no SoundFont: the performers have no instruments")
        return 4
    begun = shared.file("performer.json")
    act = _act_over(shared)
    wait_until = time.monotonic() + PLAYERS_WAIT_S
    while not stop and not begun.exists():
        shared.heartbeat("performer")
        ready = _players_ready(shared) or time.monotonic() > wait_until
        line, clock = shared.timeline(), shared.clock()
        if line is not None and clock is not None and ready:
            start = first_beat(line, shared.now())
            begun.write_text(json.dumps({"start": start, "rate": clock.rate}))
        time.sleep(WAIT_S)
    if stop:
        return 0
    facts = json.loads(begun.read_text())
    shared.heartbeat("performer", 10.0)
    performers = Performers(shared, soundfont, int(facts["rate"]), int(facts["start"]))
    performers.skip_to(shared.now())
    while not stop:
        shared.heartbeat("performer")
        performers.advance(shared.now(), act)
        if shared.now() > performers.end:
            return FINISHED
        time.sleep(WAIT_S)
    return 0


def main() -> int:
    shared, stop = enter(sys.argv[1], "performer", nice=1)
    return _serve(shared, stop)


if __name__ == "__main__":
    sys.exit(main())
