"""What a rehearsal is judged by: the captured outputs, and what hands were told. See
engine/gig/rehearsal.py. Pure, but for drawing the picture."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine import sound_check
from engine.gig.judge import (
    find_main_clicks,
    find_silences,
    joined,
    runs,
    sounding,
)
from engine.gig.judge_misses import of_a_miss
from engine.gig.judge_songs import CLICK_SECONDS, struck
from engine.gig.night import DryPath, Night, Span
from engine.gig.night import Song as Sung
from engine.gig.poster import levels
from engine.gig.rehearsal_plan import RATE, Part, Rehearsed
from engine.patch import PERFORMER, Patch
from engine.patch_cv import Cv
from engine.picture import Lane, Mark, Picture, draw
from engine.picture import Span as Drawn

SILENCE = 1e-3  # -60 dBFS
RING_S = 7.0  # after a song's end: reverb, tails, the last keys
PEAK_DB = 0.0
QUIET_LUFS, LOUD_LUFS = -36.0, -9.0  # of a song; beyond them somebody has to reach for a fader
VOLTS_OFF = 0.02
SOON_S = 0.1  # a key that is struck is heard within this
ACCEPTED = {  # how a hand is answered that gets what it wants
    "standby": ("standby", "on"),
    "song": ("begins when",),
    "this_is_one": ("one",),
    "let_in": ("let in",),
    "next_scene": ("at the", "one scene"),
    "capture": ("capturing",),
    "end": ("fades", "ends"),
}


@dataclass(frozen=True)
class Heard:
    """played: what went into segue's inputs; captured: every output channel; both (frames,
    channels), from frame `first` of the server on. events: the log. excused: spans that other
    clients missed too; missed: first frames of cycles that segue says it missed, in the captures'
    frames; block: frames of a period."""

    patch: Patch
    parts: list[Part]
    played: np.ndarray
    captured: np.ndarray
    done: Rehearsed
    events: list[dict[str, Any]]
    first: int
    excused: list[Span]
    missed: list[int] = field(default_factory=list)
    block: int = 128

    def bus(self, name: str) -> np.ndarray | None:
        """What a bus's channels carried, (frames, n)."""
        output = self.patch.outputs.get(name)
        return None if output is None else self.captured[:, [int(c) - 1 for c in output.channels]]

    def volts(self, cv: Cv) -> np.ndarray:
        scale = cv.volts_full_scale * cv.polarity
        return scale * self.captured[:, int(cv.channel) - 1] - cv.offset_volts

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["event"] in kinds]

    def night(self) -> Night:
        """As engine/gig/judge.py hears one."""
        main = self.bus("main")
        assert main is not None
        beats = [
            np.array([p.at(b / p.song.beats_per_bar) for b in range(p.beats + 1)])
            for p in self.parts
        ]
        songs = [
            Sung(p.song.name, p.one, p.end, b, p.song.beats_per_bar)
            for p, b in zip(self.parts, beats, strict=True)
        ]
        lines = {name: self.played[:, k] for name, k in self.lines().items()}
        dry = {name: DryPath(line, line) for name, line in lines.items()}
        return Night(
            RATE, self.first, songs, main, dry,
            excused=self.excused, missed=self.missed, block=self.block,
        )  # fmt: skip

    def lines(self) -> dict[str, int]:
        """Columns of `played` that carry an input's sound, by its name."""
        return {
            name: int(i.channel) - 1
            for name, i in self.patch.inputs.items()
            if i.stream != PERFORMER and i.channel is not None
        }

    def draw(self, path: Path, facts: dict[str, Any]) -> None:
        """A PNG of it."""
        seconds = len(self.captured) / RATE
        lanes = [
            Lane("songs", "played", [
                Drawn(p.one / RATE, p.end / RATE, f"{p.song.name}: {p.bars} bars", "played")
                for p in self.parts
            ]),
            *(
                Lane(name, "played", _sounds(self.played[:, k : k + 1], "played"), note="input")
                for name, k in self.lines().items()
            ),
            *(Lane(role, "stem", self.stems(role), note="stems") for role in self.patch.roles),
            *(
                Lane(name, "main", [], [], levels(bus, RATE))
                for name in self.patch.outputs
                if (bus := self.bus(name)) is not None
            ),
            Lane("hands", "hand", [], self._hands()),
            *(
                Lane(name, "answer", _sounds(self.volts(cv) / 10.0, "answer"), note="volts")
                for name, cv in self.patch.cv.items()
            ),
        ]  # fmt: skip
        bars = [p.at(k) / RATE for p in self.parts for k in range(p.bars + 1)]
        numbers = [k + 1 for p in self.parts for k in range(p.bars + 1)]
        wrong = "; ".join(facts["wrong"]) or "nothing wrong"
        title = f"segue gig: {self.patch.name}, from end to end"
        phrase = self.parts[0].song.bars_per_phrase
        draw(Picture(title, wrong, seconds, lanes, bars, phrase, numbers=numbers), path)

    def stems(self, role: str) -> list[Drawn]:
        """From the log: what started and ended."""
        ids = {e["id"] for e in self.of("stem") if e["role"] == role}
        spans, begun = [], {}
        for e in self.of("stem_started", "stem_ended"):
            at = min(max((e["frame"] - self.first) / RATE, 0.0), len(self.captured) / RATE)
            if e["id"] in ids and e["event"] == "stem_started":
                begun[e["id"]] = at
            elif e["id"] in begun:
                spans.append(Drawn(begun.pop(e["id"]), at, f"stem {e['id']}", "stem"))
        end = len(self.captured) / RATE
        return spans + [Drawn(at, end, f"stem {k}", "stem") for k, at in begun.items()]

    def _hands(self) -> list[Mark]:
        return [Mark(f / RATE, f"{name}: {said}", "hand") for f, name, said in self.done.said]


