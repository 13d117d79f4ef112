"""The picture of a night: what every bus carried, what hands did, what the judge found.

Pure, but for writing the file. See engine/picture.py.
"""

from __future__ import annotations

import collections
import itertools
from pathlib import Path

import numpy as np

from engine.gig.hearing import captures_of, fills_of
from engine.gig.judge import Finding, channels, joined, runs, sounding
from engine.gig.judge_misses import of_a_miss
from engine.gig.night import Night
from engine.gig.players import NightPlayed
from engine.gig.song import PHRASE_BARS, Do, Evening, first_one
from engine.picture import Lane, Mark, Picture, Span, draw

LEVEL_S = 0.1
JOIN_S = 0.6  # sounds nearer than this are drawn as one
DETAILED = (Do.QUEUE, Do.TAP)  # presses that are drawn otherwise, or are too many
NEAR_S = 0.2  # of a bar line
FINDINGS_MOST = 12  # of a kind on a bus
TOGETHER_S = 1.0  # findings of a kind nearer than this are told as one
WORDS = {
    "dry_gap_frames": "the dry sound is gone",
    "clicks": "a click",
    "wrong_bar_entries": "comes in off the bar",
    "silences_over_a_bar": "nothing is heard",
    "level_jumps_over_6db": "the level jumps",
    "ai_sound_between_songs": "sounds between songs",
    "ai_sound_in_standby": "sounds in standby",
    "stuck_notes": "a note hangs",
    "count_in_errors": "the count-in is off",
    "count_in_in_hall": "the hall hears the count-in",
    "scene_errors": "sounds although the scene has it off",
    "dry_late": "sounds after DRY",
    "capture_errors": "not the bars that were captured, or not in their place",
    "fill_errors": "no fill in its bar, or one where none was asked for",
    "stem_place_errors": "does not play what it did a pass ago, or nothing",
    "stem_stray_sound": "sounds where nobody has a stem",
    "stems_off_the_beat": "beside the drummer's beat",
    "cv_errors": "voltages that are wrong",
}
LASTING = ("silences_over_a_bar", "ai_sound_between_songs", "ai_sound_in_standby",
           "stem_place_errors", "stem_stray_sound", "scene_errors")  # fmt: skip


def poster(
    plan: Evening, night: Night, left: NightPlayed, found: list[Finding], path: Path
) -> None:
    """Draw it to a PNG."""
    seconds = night.frames / night.rate
    lanes = [
        Lane("songs", "played", _songs(plan, night), note="as the band plays"),
        *(
            Lane(n, "played", _sounds(p.heard, "", "played", night), note="dry")
            for n, p in night.dry.items()
        ),
        Lane("asked for", "asked", _asked(plan, left), note="picked at the pads"),
        *(Lane(n, "stem", _stems(n, plan, night, left)) for n in night.stems),
        *(Lane(n, "answer", _sounds(b, "", "answer", night)) for n, b in night.answers.items()),
        *(Lane(n, "texture", _sounds(b, "", "texture", night)) for n, b in night.textures.items()),
        *(Lane("gate", "answer", _gate(v.gate, night), note="volts") for v in night.voltages),
    ]
    if night.click is not None:
        lanes.append(Lane("click", "hand", _sounds(night.click, "count-in", "hand", night)))
    lanes += [
        Lane("hands", "hand", [], _hands(left, night)),
        Lane("main", "main", [], [], levels(night.main, night.rate), "heard"),
    ]
    lanes = [_with_faults(lane, found, night) for lane in lanes]
    bars, numbers = _bars(plan, night)
    counted = collections.Counter(f.kind for f in found)
    wrong = ", ".join(f"{n} x {WORDS.get(k, k)}" for k, n in counted.items()) or "nothing"
    title = "segue gig: a night, as other clients heard it"
    subtitle = f"{seconds / 60:.1f} minutes; wrong: {wrong}"
    draw(Picture(title, subtitle, seconds, lanes, bars, PHRASE_BARS, numbers=numbers), path)


def levels(bus: np.ndarray, rate: int) -> np.ndarray:
    """dBFS of each tenth of a second."""
    size = round(LEVEL_S * rate)
    wide = channels(bus)
    power = [
        float(np.mean(np.square(wide[k : k + size], dtype=np.float64)))
        for k in range(0, len(wide) - size + 1, size)
    ]
    return 10.0 * np.log10(np.maximum(power, 1e-12))


def _sounds(bus: np.ndarray, label: str, role: str, night: Night) -> list[Span]:
    active, hop = sounding(bus, night.rate)
    spans = joined(runs(active), round(JOIN_S * night.rate / hop))
    scale = hop / night.rate
    return [Span(a * scale, b * scale, label, role) for a, b in spans]


