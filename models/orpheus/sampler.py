"""Sampling that cannot leave the grammar, the bars, the range or the instrument.

Each step computes the output layer for the rows that are legal there and no other; what musical
taste prefers (key, chord) is a bias on those. Times are units of 16 ms (tokens.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from models.orpheus.decoder import Decoder
from models.orpheus.tokens import (
    DELTA_MAX,
    DRUMS,
    DURATION_MAX,
    Event,
    durvel_token,
    pitch_token,
)


class Cancelled(Exception):
    """The caller wants no stem any more."""


@dataclass(frozen=True)
class Rules:
    """start, end: the region to fill (units). bar: units. chords: pitch classes of each bar's
    chord, cyclic. notes_at_once: polyphony at an onset. onsets_per_bar: at most. grid: onsets lie
    on its multiples from start. Biases are in logits."""

    start: int
    end: int
    bar: int
    patch: int
    low: int
    high: int
    notes_at_once: int
    onsets_per_bar: int
    grid: int
    scale: tuple[int, ...]
    chords: tuple[tuple[int, ...], ...]
    scale_bias: float = 4.0
    chord_bias: float = 1.0
    temperature: float = 0.9
    top_p: float = 0.96


@dataclass
class _Rows:
    """Some rows of the output layer: what each means, and its weights."""

    values: np.ndarray
    weight: torch.Tensor


class Sampler:
    """Prepared rows for one instrument and range of one model."""

    def __init__(self, decoder: Decoder, known: list[int] | None, rules: Rules) -> None:
        self.decoder, self.rules = decoder, rules
        have = None if known is None else set(known)

        def rows(tokens: dict[int, int]) -> _Rows:
            kept = [(v, t) for v, t in tokens.items() if have is None or t in have]
            picked = torch.tensor([t for _, t in kept], dtype=torch.long)
            return _Rows(np.array([v for v, _ in kept], dtype=np.int64), decoder.output[picked])

        self.deltas = rows({d: d for d in range(1, DELTA_MAX + 1)})
        self.pitches = rows(
            {k: pitch_token(rules.patch, k) for k in range(rules.low, rules.high + 1)}
        )
        self.lengths = rows(
            {
                8 * d + o: durvel_token(d, o)
                for d in range(max(1, rules.grid // 2), DURATION_MAX + 1)
                for o in range(1, 8)
            }
        )

    def run(
        self,
        prompt: list[int],
        heard_until: int,
        rng: np.random.Generator,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> list[Event]:
        """Events of the region, onsets relative to its start. heard_until: the prompt's last onset.
        Raises Cancelled."""
        r = self.rules
        self.decoder.reset()
        self.decoder.feed(prompt)
        out: list[Event] = []
        at, in_bar = heard_until, 0
        while True:
            base, reachable = self._reachable(at, in_bar)
            if not reachable.any():
                return out
            delta = int(self.deltas.values[self._pick(self._delta_logits(reachable), rng)])
            now = base + delta
            if now >= r.end:
                return out
            in_bar = in_bar + 1 if (now - r.start) // r.bar == (at - r.start) // r.bar else 1
            at = now
            self._hear(delta, cancelled)
            used: set[int] = set()
            more = True
            while more:
                event = self._note(at, used, rng, cancelled)
                out.append(event)
                used.add(event.pitch)
                more = len(used) < r.notes_at_once and self._another(at, in_bar, used, rng)
            progress((at - r.start) / (r.end - r.start))

    def _hear(self, token: int, cancelled: Callable[[], bool]) -> None:
        if cancelled():
            raise Cancelled
        self.decoder.feed([token])

    def _reachable(self, at: int, in_bar: int) -> tuple[int, np.ndarray]:
        """(the time deltas count from, which deltas are legal there): on the grid, within the
        region or past its end, none over a bar away, the next bar when this one is full."""
        r = self.rules
        earliest = max(at + 1, r.start)
        if at >= r.start and in_bar >= r.onsets_per_bar:
            earliest = r.start + ((at - r.start) // r.bar + 1) * r.bar
        base = max(at, earliest - DELTA_MAX)
        onset = base + self.deltas.values
        latest = max(at, r.start - 1) + r.bar
        inside = (onset >= earliest) & (onset <= max(latest, earliest)) & (onset < r.end)
        past = (onset >= r.end) & (at >= r.end - r.bar)
        return base, (inside & ((onset - r.start) % r.grid == 0)) | past

    def _delta_logits(self, legal: np.ndarray) -> np.ndarray:
        logits = self.decoder.logits(self.deltas.weight).numpy().astype(np.float64)
        return np.where(legal, logits, -np.inf)

    def _pitch_logits(self, at: int, used: set[int]) -> np.ndarray:
        r, keys = self.rules, self.pitches.values
        logits = self.decoder.logits(self.pitches.weight).numpy().astype(np.float64)
        if r.patch != DRUMS:
            chord = r.chords[((at - r.start) // r.bar) % len(r.chords)]
            logits += r.chord_bias * np.isin(keys % 12, chord)
            logits -= r.scale_bias * ~np.isin(keys % 12, r.scale)
        return np.where(np.isin(keys, list(used)), -np.inf, logits)

    def _note(
        self, at: int, used: set[int], rng: np.random.Generator, cancelled: Callable[[], bool]
    ) -> Event:
        pitch = int(self.pitches.values[self._pick(self._pitch_logits(at, used), rng)])
        self._hear(pitch_token(self.rules.patch, pitch), cancelled)
        logits = self.decoder.logits(self.lengths.weight).numpy().astype(np.float64)
        duration, octave = divmod(int(self.lengths.values[self._pick(logits, rng)]), 8)
        self._hear(durvel_token(duration, octave), cancelled)
        onset = at - self.rules.start
        return Event(onset, self.rules.patch, pitch, min(duration, self.rules.end - at), octave)

    def _another(self, at: int, in_bar: int, used: set[int], rng: np.random.Generator) -> bool:
        """Whether the model goes on with this onset: the legal pitches against the legal deltas."""
        pitches = self._pitch_logits(at, used)
        deltas = self._delta_logits(self._reachable(at, in_bar)[1])
        if not np.isfinite(pitches).any():
            return False
        return self._pick(np.concatenate((pitches, deltas)), rng) < len(pitches)

    def _pick(self, logits: np.ndarray, rng: np.random.Generator) -> int:
        """An index by temperature and nucleus sampling."""
        scaled = (logits - logits.max()) / self.rules.temperature
        p = np.exp(scaled)
        p /= p.sum()
        order = np.argsort(-p, kind="stable")
        total = np.cumsum(p[order])
        kept = order[: int(np.searchsorted(total, self.rules.top_p)) + 1]
        weights = np.cumsum(p[kept])
        return int(kept[np.searchsorted(weights, rng.random() * weights[-1], side="right")])
