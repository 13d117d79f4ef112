"""The inputs of a recorded performance, block by block, for its replay. Not real-time safe."""

from __future__ import annotations

import numpy as np

from engine.layout import BLOCK_FRAMES
from engine.mixer import linear
from engine.patch import Patch
from engine.session import Session
from engine.tracks import tracks_of

WINDOW = 1 << 16  # frames held at a time


def voltages_of(patch: Patch) -> list[str]:
    """What comes in as a voltage, from the device: those are on tape."""
    return [n for n, c in patch.cv_in.items() if c.channel is not None]


def _as_heard(audio: np.ndarray, trim_db: float) -> np.ndarray:
    """A texture as the tape of an input holds it that it streams to: (frames, 1)."""
    mono = np.float32(linear(trim_db)) * np.float32(0.5) * (audio[:, :1] + audio[:, 1:])
    return mono.astype(">f4")


class Tape:
    """What came in, from the tracks: zeros where there is nothing. Blocks are asked for in the
    order in which they were played: one whose frames had been finds what came with it then.
    others: by player, what to take for its texture instead (engine/replay.py's Edit)."""

    def __init__(self, session: Session, others: dict[str, np.ndarray] | None = None) -> None:
        patch, tracks = session.patch, dict(session.tracks)
        for name, audio in (others or {}).items():
            tracks[f"texture.{name}"] = np.asarray(audio, ">f4")
            for listener, source in patch.inputs.items():
                if source.stream == name:  # it hears both sides, halved (engine/kernel.c)
                    tracks[f"input.{listener}"] = _as_heard(audio, source.trim_db)
        names = [f"input.{n}" for n in patch.inputs]
        names += [f"cv_in.{n}" for n in voltages_of(patch)]
        textures = [f"texture.{n}" for n, p in patch.players.items() if p.to]
        kept = session.tracks
        edited = {n for n in (*names, *textures) if tracks.get(n) is not kept.get(n)}
        self._inputs = [tracks.get(n) for n in names]
        self._textures = [tracks.get(n) for n in textures]
        places: dict[str, int] = {}
        self._rows = 0
        for track in tracks_of(session.patch):
            places[track.name] = self._rows
            self._rows += track.channels
        self._in_rows = [(i, places[n]) for i, n in enumerate(names) if n not in edited]
        self._tex_rows = [(i, places[n]) for i, n in enumerate(textures) if n not in edited]
        self._first = session.first_frame
        self._from = self._until = 0
        self._in = np.zeros((0, len(names)), np.float32)
        self._tex = np.zeros((0, len(textures), 2), np.float32)
        self._next = session.first_frame
        self._again: dict[int, list[np.ndarray]] = {}
        for record in session.again:
            self._again.setdefault(int(record["frame"]), []).append(record["data"])

    def at(self, t: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Inputs (n, inputs) and textures (n, textures, 2) of frames [t, t+n); and for a block that
        came again all its tracks' rows (channels, n), NaN where they were not kept, else None."""
        if not (self._from <= t and t + n <= self._until):
            self._wind(t, n)
        a = t - self._from
        inputs, textures = self._in[a : a + n], self._tex[a : a + n]
        if t >= self._next:
            self._next = t + n
            return inputs, textures, None
        return self._come_again(t, inputs.copy(), textures.copy())

    def _come_again(
        self, t: int, inputs: np.ndarray, textures: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n = len(inputs)
        rows = np.full((self._rows, n), np.nan, np.float32)
        for a in range(0, n, BLOCK_FRAMES):
            kept = self._again.get(t + a)
            b = min(a + BLOCK_FRAMES, n)
            if not kept or t + a >= self._next:
                continue
            rows[:, a:b] = kept.pop(0)[:, : b - a]
            for i, row in self._in_rows:
                inputs[a:b, i] = rows[row, a:b]
            for i, row in self._tex_rows:
                textures[a:b, i] = rows[row : row + 2, a:b].T
        self._next = max(self._next, t + n)
        return inputs, textures, rows

    def _wind(self, t: int, n: int) -> None:
        frames = max(n, WINDOW)
        self._from, self._until = t, t + frames
        self._in = np.zeros((frames, max(1, len(self._inputs))), np.float32)
        self._tex = np.zeros((frames, len(self._textures), 2), np.float32)
        for i, audio in enumerate(self._inputs):
            self._copy(audio, self._in[:, i : i + 1])
        for i, audio in enumerate(self._textures):
            self._copy(audio, self._tex[:, i])

    def _copy(self, audio: np.ndarray | None, to: np.ndarray) -> None:
        a = self._from - self._first
        if audio is None or a < 0:
            return
        piece = audio[a : a + len(to)]
        # by bits, so that nothing in it is changed on the way
        to.view(np.uint32)[: len(piece)] = piece.view(">u4")
