"""`segue gig`: a night live over JACK, judged from what independent clients captured.

Three songs of one patch, played by the real command without a restart; drummer, trombone, keyboard
and the hands at the pads are other JACK clients. The judge hears the captures of the
client that stands in for the interface; of segue itself only its missed cycles are read.
"""

from __future__ import annotations

import functools
import itertools
import json
import logging
import os
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from devices.launchpad.layout import ActionKind
from engine.bench.native import Recording
from engine.gig.band import play
from engine.gig.hands import HandsError, call, stop_button, transport_pad
from engine.gig.judge import find_all, judge
from engine.gig.night import DryPath, Fault, Night, Song, Span
from engine.gig.song import TAIL_S, Cue, Do, Evening, SongPlan, Truth, evening, scene_bar
from engine.gig.stage import PATCHES, GigError, Missed, Segue, Stage, wait_to
from engine.patch import Patch
from engine.patch_load import load_patch
from engine.soundfont import find_soundfont
from engine.stem_queue import LATEST_S

__all__ = ["GigError", "run_gig"]

RATE = 48000
PATCH = "gig"
HAND_S = 0.006  # standard deviation of a press
GO_S = LATEST_S + 0.004  # a count-in begins so long after standby is left, the press's way included
STANDBY_S = 1.8  # standby has silenced everything so long after a song's end: its fade, and tails
SCENE_S = 1.5  # after a scene's bar line: its glide, and what a texture still had to say
LOOK_BARS = 3.0  # a hand waits so long for a stem to be ready
CHECK_EVERY_S = 1.0
DELAY_MAX = 4096  # frames between a dry input and its output
EXCUSED_PERIODS = 3  # a missed cycle is heard one period later, and as much again at its end
CAPTURED = ("left", "right", "drums", "stems", "answers", "textures", "trombone", "click")
SKIPPED = (
    "songs of several patches (one patch has all three)",
    "fills",
    "capture and replay on stage",
    "screen and OSC",
    "foot-switch learn",
    "CV under the judge",
    "audio killed, JACK killed, devices unplugged in the night",
)
PADS = {
    Do.ONE: ActionKind.THIS_IS_ONE,
    Do.TAP: ActionKind.TAP,
    Do.LET_IN: ActionKind.LET_IN,
    Do.DRY: ActionKind.DRY,
    Do.SCENE: ActionKind.NEXT_SCENE,
    Do.SONG: ActionKind.NEXT_SONG,
    Do.STANDBY: ActionKind.STANDBY,
    Do.END: ActionKind.END,
}
log = logging.getLogger("segue.gig")


@dataclass
class Happening:
    """Something that is to be done at a frame of the night."""

    frame: int
    do: Callable[[], None]


@dataclass
class NightPlayed:
    """What the night left beside the captures."""

    notes: list[int] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)  # frames at which standby was left
    faults: list[Fault] = field(default_factory=list)
    missed_cues: list[str] = field(default_factory=list)
    misses: list[Missed] = field(default_factory=list)


