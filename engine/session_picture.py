"""The picture of a recorded performance: what sounded when, and why. Not real-time safe."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from engine.chronicle import Chronicle
from engine.picture import draw
from engine.replay_export import timelines
from engine.session import Session, SessionError

BARS_MOST = 20_000  # of hours of music; a tempo out of a broken file makes no more


def draw_session(session: Session, path: Path) -> None:
    """As a PNG. Raises OSError, and SessionError for a log that makes no sense."""
    levels = {n: a for n, a in session.tracks.items() if n.startswith(("input.", "texture."))}
    if "bus.main" in session.tracks:
        levels["main"] = session.tracks["bus.main"]
    chronicle = Chronicle(
        session.patch,
        [*(e for e in session.events if isinstance(e.get("frame"), int)), *_not_recorded(session)],
        levels,
        round(session.rate),
        session.first_frame,
        max(1, session.frames),
        bar_lines(session),
    )
    lost = sum(frames for _, frames in session.jumps)
    subtitle = f"{session.take}; {session.frames / session.rate:.0f} s, gaps {lost} frames"
    try:
        picture = chronicle.picture(f"{session.patch.name}: what sounded when, and why", subtitle)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise SessionError(f"the log of {session.take} is broken ({error!r})") from None
    draw(picture, path)


def bar_lines(session: Session) -> list[int]:
    """Frames of every bar line, by the timelines that were in force."""
    lines = timelines(session)
    end = session.first_frame + session.frames
    bars: list[int] = []
    for (frame, beat, bpm, metre), until in zip(
        lines, [*(line[0] for line in lines[1:]), end], strict=True
    ):
        if not (math.isfinite(beat) and math.isfinite(bpm)):
            continue
        bar = metre * 60.0 * session.rate / bpm
        if bar < 1.0:
            continue
        at = frame + (-beat / metre % 1.0) * bar
        while at < until and len(bars) < BARS_MOST:
            if not bars or at - bars[-1] > bar / 4:  # a line that moved on its one is no other bar
                bars.append(round(at))
            at += bar
    return bars


def _not_recorded(session: Session) -> list[dict[str, Any]]:
    """What the tracks lack, as the conductor tells of what was not played."""
    return [{"event": "gap", "frame": frame, "a": frames} for frame, frames in session.jumps]
