"""From what independent clients captured and what people did to what the judge hears. Pure."""

from __future__ import annotations

import math

import numpy as np

from engine.bench.native import Recording
from engine.gig.night import Captured, DryPath, Fill, Loops, Night, Song, Span, Voltages
from engine.gig.players import NightPlayed
from engine.gig.song import (
    BEATS_PER_BAR,
    CAPTURED_BARS,
    FADE_BARS,
    PHRASE_BARS,
    TAIL_S,
    Do,
    Evening,
    Truth,
    first_one,
    scene_bar,
)

STANDBY_S = 1.8  # standby has silenced everything so long after a song's end: its fade, and tails
SCENE_S = 1.5  # after a scene's bar line: its glide, and what a texture still had to say
EARLY_BEATS = 0.25  # a press so long before a bar line means the bar that is ending
READY_S = 0.4  # what is asked for so shortly before its boundary may come at the next
DELAY_MAX = 4096  # frames between a dry input and its output
EXCUSED_PERIODS = 3  # a missed cycle is heard one period later, and as much again at its end
FULL_SCALE = 10.0  # volts, of the voltages in patches/gig.yaml
CAPTURED = (
    "left",
    "right",
    "drums",
    "bass",
    "answers",
    "textures",
    "trombone",
    "click",
    "loops",
    "fills",
    "pitch",
    "gate",
    "chords",
    "percussion",
)
STEMS = {"bass": 4, "chords": 4, "percussion": 4, "loops": CAPTURED_BARS}  # bars of a pass
SKIPPED = (
    "songs of several patches (one patch has all three)",
    "screen and OSC",
    "foot-switches and MIDI learn",
    "audio killed, JACK killed, devices unplugged in the night",
)


def measure_delay(played: np.ndarray, heard: np.ndarray, near: int, rate: int) -> int:
    """Frames by which `heard` follows `played`, from the second after frame `near`."""
    part = played[near : near + rate].astype(np.float64)
    after = heard[near : near + rate + DELAY_MAX].astype(np.float64)
    size = 1 << int(np.ceil(np.log2(len(part) + len(after))))
    spectrum = np.conj(np.fft.rfft(part, size)) * np.fft.rfft(after, size)
    return int(np.argmax(np.fft.irfft(spectrum, size)[:DELAY_MAX]))


def excused_spans(recordings: list[Recording], first: int) -> list[Span]:
    """Where a client that owes segue nothing missed cycles too, in the night's frames."""
    spans: list[Span] = []
    for recording in recordings:
        reach = EXCUSED_PERIODS * recording.block
        spans += [(int(f) - first, int(f) - first + reach) for f in recording.missed()]
        spans += [(f - first, f - first + n + reach) for f, n in recording.gaps()]
    return sorted(spans)


def night_of(
    plan: Evening, played: np.ndarray, heard: Recording, native: Recording, first: int,
    left: NightPlayed,
) -> Night:  # fmt: skip
    """What the judge hears. played: what the inputs carried, (frames, 2). first: JACK's frame of
    the night's first."""
    captured = heard.between(first, first + plan.frames)
    bus = {name: captured[:, k] for k, name in enumerate(CAPTURED)}
    delay = measure_delay(played[:, 0], bus["drums"], plan.songs[0].at(4.0), plan.rate)
    dry = {
        name: DryPath(played[:, k], bus[name], 1.0, delay)
        for k, name in enumerate(("drums", "trombone"))
    }
    songs = [
        Song(
            name=song.plan.name,
            first=int(song.frames[0]),
            last=song.at(song.plan.bars + 0.25),
            beats=song.beats,
            tail=round(TAIL_S * plan.rate),
        )
        for song in plan.songs
    ]
    return Night(
        rate=plan.rate,
        start=first,
        songs=songs,
        main=captured[:, :2],
        dry=dry,
        stems={name: bus[name] for name in (*STEMS, "fills")},
        answers={"answers": bus["answers"]},
        textures={"textures": bus["textures"]},
        notes={"answers": np.array(left.notes, np.int64)},
        faults=left.faults,
        excused=excused_spans([heard, native], first),
        skipped=SKIPPED,
        click=bus["click"],
        count_ins=[(s.at(-1.0), s.at(0.0)) for s in plan.songs if s.plan.count_in],
        standbys=_standbys(plan, left),
        muted={"textures": [_without_texture(plan)]},
        dries=_dries(left),
        captures=captures_of(plan, left),
        loops=loops_of(plan, left),
        fills=fills_of(plan, left),
        missed=[f - first for m in left.misses for f in m.frames],
        block=heard.block,
        voltages=[Voltages("answers", FULL_SCALE * bus["pitch"], FULL_SCALE * bus["gate"])],
    )


