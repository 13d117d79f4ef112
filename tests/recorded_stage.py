"""A LivePerformance on private memory that is recorded, stepped by hand; audio processes of it can
die between two blocks or in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from engine_stage import RATE, Stage

from engine.channel_map import plain_map
from engine.patch import Input, MidiIn, Output, Patch, Player, Role, Strip, Voice
from engine.performance import LivePerformance
from engine.recording import Recording, new_take
from engine.shm import Shared

PATCH = Patch(
    inputs={
        "mic": Input(channel=1, trim_db=3.0, strip=Strip(highpass_hz=80.0), to={"main": -6.0}),
        "my horn/🎺": Input(stream="performer", to={"main": -9.0, "reverb": -12.0}),
    },
    midi={"keys": MidiIn(voice="piano")},
    voices={"piano": Voice(to={"main": -6.0}), "one": Voice(program=16, to={"main": -9.0})},
    players={
        "answer": Player(model="notochord", listens="keys", voice="one"),
        "mist": Player(model="rave", listens="mic", to={"main": -6.0}),
    },
    roles={"drums": Role(to={"main": -3.0}), "bass": Role(to={"main": -6.0})},
    outputs={"main": Output((1, 2)), "cue": Output((3, 4))},
)


class RecordedStage(Stage):
    """Like Stage, with a session folder; turn() is what the recorder's process does."""

    def __init__(
        self,
        session: Path,
        patch: Patch = PATCH,
        soundfont: Path | None = None,
        start: int = 64_000,
        block: int = 128,
        inserts: dict[str, Any] | None = None,
    ) -> None:
        self.patch, self.soundfont, self.rate, self.block = patch, soundfont, RATE, block
        self.shared = Shared.private(patch, str(session), inserts)
        self.engine = LivePerformance(patch, self.shared, plain_map(patch), RATE, soundfont)
        self.t = start
        self.take = new_take(session)
        self.recording = Recording(self.shared, self.take, RATE)

    def turn(self) -> None:
        while self.recording.turn():
            pass

    def recorder_dies(self) -> None:
        """At any moment; a successor goes on."""
        self.recording = Recording(self.shared, self.take, RATE)

    def horn(self, audio: np.ndarray, frame: int, epoch: int = 0) -> None:
        self._stream("stream.my horn/🎺", frame, audio[None], epoch)
