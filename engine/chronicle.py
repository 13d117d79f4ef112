"""From a performance's log to the picture of it (engine/picture.py): what sounded when, and why.

events: the conductor's log lines. levels: float32 (frames,) or (frames, 2) by source name; sources
without one are drawn from their events alone.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.patch import Patch
from engine.picture import Lane, Mark, Picture, Span
from engine.session import section_of

WINDOW_S = 0.1
WINDOWS_AT_ONCE = 256
AUDIBLE_DB = -50.0
JOIN_S = 0.6  # sounds nearer than this are drawn as one
HANDS = ("this_is_one", "tap", "let_in", "next", "regenerate", "tempo_up", "tempo_down")


@dataclass(frozen=True)
class Chronicle:
    """first: the frame that is second 0 of the picture; frames: how many it shows. bars: the frames
    of all bar lines, in order (even_bars, where the tempo stands)."""

    patch: Patch
    events: list[dict[str, Any]]
    levels: dict[str, np.ndarray]
    rate: int
    first: int
    frames: int
    bars: list[int]

    def picture(self, title: str, subtitle: str) -> Picture:
        seconds = self.frames / self.rate
        lanes = [
            *self._inputs(),
            *self._voices(),
            *self._textures(),
            *self._roles(),
            Lane("main", "main", self._faults(), self._hands(), self._db("main"), "what leaves"),
        ]
        return Picture(title, subtitle, seconds, lanes, self._bars(), self._bars_per_phrase())

    def _s(self, frame: int) -> float:
        return min(max(0.0, (frame - self.first) / self.rate), self.frames / self.rate)

    def _bars_per_phrase(self) -> int:
        return self.patch.clock.bars_per_phrase

    def _bars(self) -> list[float]:
        """Seconds of every bar line in the picture."""
        last = self.first + self.frames
        return [(bar - self.first) / self.rate for bar in self.bars if self.first <= bar <= last]

    def _bar_of(self, frame: int) -> int:
        """Counted from 1, the first bar line's."""
        return bisect_right(self.bars, frame)

    def _db(self, source: str) -> np.ndarray | None:
        audio = self.levels.get(source)
        if audio is None:
            return None
        window = round(WINDOW_S * self.rate)
        count = len(audio) // window
        power = np.zeros(count)
        for at in range(0, count, WINDOWS_AT_ONCE):  # a night does not fit the memory
            some = audio[at * window : min(count, at + WINDOWS_AT_ONCE) * window]
            mono = some if some.ndim == 1 else some.mean(axis=1)
            rows = mono.reshape(-1, window).astype(np.float64)
            power[at : at + len(rows)] = np.mean(rows**2, axis=1)
        return 20 * np.log10(np.maximum(np.sqrt(power), 1e-9))

    def _audible(self, source: str, label: str, role: str) -> list[Span]:
        levels = self._db(source)
        spans: list[Span] = []
        for i, level in enumerate([] if levels is None else levels):
            if level < AUDIBLE_DB:
                continue
            start, end = i * WINDOW_S, (i + 1) * WINDOW_S
            if spans and start - spans[-1].end_s < JOIN_S:
                spans[-1] = Span(spans[-1].start_s, end, label, role)
            else:
                spans.append(Span(start, end, label, role))
        return spans

    def _inputs(self) -> list[Lane]:
        return [
            Lane(n, "played", self._audible(f"input.{n}", "", "played"), [], None, "audio input")
            for n in self.patch.inputs
        ]

    def _voices(self) -> list[Lane]:
        lanes = []
        for i, name in enumerate(self.patch.voices):
            player = next((p for p, x in self.patch.players.items() if x.voice == name), None)
            role = "answer" if player else "played"
            spans = self._note_spans(i, role)
            if spans:
                note = f"{self.patch.players[player].model} answers" if player else "MIDI"
                lanes.append(Lane(name, role, spans, [], None, note))
        return lanes

    def _note_spans(self, voice: int, role: str) -> list[Span]:
        spans: list[Span] = []
        held: dict[int, int] = {}
        for e in self.events:
            if e.get("slot") != voice:
                continue
            if e["event"] == "note_on":
                held.setdefault(e["a"], e["frame"])
            elif e["event"] == "note_off" and e["a"] in held:
                start, end = self._s(held.pop(e["a"])), self._s(e["frame"])
                if spans and start - spans[-1].end_s < JOIN_S:
                    first = min(spans[-1].start_s, start)
                    spans[-1] = Span(first, max(spans[-1].end_s, end), "", role)
                else:
                    spans.append(Span(start, end, "", role))
        return spans

    def _textures(self) -> list[Lane]:
        return [
            Lane(
                n,
                "texture",
                self._audible(f"texture.{n}", "", "texture"),
                [],
                None,
                f"{p.model} from {p.listens}",
            )
            for n, p in self.patch.players.items()
            if p.to
        ]

    def _roles(self) -> list[Lane]:
        lanes = []
        for role in self.patch.roles:
            rows = [e for e in self.events if e["event"] == "stem" and e["role"] == role]
            asked = [
                e for e in self.events if e["event"] == "act" and e["role"] == role
                and e["name"] in ("enter", "queue_stem")
            ]  # fmt: skip
            spans, marks = self._stem_spans(rows, asked)
            lanes.append(Lane(role, "stem", spans, marks, None, self.patch.roles[role].maker))
        return lanes

    def _stem_spans(
        self, rows: list[dict[str, Any]], asked: list[dict[str, Any]]
    ) -> tuple[list[Span], list[Mark]]:
        spans: list[Span] = []
        marks: list[Mark] = []
        open_: dict[int, dict[str, Any]] = {}
        for e in rows:
            if e["state"] == "playing":
                open_[e["id"]] = e
                why = [a for a in asked if a["frame"] <= e["frame"]]
                if why:
                    spans.append(Span(self._s(why[-1]["frame"]), self._s(e["frame"]), "", "asked"))
                    bar = self._bar_of(why[-1]["frame"])
                    text = f"asked for in bar {bar}, enters at the next phrase"
                    marks.append(Mark(self._s(e["frame"]), text, "stem"))
            elif e["state"] == "done" and e["id"] in open_:
                begun = open_.pop(e["id"])
                label = f"#{e['id']} by {begun['maker'] or 'unknown'}"
                spans.append(Span(self._s(begun["frame"]), self._s(e["frame"]), label, "stem"))
            elif e["state"] in ("failed", "late"):
                marks.append(Mark(self._s(e["frame"]), f"{e['role']} #{e['id']} {e['state']}",
                                  "fault"))  # fmt: skip
        for e in open_.values():
            end = self.frames / self.rate
            spans.append(Span(self._s(e["frame"]), end, f"#{e['id']} by {e['maker']}", "stem"))
        return spans, marks

    def _faults(self) -> list[Span]:
        return [
            Span(self._s(e["frame"]), self._s(e["frame"] + e["a"]), "gap", "fault")
            for e in self.events
            if e["event"] == "gap" and e["a"] > 0.02 * self.rate
        ]

    def _hands(self) -> list[Mark]:
        marks = [
            Mark(self._s(e["frame"]), f"{e['name'].replace('_', ' ')}: {e['said']}", "hand")
            for e in self.events
            if e["event"] == "act" and e["name"] in HANDS
        ]
        for e in self.events:
            section = section_of(e)
            if section is not None:
                marks.append(Mark(self._s(e["frame"]), section, "hand"))
            elif e["event"] == "dry":
                marks.append(Mark(self._s(e["frame"]), "DRY on" if e["slot"] else "DRY off",
                                  "hand"))  # fmt: skip
            elif e["event"] == "panic":
                marks.append(Mark(self._s(e["frame"]), "panic", "hand"))
        return marks


def even_bars(patch: Patch, start: int, end: int, rate: float) -> list[int]:
    """The frames of the bar lines of a piece that begins at `start`, at the patch's tempo."""
    bar = patch.clock.beats_per_bar * 60.0 / patch.clock.bpm * rate
    return [round(start + i * bar) for i in range(max(0, int((end - start) / bar) + 1))]