def _sounds(bus: np.ndarray, role: str) -> list[Drawn]:
    active, hop = sounding(bus, RATE)
    spans = joined(runs(active), round(0.6 * RATE / hop))
    return [Drawn(a * hop / RATE, b * hop / RATE, "", role) for a, b in spans]


def judge_rehearsal(heard: Heard) -> dict[str, Any]:
    """{patch, minutes, songs, stems, answers, wrong}."""
    night = heard.night()
    wrong = [*_refused(heard), *_lost(heard), *_levels(heard)]
    wrong += _silences(heard, night)
    clicks = find_main_clicks(night)
    own = [f for f in clicks if not of_a_miss(night, f.kind, f.frame)]
    wrong += [f"{f.frame / RATE:.3f} s: a click" for f in own[:12]]
    wrong += [*_standbys(heard, night), *_count_ins(heard), *_voltages(heard)]
    stems = collections.Counter(
        next((s["role"] for s in heard.of("stem") if s["id"] == e["id"]), "?")
        for e in heard.of("stem_started")
    )
    for role, r in heard.patch.roles.items():
        if r.play == "loop" and r.maker != "capture" and not stems[role]:
            wrong.append(f"no stem of {role} was heard")
    answers = len(heard.of("note_on"))
    if heard.patch.players and heard.patch.midi and not answers:
        wrong.append("nothing answered the keys")
    return {
        "patch": heard.patch.name,
        "minutes": round(len(heard.captured) / RATE / 60.0, 2),
        "songs": {p.song.name: _song(heard, p) for p in heard.parts},
        "stems": dict(stems),
        "notes": answers,
        "clicks": len(clicks),
        "clicks_of_our_own": len(own),
        "wrong": wrong,
    }


def _silences(heard: Heard, night: Night) -> list[str]:
    """More than a bar of nothing in the hall although somebody plays what it ought to hear, on an
    input or the keys, or a stem is meant to sound."""
    patch, found = heard.patch, []
    lines = [k for name, k in heard.lines().items() if "main" in patch.inputs[name].to]
    voices = [m.voice for m in patch.midi.values() if m.voice]
    keyed = any("main" in patch.voices[v].to for v in voices if v in patch.voices)
    roles = [name for name, role in patch.roles.items() if "main" in role.to]
    stems = [(s.start_s * RATE, s.end_s * RATE) for role in roles for s in heard.stems(role)]
    for f in find_silences(night):
        first, last = f.frame, f.frame + f.frames
        played = any(np.mean(np.abs(heard.played[first:last, k]) > SILENCE) > 0.1 for k in lines)
        notes = keyed and any(first <= n < last - SOON_S * RATE for n in heard.done.notes)
        stem = any(min(b, last) - max(a, first) > f.frames / 2 for a, b in stems)
        if played or notes or stem:
            found.append(f"{first / RATE:.1f} s: {f.frames / RATE:.1f} s of silence")
    return found


