"""What the conductor's book of stems tells the audio process: play in this voice from this frame,
stop at that one. Pure; see engine/stem_book.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.layout import AUDITION_SLOTS, MAX_STEMS, CommandKind, command
from engine.mixer import linear
from engine.patch import Patch
from engine.stem import Play, StemState
from engine.stem_asking import StemAsking
from engine.stem_entry import StemEntry
from engine.timeline import Boundary, Timeline

CHANGE_FADE_FRAMES = 240
EASE_FRAMES = 64  # a stem enters so softly, where its first sample is not zero
STOP_FADE_FRAMES = 960


def levels_of(patch: Patch) -> dict[str, float]:
    """Level of each role, dB."""
    return {name: role.gain_db for name, role in patch.roles.items()}


@dataclass
class StemOrders(StemAsking):
    """voice: a slot of the audio process, of which there are MAX_STEMS. levels: by role, dB; they
    stay what they were at the start, and what is changed since is done by the mix
    (engine/scene_mix.py), which has ramps."""

    levels: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.levels = self.levels or levels_of(self.patch)

    def at_once(self, entry: StemEntry) -> bool:
        """It waits for nothing: a hand said so, or its role does."""
        return (entry.at or Boundary(self.patch.roles[entry.role].enter)) is Boundary.NOW

    def _play(self, entry: StemEntry, line: Timeline) -> None:
        """From the boundary its beat names on; it then follows the timeline by itself."""
        assert entry.beat is not None
        roles = list(self.patch.roles)
        self._command(
            CommandKind.STEM_PLAY,
            slot=entry.voice,
            frame=0 if self.at_once(entry) else entry.start_frame,
            a=self.places.base(entry.slot),
            b=entry.frames,
            x=0.0 if entry.midi else linear(self.levels[entry.role]),
            y=entry.loop if entry.turn is Play.LOOP else 0.0,
            id=entry.id,
            c=roles.index(entry.role),
            z=line.rate * 60.0 / entry.bpm,
            w=entry.beat if entry.anchor is None else entry.anchor,
            d=EASE_FRAMES,
        )

    def _stop(self, entry: StemEntry, frame: int, fade: int, at_once: bool = False) -> None:
        """at_once: with the next block, in which what takes its place begins."""
        if entry.voice >= 0:
            entry.stop_frame = frame
            when = 0 if at_once else frame
            self._command(CommandKind.STEM_STOP, slot=entry.voice, frame=when, a=fade)
            if entry.turn is Play.FILL:
                self._uncover(entry, frame + fade)

    def _uncover(self, fill: StemEntry, frame: int) -> None:
        """What a fill covers goes on from a frame."""
        for other in self.rivals(fill):
            if other.state in (StemState.PLAYING, StemState.RETIRING) and other.turn is Play.LOOP:
                self.hush(other, min(fill.start_frame, frame), frame)

    def hush(self, entry: StemEntry, frame: int, until: int) -> None:
        """Let a stem play on unheard in [frame, until)."""
        if entry.voice >= 0:
            self._command(CommandKind.STEM_HUSH, slot=entry.voice, frame=frame, b=until)

    def silence(self, voice: int, now: int) -> None:
        """Stop whatever a slot of the audio process plays."""
        self._command(CommandKind.STEM_STOP, slot=voice, frame=now, a=STOP_FADE_FRAMES)

    def _free_voice(self) -> int | None:
        """Slots of the audio process, going round: one that was left still sounds for a while."""
        used = {e.voice for e in self.entries.values() if e.voice >= 0}
        voices = MAX_STEMS - len(AUDITION_SLOTS)
        for i in range(1, voices + 1):
            voice = (self.last_voice + i) % voices
            if voice not in used:
                self.last_voice = voice
                return voice
        return None

    def _command(self, kind: CommandKind, **fields: float) -> None:
        self.commands.append(command(kind, **fields))