def _standbys(plan: Evening, left: NightPlayed) -> list[Span]:
    """From the end of a song, once its fade is over, until a hand leaves standby."""
    quiet = round(STANDBY_S * plan.rate)
    until = [*left.begun, plan.frames]
    return [(song.end + quiet, end) for song, end in zip(plan.songs, until, strict=True)]


def _without_texture(plan: Evening) -> Span:
    """The first song's second scene."""
    song = plan.songs[0]
    return song.at(scene_bar(song.plan.bars)) + round(SCENE_S * plan.rate), song.end


def _dries(left: NightPlayed) -> list[Span]:
    pressed = left.pressed(Do.DRY)
    return list(zip(pressed[::2], pressed[1::2], strict=False))


def _song_at(plan: Evening, frame: int) -> Truth:
    return next(s for s in reversed(plan.songs) if s.frames[0] <= frame)


def _phrase_after(song: Truth, frame: int) -> int:
    """The bar of the first phrase line after a frame."""
    one = first_one(song.plan)
    phrases = math.floor((song.bar_at(frame) - one) / PHRASE_BARS) + 1
    return round(one + phrases * PHRASE_BARS)


def captures_of(plan: Evening, left: NightPlayed) -> list[Captured]:
    """What a hand meant by CAPTURE: the bars that were over (or nearly), at the next phrase."""
    found = []
    for frame in left.pressed(Do.CAPTURE):
        song = _song_at(plan, frame)
        last = math.floor(song.bar_at(frame) + EARLY_BEATS / BEATS_PER_BAR)
        enters = _phrase_after(song, frame + round(READY_S * plan.rate))
        first = song.at(last - CAPTURED_BARS)
        found.append(Captured("trombone", "loops", first, song.at(last), song.at(enters)))
    return found


def loops_of(plan: Evening, left: NightPlayed) -> list[Loops]:
    """Which stems hands had come in: each at the phrase after its press, until the next of its
    role, a press that stops it or the song's end."""
    found = []
    soon = round(READY_S * plan.rate)
    dries = [(first, last + soon) for first, last in _dries(left)]
    fills = [(fill.first, fill.last + soon) for fill in fills_of(plan, left)]
    for song in plan.songs:
        begin, end = int(song.frames[0]), song.end
        if song is plan.songs[-1]:
            end = song.at(song.plan.bars - FADE_BARS)
        pressed = [press for press in left.presses if begin <= press[0] < song.end]
        for role, bars in STEMS.items():
            asked = Do.CAPTURE if role == "loops" else Do.QUEUE
            mine = [f for f, do, r in pressed if do is asked and r == role]
            stops = [f for f, do, r in pressed if do is Do.STOP and r == role]
            until = min([end, *(song.at(_phrase_after(song, f)) for f in stops)])
            # what is asked for just before a line may come at that one or the next
            early = [song.at(_phrase_after(song, f)) for f in mine]
            lines = [song.at(_phrase_after(song, f + soon)) for f in mine]
            entered = tuple(sorted({line for line in lines if line < until}))
            hidden = [*dries, *(fills if role == "percussion" else [])]
            hidden += [(a, b) for a, b in zip(early, lines, strict=True) if a < b]
            if entered:
                struck = role == "percussion"
                beats = bars * BEATS_PER_BAR
                gone = song.end if until == end else until  # a fade is heard until the end
                found.append(
                    Loops(role, song.plan.name, beats, entered, until, tuple(hidden), struck, gone)
                )
    return found


def fills_of(plan: Evening, left: NightPlayed) -> list[Fill]:
    """A fill that was pressed is a phrase's last bar; one that ends a song is its last."""
    found = []
    for frame in left.pressed(Do.FILL):
        song = _song_at(plan, frame)
        bar_later = song.at(song.bar_at(frame) + 1.0) + round(READY_S * plan.rate)
        until = _phrase_after(song, bar_later)
        found.append(Fill("fills", song.at(until - 1), song.at(until)))
    endings = [song for song in plan.songs if song.plan.ends_with_fill]
    return found + [Fill("fills", s.at(s.plan.bars - 1), s.end) for s in endings]