def _song(heard: Heard, part: Part) -> dict[str, Any]:
    main = heard.bus("main")
    assert main is not None
    sound = sound_check.check(main[part.one : part.end].T, RATE).to_dict()
    return {"bars": part.bars, "lufs": sound["lufs"], "true_peak_db": sound["true_peak_db"]}


def _levels(heard: Heard) -> list[str]:
    found = []
    for part in heard.parts:
        facts = _song(heard, part)
        lufs, peak = facts["lufs"], facts["true_peak_db"]
        if lufs is None or not QUIET_LUFS < lufs < LOUD_LUFS:
            found.append(f"{part.song.name}: {lufs} LUFS")
        if peak is not None and peak > PEAK_DB:
            found.append(f"{part.song.name}: {peak:.1f} dBTP")
    return found


def _refused(heard: Heard) -> list[str]:
    return [
        f"{frame / RATE:.1f} s: {name}: {said}"
        for frame, name, said in heard.done.said
        if not any(words in said for words in ACCEPTED.get(name, ("",)))
    ]


def _lost(heard: Heard) -> list[str]:
    """Stems that came to nothing, by their reasons."""
    failed = collections.Counter(
        f"{e['role']} failed: {e['reason']}"
        for e in heard.of("stem")
        if e["state"] == "failed"  # rejected: made for another song or tempo
    )
    return [f"{n} stems of {why}" for why, n in failed.items()]


def _standbys(heard: Heard, night: Night) -> list[str]:
    """Nobody plays between two songs: from RING_S after an end on, every speaker is silent."""
    found = []
    until = [*heard.done.left[1:], len(heard.captured)]
    for part, last in zip(heard.parts, until, strict=True):
        first = part.end + round(RING_S * RATE)
        for name in heard.patch.outputs:
            bus = heard.bus(name)
            if bus is not None and np.abs(bus[first:last]).max(initial=0.0) > SILENCE:
                found.append(f"{name} sounds in standby after {part.song.name}")
    return found


def _count_ins(heard: Heard) -> list[str]:
    """One click a beat on the click bus, and nothing on main."""
    found = []
    click, main = heard.bus("click"), heard.bus("main")
    assert main is not None
    for part in heard.parts:
        if not part.song.count_in or click is None:
            continue
        near = round(CLICK_SECONDS * RATE)
        first, last = part.counted - near, part.one - near
        times = struck(np.abs(click[first:last]).max(axis=1), RATE)
        beats = part.song.count_in * part.song.beats_per_bar
        meant = near + np.arange(beats) * part.bar_frames / part.song.beats_per_bar
        if len(times) != beats or np.abs(times - meant).max() > near:
            found.append(f"{part.song.name}: {len(times)} clicks count {beats} beats in")
        if np.abs(main[first:last]).max() > SILENCE:
            found.append(f"{part.song.name}: the hall hears its count-in")
    return found


def _voltages(heard: Heard) -> list[str]:
    """Gates are down at the end; a clock has its pulses; run is up while songs last."""
    found = []
    excused = heard.night().excused_mask()
    for name, cv in heard.patch.cv.items():
        volts = heard.volts(cv)
        if cv.kind in ("gate", "trigger") and np.abs(volts[-RATE:]).max() > VOLTS_OFF:
            found.append(f"{name} is up at the end")
        for part in heard.parts if cv.kind in ("clock", "run") else ():
            inside = volts[part.at(1.0) : part.end] > cv.gate_volts / 2
            if cv.kind == "run" and not (inside | excused[part.at(1.0) : part.end]).all():
                found.append(f"{part.song.name}: {name} falls")
            if cv.kind == "clock":
                pulses = int(np.sum(np.diff(inside.astype(np.int8)) > 0))
                meant = cv.ppqn * part.song.beats_per_bar * (part.bars - 1)
                if abs(pulses - meant) > 1 and not excused[part.at(1.0) : part.end].any():
                    found.append(f"{part.song.name}: {name} has {pulses} pulses, not {meant}")
    return found