class Players:
    """Plays an evening on a stage. One thread; run() returns after the last frame."""

    def __init__(self, plan: Evening, stage: Stage) -> None:
        self.plan, self.stage = plan, stage
        self.played = NightPlayed()
        self._hand = random.Random(7)
        self._segue: Segue | None = None
        self._wanted: list[tuple[SongPlan, str, int]] = []  # queued by hand until this frame
        self._agenda = sorted(self._happenings(), key=lambda h: h.frame)
        self._checked = 0

    # ---- the plan

    def _happenings(self) -> list[Happening]:
        agenda = [Happening(0, self._begin)]
        for before, after in itertools.pairwise(self.plan.songs):
            middle = (before.end + int(after.frames[0])) // 2
            agenda.append(Happening(middle, lambda: self._press(Do.SONG)))
            agenda.append(Happening(after.at(-1.0) - round(GO_S * RATE), self._leave_standby))
        for number, song in enumerate(self.plan.songs):
            agenda.append(Happening(int(song.frames[0]), lambda s=song: self._say(s)))  # type: ignore[misc]
            agenda += [
                Happening(self._hand_at(song, cue), lambda s=song, c=cue: self._cue(s, c))  # type: ignore[misc]
                for cue in song.plan.cues
            ]
            for k, bar in enumerate(song.plan.calls):
                agenda += [
                    Happening(song.at(bar + beat / 4.0), lambda k=key, v=velocity: self._note(k, v))  # type: ignore[misc]
                    for beat, key, velocity in call(k + 10 * number)
                ]
        return agenda

    def _hand_at(self, song: Truth, cue: Cue) -> int:
        late = 0.0 if cue.do is Do.KILL else self._hand.gauss(0.0, HAND_S)
        return song.at(cue.bar) + round(late * RATE)

    # ---- the night

    def run(self) -> NightPlayed:
        stage = self.stage
        while (now := stage.frame) < self.plan.frames:
            stage.pads.look(now / RATE)
            self._queue(now)
            self._watch(now)
            while self._agenda and self._agenda[0].frame <= now:
                self._agenda.pop(0).do()
            until = self._agenda[0].frame if self._agenda else self.plan.frames
            wait_to((until - now) / RATE)
        self._count()
        return self.played

    def _watch(self, now: int) -> None:
        if now - self._checked > CHECK_EVERY_S * RATE:
            self._checked = now
            self.stage.check()
            if self._segue is None:
                return
            if self._segue.ended:
                raise GigError(f"segue run ended by itself: {self._segue.tail()}")
            self._segue.look()

    def _say(self, song: Truth) -> None:
        log.info("%s: %d bars at about %g", song.plan.name, song.plan.bars, song.plan.bpm)

    def _begin(self) -> None:
        self._segue = self.stage.start_segue(PATCH, f"gig-{os.getpid()}")

    def _count(self) -> None:
        if self._segue is not None:
            self.played.misses.append(self._segue.missed())

    # ---- hands

    def _press(self, what: Do) -> None:
        log.info("           %s", what.value)
        self.stage.pads.press(transport_pad(PADS[what]))

    def _leave_standby(self) -> None:
        self._press(Do.STANDBY)
        self.played.begun.append(self.stage.frame)

    def _note(self, key: int, velocity: int) -> None:
        self.stage.keyboard.note(key, velocity)
        self.played.notes.append(self.stage.frame)

    def _cue(self, song: Truth, cue: Cue) -> None:
        log.info("  bar %5.2f  %s %s", cue.bar, cue.do.value, cue.what)
        if cue.do is Do.QUEUE:
            self._wanted.append((song.plan, cue.what, song.at(cue.bar + LOOK_BARS)))
        elif cue.do is Do.STOP:
            self.stage.pads.press(stop_button(_roles(), cue.what))
        elif cue.do is Do.KILL:
            done = self._segue is not None and self._segue.kill_part("engine.conductor_process")
            if not done:
                raise GigError("there is no conductor to kill")
            self.played.faults.append(Fault("conductor killed", self.stage.frame))
        else:
            if cue.do is Do.TAP and cue.bar == 0.0:
                self.played.faults.append(Fault("wrong tempo", self.stage.frame))
            self.stage.pads.press(transport_pad(PADS[cue.do]))

    def _queue(self, now: int) -> None:
        """Press the newest ready stem of each role that is wanted, as soon as there is one."""
        for wish in list(self._wanted):
            plan, role, until = wish
            ready = self.stage.pads.lights.ready(_roles(), role, now / RATE)
            if ready:
                self.stage.pads.press(ready[-1])
            elif now > until:
                self.played.missed_cues.append(f"{plan.name}: no {role} was ready")
                log.warning("%s", self.played.missed_cues[-1])
            if ready or now > until:
                self._wanted.remove(wish)


@functools.cache
def _roles() -> list[str]:
    return list(load_patch(PATCHES / f"{PATCH}.yaml").roles)


# ---- what the judge gets


def measure_delay(played: np.ndarray, heard: np.ndarray, near: int) -> int:
    """Frames by which `heard` follows `played`, from the second after frame `near`."""
    part = played[near : near + RATE].astype(np.float64)
    after = heard[near : near + RATE + DELAY_MAX].astype(np.float64)
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
) -> tuple[Night, int]:  # fmt: skip
    """(what the judge hears, the delay of the dry path in frames)."""
    captured = heard.between(first, first + plan.frames)
    bus = {name: captured[:, k] for k, name in enumerate(CAPTURED)}
    delay = measure_delay(played[:, 0], bus["drums"], plan.songs[0].at(4.0))
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
    night = Night(
        rate=plan.rate,
        start=first,
        songs=songs,
        main=captured[:, :2],
        dry=dry,
        stems={"stems": bus["stems"]},
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
    )
    return night, delay