def _songs(plan: Evening, night: Night) -> list[Span]:
    spans = []
    for song in plan.songs:
        words = f"{song.plan.name}: {song.plan.bars} bars, about {song.plan.bpm:g} BPM"
        spans.append(Span(song.at(0.0) / night.rate, song.end / night.rate, words, "played"))
    for first, last in night.standbys:
        spans.append(Span(first / night.rate, last / night.rate, "standby", "asked"))
    return spans


def _asked(plan: Evening, left: NightPlayed) -> list[Span]:
    """From a press to the phrase it waits for."""
    rate = plan.rate
    waits: dict[int, list[tuple[int, str]]] = {}
    for frame, do, role in left.presses:
        if do is Do.QUEUE:
            song = next(s for s in reversed(plan.songs) if s.frames[0] <= frame)
            one = first_one(song.plan)
            bars = (song.bar_at(frame) - one) // PHRASE_BARS + 1
            waits.setdefault(song.at(one + bars * PHRASE_BARS), []).append((frame, role))
    return [
        Span(min(f for f, _ in asked) / rate, until / rate, ", ".join(r for _, r in asked), "asked")
        for until, asked in waits.items()
    ]


def _stems(name: str, plan: Evening, night: Night, left: NightPlayed) -> list[Span]:
    """What sounded on a bus of stems, cut where hands had another come in; where a capture or fill
    was meant to, the words say so."""
    rate = night.rate
    meant = {c.enters: "captured bars" for c in captures_of(plan, left) if c.bus == name}
    meant |= {f.first: "fill" for f in fills_of(plan, left) if f.bus == name}
    lines = [line for loops in night.loops if loops.bus == name for line in loops.lines]
    meant |= {line: f"stem {k + 1}" for k, line in enumerate(lines) if line not in meant}
    spans = []
    for s in _sounds(night.stems[name], "", "stem", night):
        cuts = [f / rate for f in sorted(meant) if s.start_s + NEAR_S < f / rate < s.end_s - NEAR_S]
        for begin, end in itertools.pairwise([s.start_s, *cuts, s.end_s]):
            words = (w for f, w in meant.items() if abs(f / rate - begin) < NEAR_S)
            spans.append(Span(begin, end, next(words, ""), s.role))
    return spans


def _gate(gate: np.ndarray, night: Night) -> list[Span]:
    spans = joined(runs(gate > 1.0), round(JOIN_S * night.rate))
    return [Span(a / night.rate, b / night.rate, "", "answer") for a, b in spans]


def _hands(left: NightPlayed, night: Night) -> list[Mark]:
    rate = night.rate
    marks = [
        Mark(frame / rate, do.value if role in ("", do.value) else f"{do.value}: {role}", "hand")
        for frame, do, role in left.presses
        if do not in DETAILED
    ]
    return marks + [Mark(f.frame / rate, f"on purpose: {f.name}", "hand") for f in left.faults]


def _with_faults(lane: Lane, found: list[Finding], night: Night) -> Lane:
    """The lane with what was found wrong on its bus: those of a kind within a second are one."""
    marks = list(lane.marks)
    mine = sorted((f for f in found if f.bus == lane.name), key=lambda f: (f.kind, f.frame))
    for kind, of_kind in itertools.groupby(mine, key=lambda f: f.kind):
        groups: list[list[Finding]] = []
        for f in of_kind:
            if groups and f.frame - groups[-1][-1].frame < TOGETHER_S * night.rate:
                groups[-1].append(f)
            else:
                groups.append([f])
        for group in groups[:FINDINGS_MOST]:
            marks.append(Mark(group[0].frame / night.rate, _words(kind, group, night), "fault"))
        if len(groups) > FINDINGS_MOST:
            rest = groups[FINDINGS_MOST:]
            words = f"{WORDS.get(kind, kind)}: {len(rest)} times more, up to the end"
            marks.append(Mark(rest[0][0].frame / night.rate, words, "fault"))
    return Lane(lane.name, lane.role, lane.spans, marks, lane.levels, lane.note)


def _words(kind: str, group: list[Finding], night: Night) -> str:
    """What was found, for people."""
    words = WORDS.get(kind, kind.replace("_", " "))
    if kind in ("clicks", "dry_gap_frames"):
        missed = sum(of_a_miss(night, f.kind, f.frame) for f in group)
        why = "a missed cycle" if missed == len(group) else "segue's own"
        return f"{words} ({why})" if len(group) == 1 else f"{words}, {len(group)} of them ({why})"
    if kind in LASTING:
        return f"{words}, for {sum(f.frames for f in group) / night.rate:.1f} s"
    return words


def _bars(plan: Evening, night: Night) -> tuple[list[float], list[int]]:
    """Seconds of every bar line of the band's, and its number in its song: phrases are counted from
    where a hand says the one is."""
    bars: list[float] = []
    numbers: list[int] = []
    for song in plan.songs:
        lines = [song.at(k) / night.rate for k in range(song.plan.bars + 1)]
        bars += lines
        numbers += [k + 1 - round(first_one(song.plan)) for k in range(len(lines))]
    return bars, numbers
