"""Risk: some order of hands, reloads and deaths that nobody has thought of brings stems in beside
the bar, in standby, within a count-in, for another song, or two of a role at once."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from conductor_desk import RATE
from songs_desk import SLOT_FRAMES, SLOTS, TWO, Night

from engine.ask import Ask
from engine.conductor import Conductor
from engine.layout import AUDITION_SLOTS, CommandKind, ReportKind
from engine.patch import Patch, Role
from engine.song import Ending
from engine.stem import Play, StemState
from engine.stem_entry import StemEntry
from engine.timeline import Boundary

pytestmark = pytest.mark.slow

NEVER = 1 << 60
SECONDS = 150
NEAR = 0.02  # beats
PLAIN = ("next_song", "next_scene", "standby", "end", "let_in", "next", "double", "undo", "hold",
         "this_is_one", "this_is_one", "stop_all")  # fmt: skip


class Slot:
    """What the audio process plays in one."""

    def __init__(self, play: np.void, start: int) -> None:
        self.play, self.start, self.stop, self.fade, self.on = play, start, NEVER, 0, False


class Evening(Night):
    """Hands at random; the pool takes its time, the audio process does what it is told and says
    so. wrong: what should not have been."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.slots: dict[int, Slot] = {}
        self.jobs: list[tuple[int, int, float]] = []
        self.wrong: list[str] = []
        self.done: list[str] = []
        dice = self.dice
        three = replace(
            TWO.songs["three"],
            count_in=dice.choice([0, 1, 2]),
            beats_per_bar=dice.choice([None, 3, 5]),
            ending=dice.choice([Ending(), Ending(kind="fade", bars=1)]),
        )
        self.first = replace(
            TWO,
            armed=dice.random() < 0.5,
            songs={**TWO.songs, "three": three},
            roles={
                **TWO.roles,
                "bass": replace(TWO.roles["bass"], enter="bar"),
                "fx": Role(
                    bars=1, to={"main": 0.0}, enter="beat", play=dice.choice(["loop", "once"])
                ),
            },
        )
        super().__init__(self.first)

    # ---- pool and audio process

    def ready(self) -> None:
        for entry, request in self.conductor.book.requests:
            late = int(self.dice.random() ** 3 * 6 * RATE)
            loop = request.beats * 60.0 / request.bpm * RATE
            self.jobs.append((self.now + late, entry.id, loop))
        self.conductor.book.requests.clear()
        for job in [j for j in self.jobs if j[0] <= self.now]:
            self.jobs.remove(job)
            event = {"job": job[1], "event": "ready", "frames": round(job[2]), "loop": job[2]}
            self.conductor.book.pool_event(event, self.now)

    def _answer(self, commands: list[np.void]) -> None:
        for c in commands:
            slot, frame = int(c["slot"]), int(c["frame"])
            if slot in AUDITION_SLOTS:
                continue
            if c["kind"] == CommandKind.STEM_PLAY:
                if 0 < frame < self.now:
                    refused = {"id": int(c["id"]), "slot": slot, "frame": self.now, "a": 1}
                    self.say(ReportKind.STEM_REFUSED, **refused)
                    continue
                self.slots[slot] = Slot(c.copy(), frame or self.now)
                self._look_at(c, frame)
            elif c["kind"] == CommandKind.STEM_STOP and slot in self.slots:
                self.slots[slot].stop = max(frame, self.now)
                self.slots[slot].fade = int(c["a"])
        for slot, m in list(self.slots.items()):
            said = {"id": int(m.play["id"]), "slot": slot}
            if not m.on and m.start <= self.now and m.stop > m.start:
                m.on = True
                self.say(ReportKind.STEM_STARTED, **said, frame=m.start)
            once = not m.play["y"] and m.start + int(m.play["b"]) <= self.now
            if once or m.stop <= m.start or m.stop + m.fade <= self.now:
                del self.slots[slot]
                self.say(ReportKind.STEM_ENDED, **said, frame=self.now)

    # ---- what must hold

    def _look_at(self, play: np.void, frame: int) -> None:
        """Of a stem that is told to begin."""
        c = self.conductor
        entry, programme, line = c.book.entries[int(play["id"])], c.programme, c.line
        assert line is not None
        coming = programme.coming
        new = coming is not None and frame >= coming.frame
        if coming is not None and new:
            line = coming
        grid = entry.at or Boundary(c.patch.roles[entry.role].enter)
        beat = line.beat_at(frame)
        if programme.standby:
            self._note(entry, "in standby")
        if frame and grid is not Boundary.NOW:
            length = 1.0 if grid is Boundary.BEAT or entry.turn is Play.FILL else line.beats_per_bar
            if abs(beat / length - round(beat / length)) * length > NEAR:
                self._note(entry, f"at beat {beat:.2f}, in bars of {line.beats_per_bar}")
            if abs(float(play["w"]) - beat) > NEAR:
                self._note(entry, f"anchored at {float(play['w']):.2f}, not {beat:.2f}")
            one = programme.one_beat
            if one is not None and not new and beat < one - NEAR:
                self._note(entry, f"in the count-in, at {beat:.2f} of {one:.2f}")
        change = programme.change
        song = programme.playing
        if new and change is not None:
            song = programme.songs[change.song]
        if entry.want and entry.want["song"] != song.name:
            self._note(entry, f"made for {entry.want['song']}, in {song.name}")
        if entry.want and entry.want["beats_per_bar"] != line.beats_per_bar:
            self._note(entry, f"in bars of {entry.want['beats_per_bar']}, not {line.beats_per_bar}")

    def look(self) -> None:
        """At any time: one loop of a role, known by its row."""
        roles = []
        for slot, m in self.slots.items():
            if not m.on or m.stop < NEVER:
                continue
            entry = self.conductor.book.entries.get(int(m.play["id"]))
            if entry is None or entry.voice != slot:
                self.wrong.append(f"slot {slot} plays what no row knows")
            elif entry.turn is Play.LOOP:
                roles.append(entry.role)
        if len(roles) != len(set(roles)):
            self.wrong.append(f"two of a role play: {roles}")

    def _note(self, entry: StemEntry, what: str) -> None:
        self.wrong.append(f"{entry.role} enters {what}")

    # ---- hands

    def hand(self) -> None:
        dice, c = self.dice, self.conductor
        asks: dict[str, Callable[[], Ask]] = {
            "song": lambda: Ask(self.now, what=dice.choice(list(c.patch.songs))),
            "enter": lambda: Ask(self.now, role=dice.choice(list(c.patch.roles))),
            "stop_role": lambda: Ask(self.now, role=dice.choice(list(c.patch.roles))),
            "regenerate": lambda: Ask(self.now, role=dice.choice(list(c.patch.roles))),
            "queue_stem": self._any_stem,
            "tempo": lambda: Ask(self.now, value=self._bpm() * dice.choice([0.97, 1.02, 1.1])),
            "shift": lambda: Ask(self.now, value=dice.choice([1.0, -1.0])),
            "nudge": lambda: Ask(self.now, value=dice.choice([10.0, -20.0])),
            "phrase": lambda: Ask(self.now, value=float(dice.choice([1, 2, 4]))),
        }
        others = {"reload": self._reload, "audio dies": self._audio, "conductor dies": self._again,
                  "panic": self._panic, "dry": self._dry}  # fmt: skip
        name = dice.choice([*PLAIN, *asks, "queue_stem", *others])
        if name in others:
            others[name]()
        else:
            ask = asks[name]() if name in asks else Ask(self.now)
            name += f": {c.act(name, self.now, ask=ask)}"
        self.done.append(f"{self.now / RATE:.2f} {name}")

    def _bpm(self) -> float:
        assert self.conductor.line is not None
        return self.conductor.line.bpm

    def _any_stem(self) -> Ask:
        book, dice = self.conductor.book, self.dice
        states = (StemState.READY, StemState.DONE)
        found = [e.id for e in book.entries.values() if e.state in states]
        at = dice.choice([None, *Boundary])
        play = dice.choice([None, None, None, *Play])
        return Ask(self.now, stem=dice.choice(found or [0]), at=at, play=play)

    def _reload(self) -> None:
        dice, name = self.dice, self.dice.choice(list(self.first.songs))
        song = self.first.songs[name]
        changed = replace(
            song,
            bpm=dice.choice([song.bpm, 100.0, 126.0]),
            beats_per_bar=dice.choice([song.beats_per_bar, 3, 4, 5]),
            bars_per_phrase=dice.choice([None, 1, 4]),
        )
        new: Patch = replace(self.first, songs={**self.first.songs, name: changed})
        if self.conductor.take(new, self.now, ["songs"]) is None:
            self.patch = new

    def _audio(self) -> None:
        self.say(ReportKind.RESUMED, frame=self.now)

    def _again(self) -> None:
        saved = json.loads(json.dumps(self.conductor.to_dict()))
        self.conductor = Conductor(self.first, SLOTS, SLOT_FRAMES, self.patch)
        self.conductor.restore(saved)

    def _panic(self) -> None:
        for slot in list(self.slots):
            gone = int(self.slots.pop(slot).play["id"])
            self.say(ReportKind.STEM_ENDED, id=gone, slot=slot, frame=self.now)
        self.say(ReportKind.PANIC, frame=self.now)

    def _dry(self) -> None:
        self.say(ReportKind.DRY, slot=int(self.dice.random() < 0.3), frame=self.now)


@pytest.mark.parametrize("seed", [1, 2, 5, 8, 13, 21])
def test_whatever_hands_do_stems_enter_where_they_belong(seed: int) -> None:
    evening = Evening(seed)
    evening.run(3)
    end = evening.now + SECONDS * RATE
    while evening.now < end and not evening.wrong:
        evening.hand()
        for _ in range(evening.dice.choice([1, 2, 4, 20, 60])):
            evening.run(0.1)
            evening.look()
    assert not evening.wrong, "\n".join(evening.done[-8:])
    assert len(evening.done) > 30