def _standbys(plan: Evening, left: NightPlayed) -> list[Span]:
    """From the end of a song, once its fade is over, until a hand leaves standby."""
    quiet = round(STANDBY_S * RATE)
    until = [*left.begun, plan.frames]
    return [(song.end + quiet, end) for song, end in zip(plan.songs, until, strict=True)]


def _without_texture(plan: Evening) -> Span:
    """The first song's second scene."""
    song = plan.songs[0]
    return song.at(scene_bar(song.plan.bars)) + round(SCENE_S * RATE), song.end


def _misses(left: NightPlayed, native: Recording) -> dict[str, int]:
    """Cycles late or lost by segue's own count, by the native client's, and those only ours."""
    missed = native.missed()
    ours = [f for m in left.misses for f in m.frames]
    near = native.block
    alone = [f for f in ours if not len(missed) or np.abs(missed - f).min() > near]
    return {
        "segue": len(ours),
        "native": len(missed),
        "excess": len(alone),
        "cycles": sum(m.cycles for m in left.misses),
    }


def _heard_seconds(night: Night) -> dict[str, float]:
    """How long each generated bus sounded: a night without them would be faultless."""
    hop = night.rate // 100
    out = {}
    for name, bus in night.ai.items():
        whole = np.abs(bus[: len(bus) // hop * hop]).reshape(-1, hop).max(axis=1)
        out[name] = round(float((whole > 1e-3).sum()) / 100.0, 1)
    return out


def run_gig(minutes: float, keep: Path | None = None) -> dict[str, Any]:
    """Play the night and judge it. keep: folder for captures, sessions and findings.

    Keys: the judge's, minutes, misses, faults, and what was heard. Raises GigError, JackError or
    NativeError when the night cannot take place.
    """
    soundfont = find_soundfont(Patch())
    if soundfont is None:
        raise GigError("no SoundFont for the band; install Debian's timgm6mb-soundfont")
    plan = evening(minutes, RATE)
    log.info("the band gets ready: %.1f minutes", plan.frames / RATE / 60.0)
    played = play(plan, soundfont)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        return _night(plan, played, keep.resolve())
    with tempfile.TemporaryDirectory(prefix="segue-gig-") as folder:
        return _night(plan, played, Path(folder))


def _night(plan: Evening, played: np.ndarray, folder: Path) -> dict[str, Any]:
    try:
        with Stage(plan.rate, played, folder) as stage:
            left = Players(plan, stage).run()
            heard, native, first = stage.interface, stage.native, stage.first
    except HandsError as error:
        raise GigError(str(error)) from error
    log.info("the judge listens")
    recording, beside = heard.recording(), native.recording()
    night, delay = night_of(plan, played, recording, beside, first, left)
    found = find_all(night)
    facts = [
        {"kind": f.kind, "bus": f.bus, "second": round(f.frame / RATE, 3), "frames": f.frames}
        for f in found
    ]
    (folder / "findings.json").write_text(json.dumps(facts, indent=1))
    for kind, group in itertools.groupby(sorted(facts, key=lambda f: str(f["kind"])),
                                         key=lambda f: f["kind"]):  # fmt: skip
        for fact in itertools.islice(group, 12):
            log.info("%s", {**fact, "kind": kind})
    return {
        **judge(night, found),
        "minutes": round(plan.frames / RATE / 60.0, 2),
        "misses": _misses(left, beside),
        "faults": [{"name": f.name, "second": round(f.frame / RATE, 2)} for f in left.faults],
        "excused_frames": int(night.excused_mask().sum()),
        "missed_cues": left.missed_cues,
        "heard_seconds": _heard_seconds(night),
        "dry_delay_frames": delay,
        "songs": {s.name: [round(s.first / RATE, 1), round(s.last / RATE, 1)] for s in night.songs},
    }
