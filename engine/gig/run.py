"""`segue gig`: a night live over JACK, judged from what independent clients captured.

Three songs of one patch, played by the real command without a restart; drummer, trombone, keyboard
and the hands at the pads are other JACK clients. The judge hears the captures of the
client that stands in for the interface; of segue itself only its missed cycles are read.
"""

from __future__ import annotations

import itertools
import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from engine.bench.native import Recording
from engine.gig.band import play
from engine.gig.hands import HandsError
from engine.gig.hearing import night_of
from engine.gig.judge import Finding, find_all, judge
from engine.gig.judge_misses import miss_kinds, of_a_miss
from engine.gig.night import Night
from engine.gig.players import RATE, NightPlayed, Players
from engine.gig.poster import poster
from engine.gig.song import Evening, evening
from engine.gig.stage import GigError, Stage
from engine.patch import Patch
from engine.soundfont import find_soundfont

__all__ = ["GigError", "run_gig"]

log = logging.getLogger("segue.gig")


def _misses(left: NightPlayed, native: Recording, heard: Recording) -> dict[str, Any]:
    """Cycles late or lost by segue's own count, by the native client's, those only ours, and what
    is known of ours."""
    missed = native.missed()
    ours = [f for m in left.misses for f in m.frames]
    near = native.block
    alone = [f for f in ours if not len(missed) or np.abs(missed - f).min() > near]
    others = np.concatenate([missed, heard.missed()])
    return {
        "segue": len(ours),
        "native": len(missed),
        "excess": len(alone),
        "cycles": sum(m.cycles for m in left.misses),
        "kinds": miss_kinds(ours, [f for m in left.misses for f in m.long], others, near),
    }


def _heard_seconds(night: Night) -> dict[str, float]:
    """How long each generated bus sounded: a night without them would be faultless."""
    hop = night.rate // 100
    out = {}
    for name, bus in night.ai.items():
        whole = np.abs(bus[: len(bus) // hop * hop]).reshape(-1, hop).max(axis=1)
        out[name] = round(float((whole > 1e-3).sum()) / 100.0, 1)
    return out


def run_gig(
    minutes: float, keep: Path | None = None, picture: Path | None = None
) -> dict[str, Any]:
    """Play the night and judge it. keep: folder for captures, sessions, findings, a WAV and a
    picture of what was heard. picture: a PNG of it.

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
        return _night(plan, played, keep.resolve(), picture or keep / "gig.png", keep / "gig.wav")
    with tempfile.TemporaryDirectory(prefix="segue-gig-") as folder:
        return _night(plan, played, Path(folder), picture)


def _fact(night: Night, f: Finding) -> dict[str, Any]:
    """For people. of_a_miss: of clicks and dry gaps, whether a missed cycle explains it."""
    fact: dict[str, Any] = {"kind": f.kind, "bus": f.bus, "second": round(f.frame / night.rate, 3),
                            "frames": f.frames}  # fmt: skip
    if f.kind in ("clicks", "dry_gap_frames"):
        fact["of_a_miss"] = of_a_miss(night, f.kind, f.frame)
    return fact


def _night(
    plan: Evening,
    played: np.ndarray,
    folder: Path,
    picture: Path | None,
    wav: Path | None = None,
) -> dict[str, Any]:
    try:
        with Stage(plan.rate, played, folder) as stage:
            left = Players(plan, stage).run()
            heard, native, first = stage.interface, stage.native, stage.first
            assert first is not None
    except HandsError as error:
        raise GigError(str(error)) from error
    log.info("the judge listens")
    recording, beside = heard.recording(), native.recording()
    night = night_of(plan, played, recording, beside, first, left)
    found = find_all(night)
    facts = [_fact(night, f) for f in found]
    (folder / "findings.json").write_text(json.dumps(facts, indent=1))
    if wav is not None:
        soundfile.write(wav, night.main, plan.rate, subtype="PCM_24")
    if picture is not None:
        poster(plan, night, left, found, picture)
    for kind, group in itertools.groupby(sorted(facts, key=lambda f: str(f["kind"])),
                                         key=lambda f: f["kind"]):  # fmt: skip
        for fact in itertools.islice(group, 12):
            log.info("%s", {**fact, "kind": kind})
    return {
        **judge(night, found),
        "minutes": round(plan.frames / RATE / 60.0, 2),
        "misses": _misses(left, beside, recording),
        "faults": [{"name": f.name, "second": round(f.frame / RATE, 2)} for f in left.faults],
        "excused_frames": int(night.excused_mask().sum()),
        "missed_cues": left.missed_cues,
        "heard_seconds": _heard_seconds(night),
        "dry_delay_frames": night.dry["drums"].delay,
        "songs": {s.name: [round(s.first / RATE, 1), round(s.last / RATE, 1)] for s in night.songs},
    }
