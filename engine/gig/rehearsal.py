"""`segue gig --patch FILE`: a patch or a set played from end to end, live over JACK.

Every song in order, by hand: counted in out of standby, let in, through its scenes, ended, applause
without applause. A trombone plays on the first input, somebody on the keyboard, a voltage source on
the control voltages that come in; the interface is a JACK client that captures every output. What
the patch does not use is left out. `wrong` names what should not have been, from the captures and
from what segue answered to hands.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from engine.control_socket import ask_conductor
from engine.gig.hands import HandsError, call
from engine.gig.hearing import excused_spans
from engine.gig.judge_misses import miss_kinds
from engine.gig.rehearsal_judge import Heard, judge_rehearsal
from engine.gig.rehearsal_plan import OUTRO_S, RATE, Part, Rehearsed, parts_of, played_to
from engine.gig.stage import GigError, Segue, Stage, wait_to
from engine.patch import Patch
from engine.set_load import load_performance
from engine.soundfont import find_soundfont
from engine.stem_queue import LATEST_S

ANSWER_S = 2.0
KEYS = "Gig Keyboard"
log = logging.getLogger("segue.gig")


class Rehearsal:
    """Plays the parts on a stage. One thread."""

    def __init__(self, patch: Patch, parts: list[Part], stage: Stage, segue: Segue) -> None:
        self.patch, self.parts, self.stage, self.segue = patch, parts, stage, segue
        self.done = Rehearsed()
        self.frames = parts[-1].end + round(OUTRO_S * RATE)
        self._agenda = sorted(self._happenings(), key=lambda h: h[0])

    def _happenings(self) -> list[tuple[int, Callable[[], None]]]:
        agenda: list[tuple[int, Callable[[], None]]] = []

        def hand(frame: int, name: str, **words: object) -> None:
            agenda.append((frame, lambda: self._act(name, **words)))

        first = self.parts[0]
        hand(first.counted - 6 * RATE, "standby")
        for number, part in enumerate(self.parts):
            hand(part.counted - 4 * RATE, "song", what=part.song.name)
            agenda.append((part.counted - round(LATEST_S * RATE), self._leave))
            if number == 0:
                if not part.song.count_in:
                    hand(part.at(0.0), "this_is_one")
                if not self.patch.armed:  # else it is let in already, and a press takes it out
                    hand(part.at(0.4), "let_in")
            scenes = len(part.song.scenes)
            for k in range(1, scenes):
                hand(part.at(part.end_press * k / scenes - 0.6), "next_scene")
            if self.patch.capture.kept:
                hand(part.at(part.bars / 2 + 0.2), "capture", bars=2)
            hand(part.at(part.end_press), "end")
            for bar in range(1, part.bars - 3, 4):
                for beat, key, velocity in call(bar // 4 + 10 * number):
                    frame = part.at(bar + beat / part.song.beats_per_bar)
                    agenda.append((frame, lambda k=key, v=velocity: self._note(k, v)))  # type: ignore[misc]
        return agenda

    def _act(self, name: str, **words: object) -> None:
        folder = self.segue.shared_folder()
        answer = None
        if folder is not None:
            message = {"do": "act", "name": name, **words}
            answer = ask_conductor(folder, message, ANSWER_S)
        said = str(answer.get("said") or answer.get("error")) if answer else "no answer"
        self.done.said.append((self.stage.frame, name, said))
        log.info("%s: %s", name, said)

    def _leave(self) -> None:
        self.done.left.append(self.stage.frame)
        self._act("standby")

    def _note(self, key: int, velocity: int) -> None:
        self.stage.keyboard.note(key, velocity)
        if velocity:
            self.done.notes.append(self.stage.frame)

    def run(self) -> Rehearsed:
        stage, checked = self.stage, 0
        while (now := stage.frame) < self.frames:
            stage.pads.look(stage.seconds)
            while self._agenda and self._agenda[0][0] <= now:
                self._agenda.pop(0)[1]()
            if now - checked > RATE:
                checked = now
                stage.check()
                if self.segue.ended:
                    raise GigError(f"segue run ended by itself: {self.segue.tail()}")
            until = self._agenda[0][0] if self._agenda else self.frames
            wait_to((until - now) / RATE)
        return self.done


def rig_for(patch: Patch) -> str:
    """The rig of this stage: the interface, and who is at the keys."""
    midi = {name: {"port": f"^{KEYS}"} for name in list(patch.midi)[:1]}
    return json.dumps(
        {"name": "gig", "audio": {"device": "^JACK Audio Connection Kit: stage$"}, "midi": midi}
    )


def rehearse(
    file: Path, minutes: float, keep: Path | None = None, picture: Path | None = None
) -> dict[str, Any]:
    """Play it and say what was wrong. keep, picture: as for run_gig. Raises GigError, JackError,
    NativeError, PatchError."""
    patch = load_performance(file)
    soundfont = find_soundfont(Patch())
    if soundfont is None:
        raise GigError("no SoundFont for the band; install Debian's timgm6mb-soundfont")
    parts = parts_of(patch, minutes)
    frames = parts[-1].end + round(OUTRO_S * RATE)
    log.info("%s: %d songs, %.1f minutes", patch.name, len(parts), frames / RATE / 60.0)
    played = played_to(patch, parts, frames, soundfont)
    with tempfile.TemporaryDirectory(prefix="segue-gig-") as made:
        folder = Path(made) if keep is None else keep.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        rig = folder / "rig.yaml"
        rig.write_text(rig_for(patch))
        numbers = [c for o in patch.outputs.values() for c in o.channels]
        numbers += [cv.channel for cv in patch.cv.values()]
        wide = max(int(n) for n in numbers)
        try:
            with Stage(RATE, played, folder, heard=wide) as stage:
                name = f"gig-{os.getpid()}"  # its own log, also where a night was kept before
                segue = stage.start_segue(file.resolve(), name, ["--rig", str(rig)])
                stage.begin(segue)
                done = Rehearsal(patch, parts, stage, segue).run()
                missed = segue.missed()
                heard, native, first = stage.interface, stage.native, stage.first
                assert first is not None
        except HandsError as error:
            raise GigError(str(error)) from error
        recording, beside = heard.recording(), native.recording()
        captured = np.asarray(recording.between(first, first + frames))
        lines = (segue.folder / "log.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        night = Heard(
            patch, parts, played, captured, done, events, first,
            excused_spans([recording, beside], first),
            [f - first for f in missed.frames], recording.block,
        )  # fmt: skip
        facts = judge_rehearsal(night)
        others = np.concatenate([beside.missed(), recording.missed()])
        facts["misses"] = {
            "segue": len(missed.frames),
            "native": len(beside.missed()),
            "kinds": miss_kinds(missed.frames, missed.long, others, recording.block),
        }
        if keep is not None:
            main = captured[:, [int(c) - 1 for c in patch.outputs["main"].channels]]
            soundfile.write(folder / "gig.wav", main, RATE, subtype="PCM_24")
        if keep is not None or picture is not None:
            night.draw(picture or folder / "gig.png", facts)
        return facts
