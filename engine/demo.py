"""`segue demo`: a whole performance with no hardware, no network and no GPU.

Through any output it finds, as a real performance of all processes; else rendered by the offline
context. Either way it leaves a WAV, a picture and a log, and returns the figures.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from engine import demo_score
from engine.chronicle import Chronicle, even_bars
from engine.gig.judge import find_clicks
from engine.gig.night import Night, Song
from engine.ledger import stage_figures
from engine.mixer import linear
from engine.offline import Offline, Rendered
from engine.patch import Patch
from engine.picture import draw
from engine.recording import forget_session
from engine.session import SessionError, read_session
from engine.sound_check import audible_share, check
from engine.soundfont import find_soundfont

GENERATED = ("voice.answer", "texture.", "stems.")
SHORTEST_BARS = 3  # bar lines, of a piece that is judged
LEAD_IN_S = 12.0  # the piece begins at the first phrase boundary at least a second away


class DemoError(Exception):
    """Says what is missing and what to do."""


@dataclass
class DemoResult:
    wav: Path
    png: Path
    log: Path
    figures: dict[str, Any]
    ledger: dict[str, dict[str, float]]  # of engine/ledger.py, by stage


def render_demo(patch: Patch, folder: Path, progress: Callable[[float], None]) -> DemoResult:
    """Offline. folder is made; its files of an earlier demo are replaced."""
    soundfont = find_soundfont(patch)
    if soundfont is None:
        raise DemoError("no SoundFont found: install timgm6mb-soundfont, or name one in the patch")
    folder.mkdir(parents=True, exist_ok=True)
    forget_session(folder)
    beats = demo_score.BEATS + demo_score.TAIL_BEATS
    offline = Offline(patch, soundfont, performing=True, session=folder)
    try:
        rendered = offline.run(LEAD_IN_S + beats * 60.0 / patch.clock.bpm, progress)
    finally:
        offline.close()
    end = rendered.start + round(beats * 60.0 / patch.clock.bpm * rendered.rate)
    main = rendered.main[rendered.start : end]
    wav = folder / "segue-demo.wav"
    soundfile.write(wav, main, rendered.rate, subtype="PCM_24")
    log = folder / "log.jsonl"
    log.write_text("".join(json.dumps(e) + "\n" for e in rendered.events))
    shutil.copy(Path(__file__).parent.parent / "patches" / "demo.yaml", folder / "demo.yaml")
    levels = {n: x[rendered.start : end] for n, x in rendered.sources.items()}
    levels["main"] = main
    png = folder / "segue-demo.png"
    figures = _figures(main, levels, rendered)
    played = [x for n, x in levels.items() if n.startswith("input.")]
    figures["clicks"] = _clicks(main, played, patch, rendered.rate)
    bars = even_bars(patch, rendered.start, end, rendered.rate)
    chronicle = Chronicle(
        patch, rendered.events, levels, rendered.rate, rendered.start, len(main), bars
    )
    subtitle = (
        f"{patch.clock.bpm:g} BPM, rendered offline by the engine that plays live; "
        f"{figures['lufs']:.1f} LUFS, two AI sources or more "
        f"{figures['two_ai_share']:.0%} of the time"
    )
    draw(chronicle.picture("segue demo: what sounded when, and why", subtitle), png)
    costs = stage_figures(rendered.stages, rendered.block / rendered.rate * 1e6)
    return DemoResult(wav, png, log, figures, costs)


def _figures(main: np.ndarray, levels: dict[str, np.ndarray], rendered: Rendered) -> dict[str, Any]:
    sound = check(main.T, rendered.rate)
    ai = {n: x for n, x in levels.items() if n.startswith(GENERATED)}
    return {
        **sound.to_dict(),
        "two_ai_share": audible_share([x.T for x in ai.values()], rendered.rate, 2),
        "limiter_share": rendered.limited_frames / len(rendered.main),
    }


def _clicks(main: np.ndarray, played: list[np.ndarray], patch: Patch, rate: int) -> int:
    """Steps in what segue adds to the players' own sound: main less their share of it (brass is
    full of steps by nature). engine/gig/judge.py states the bound."""
    beat = round(rate * 60.0 / patch.clock.bpm)
    beats = np.arange(0, len(main), beat)
    song = Song("demo", 0, len(main), beats, patch.clock.beats_per_bar)
    added = main.copy()
    for sound in played:
        added -= sound
    return len(find_clicks(added, "main", Night(rate=rate, start=0, songs=[song], main=added)))


def live_result(patch: Patch, session: Path, costs: dict[str, dict[str, float]]) -> DemoResult:
    """After a live performance: its recording, cut to the piece, and its picture. costs: of its
    ledger, read before the shared folder went."""
    try:
        recorded = read_session(session)
    except SessionError as error:
        raise DemoError(f"nothing was recorded: {error}") from None
    names = [f"input.{n}" for n in patch.inputs]
    if not {"bus.main", *names} <= recorded.tracks.keys():
        raise DemoError(f"not all of it was recorded: {'; '.join(recorded.problems)}")
    log, rate, first = session / "log.jsonl", round(recorded.rate), recorded.first_frame
    main = recorded.tracks["bus.main"].astype(np.float32)
    events = [e for e in recorded.events if isinstance(e.get("frame"), int) and "event" in e]
    started = [e["frame"] for e in events if e["event"] == "begin"] or [first]
    notes = [e["frame"] for e in events if e["event"] == "note_on"] or started
    begin = max(first, notes[0])
    main = main[begin - first :]
    bars = even_bars(patch, notes[0], begin + len(main), rate)
    if len(bars) < SHORTEST_BARS:
        said = f"stopped after {len(main) / rate:.1f} s, too early for a picture"
        raise DemoError(f"{said}; what was recorded is in {recorded.take}")
    wav, png = session / "segue-demo.wav", session / "segue-demo.png"
    soundfile.write(wav, main, rate, subtype="PCM_24")
    levels = {n: recorded.tracks[n][begin - first :, 0].astype(np.float32) for n in names}
    levels["main"] = main
    chronicle = Chronicle(patch, events, levels, rate, begin, len(main), bars)
    sound = check(main.T, rate)
    gaps = sum(e["a"] for e in events if e["event"] == "gap")
    subtitle = f"{patch.clock.bpm:g} BPM, played live; {sound.lufs:.1f} LUFS, gaps {gaps} frames"
    draw(chronicle.picture("segue demo: what sounded when, and why", subtitle), png)
    shares = [linear(i.to.get("main", -90.0)) for i in patch.inputs.values()]
    played = [np.float32(g) * x[:, None] for g, x in zip(shares, levels.values(), strict=False)]
    clicks = _clicks(main, played, patch, rate)
    figures = {**sound.to_dict(), "gap_frames": gaps, "clicks": clicks}
    return DemoResult(wav, png, log, figures, costs)
