"""A LivePerformance on private memory, stepped by hand, and what others would push."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.channel_map import plain_map
from engine.layout import NOTE, SAFE, CommandKind, NoteKind, SafeKind, command
from engine.patch import Patch
from engine.performance import LivePerformance
from engine.shm import Shared

RATE = 48000
SOUNDFONT = Path("/usr/share/sounds/sf2/TimGM6mb.sf2")


class Stage:
    """t is the clock: it goes on with play() and nothing else."""

    def __init__(
        self,
        patch: Patch,
        soundfont: Path | None = None,
        start: int = 64_000,
        rate: int = RATE,
        block: int = 128,
        inserts: dict[str, Any] | None = None,
    ) -> None:
        self.patch, self.soundfont, self.rate, self.block = patch, soundfont, rate, block
        self.shared = Shared.private(patch, inserts=inserts)
        self.engine = LivePerformance(patch, self.shared, plain_map(patch), rate, soundfont)
        self.t = start

    def resume(self, state: np.ndarray, gap: int = 0, long_ago: bool = False) -> None:
        """The audio process has died; a successor goes on from a snapshot, `gap` frames later."""
        self.engine = LivePerformance(
            self.patch,
            self.shared,
            plain_map(self.patch),
            self.rate,
            self.soundfont,
            state.copy(),
            long_ago,
        )
        self.t += gap

    def play(
        self, audio: np.ndarray | int, each: Callable[[int], None] | None = None
    ) -> np.ndarray:
        """audio (frames, channels), or frames of silence; returns what left (frames, channels)."""
        channels = max(1, self.engine.channels.channels_in)
        if isinstance(audio, int):
            audio = np.zeros((audio, channels), np.float32)
        out = []
        for a in range(0, len(audio), self.block):
            if each is not None:
                each(self.t)
            piece = np.ascontiguousarray(audio[a : a + self.block], np.float32)
            self.engine.hear(piece, len(piece))
            out.append(self.engine.forward(self.t).out.copy())
            self.t += len(piece)
        return np.concatenate(out)

    # ---- what other processes would push

    def safe(self, kind: SafeKind, value: float = 0.0) -> None:
        record = np.zeros(1, SAFE)
        record["kind"], record["value"] = kind, value
        assert self.shared.ring("midi_safe").push(record) == 1

    def note(self, ring: str, kind: NoteKind, key: int = 60, **fields: int) -> None:
        record = np.zeros(1, NOTE)
        record["frame"], record["kind"], record["key"], record["velocity"] = self.t, kind, key, 100
        record["epoch"] = self.shared.ring(ring).epoch
        for name, value in fields.items():
            record[name] = value
        assert self.shared.ring(ring).push(record) == 1

    def command(self, kind: CommandKind, **fields: float) -> None:
        assert self.shared.ring("commands").push(command(kind, **fields)) == 1

    def stem(self, audio: np.ndarray, offset: int = 0, **fields: float) -> None:
        """Put float32 (2, frames) into the arena and play it as `fields` say."""
        frames = audio.shape[1]
        self.shared.arena[offset : offset + frames] = audio[0]
        self.shared.arena[offset + frames : offset + 2 * frames] = audio[1]
        given = {"frame": self.t, "x": 1.0, "id": 1, "a": offset, "b": frames, **fields}
        self.command(CommandKind.STEM_PLAY, **given)

    def texture(self, player: str, frame: int, audio: np.ndarray, epoch: int = 1) -> None:
        """Push float32 (2, n) as records of its texture ring, meant for `frame`."""
        self._stream(f"texture.{player}", frame, audio, epoch)

    def _stream(self, name: str, frame: int, audio: np.ndarray, epoch: int) -> None:
        ring = self.shared.ring(name)
        records = np.zeros(-(-audio.shape[1] // 128), ring.dtype)
        for i, record in enumerate(records):
            part = audio[:, 128 * i : 128 * (i + 1)]
            record["frame"], record["count"], record["epoch"] = (
                frame + 128 * i,
                part.shape[1],
                epoch,
            )
            record["data"][:, : part.shape[1]] = part
        assert ring.push(records) == len(records)

    def reports(self) -> list[dict[str, int]]:
        """What was reported since the last call."""
        taken = self.shared.ring("reports").pop(8192)
        names = taken.dtype.names or ()
        return [dict(zip(names, row, strict=True)) for row in taken.tolist()]
