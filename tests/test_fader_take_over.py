"""Risk: a fader that stands elsewhere than the value makes it jump, or never takes hold."""

from __future__ import annotations

import numpy as np
import pytest
from conductor_desk import STEP, Desk
from hypothesis import given
from hypothesis import strategies as st

from devices.midi.control_map import ControlMap
from devices.midi.controls import Controls
from devices.midi.safe import SafePath
from devices.midi.take_over import NEAR, TakeOver
from devices.midi.touches import LOST
from engine.ask import Ask
from engine.faders import OFF_DB, in_force, position_of, value_at
from engine.layout import PRESS, CommandKind, SafeKind
from engine.mixer import BUS_ORDER, linear
from engine.patch import (
    Clock,
    Groups,
    Input,
    MidiIn,
    Output,
    Patch,
    Player,
    Role,
    Strip,
)
from engine.patch_controls import Control, key_of
from engine.song import Scene, Song
from engine.sources import source_names

FADERS = {
    "cc1": Control("level", source="input.horn"),
    "cc2": Control("send", source="input.horn", bus="main"),
    "cc3": Control("strip", source="input.horn", setting="low_db"),
    "cc4": Control("level", source="group.ai", high=6.0),
    "cc5": Control("level", source="input.nobody"),
    "cc6": Control("control", what="mist", number=2),
    "cc8": Control("density", role="drums"),
}
PATCH = Patch(
    inputs={"horn": Input(channel=1, to={"main": -6.0}, strip=Strip(low_db=12.0))},
    midi={"box": MidiIn(controls=FADERS, foot_switches=False)},
    players={"mist": Player(model="rave", listens="horn", to={"main": 0.0})},
    roles={"drums": Role(density=0.25)},
    groups=Groups(ai=-12.0),
    outputs={"main": Output((1, 2))},
    clock=Clock(bpm=120.0, bars_per_phrase=2),
    songs={
        "one": Song(bpm=120.0, scenes={"a": Scene(), "b": Scene(mix={"input.horn": {"main": -30}})})
    },
)
MOVES = st.lists(st.integers(0, 127), max_size=40)


@given(MOVES, st.integers(0, 127))
def test_a_fader_never_moves_a_value_by_more_than_it_was_moved_itself(
    moves: list[int], value: int
) -> None:
    over, now, before = TakeOver(), value / 127.0, None
    for move in moves:
        position = move / 127.0
        if over.take(position, now):
            assert before is None or abs(position - now) <= abs(position - before) + NEAR
            assert before is not None or abs(position - now) <= NEAR
            now = position
        before = position


@given(MOVES, st.integers(0, 127))
def test_a_fader_over_its_whole_way_always_takes_hold(moves: list[int], value: int) -> None:
    over = TakeOver()
    now = value / 127.0
    for move in (*moves, *range(0, 128, 9), 127):
        now = move / 127.0 if over.take(move / 127.0, now) else now
    assert now == 1.0


def test_a_value_that_something_else_has_moved_has_to_be_met_again() -> None:
    over = TakeOver()
    assert over.take(0.5, 0.5)
    assert over.take(0.6, 0.5)
    assert not over.take(0.55, 0.2)
    assert not over.take(0.3, 0.2)
    assert over.take(0.1, 0.2)


def test_the_master_is_taken_at_once_by_who_wants_less_and_not_by_who_wants_more() -> None:
    keys = {key_of("cc7"): Control("master")}

    def moved(*values: int, gain: float = 1.0) -> list[float]:
        path, told = SafePath(ControlMap(keys)), [gain]
        for value in values:
            record = path.hear(bytes((0xB0, 7, value)), 0, lambda: told[-1])
            if record is not None:
                assert record["kind"][0] == SafeKind.MASTER
                told.append(float(record["value"][0]))
        return [round(gain, 3) for gain in told[1:]]

    assert moved(100) == []  # nobody knows yet which way it goes
    assert moved(100, 90, 0) == [0.502, 0.0]
    assert moved(40, 60, 100) == []
    assert moved(40, 60, 100, 127) == [1.0]
    assert moved(127, 0) == [1.0, 0.0]
    assert moved(100, 90, gain=0.1) == []  # less than before, and still more than what sounds


CONTROLS = st.sampled_from(
    [
        *FADERS.values(),
        Control("strip", source="input.horn", setting="highpass_hz"),
        Control("level", source="bus.main", low=-40.0, high=0.0),
    ]
)


@given(CONTROLS, st.integers(0, 127))
def test_positions_and_values_are_each_other(control: Control, step: int) -> None:
    position = step / 127.0
    value = value_at(control, position)
    assert position_of(control, value) == pytest.approx(position, abs=0.003 if step > 1 else 0.01)
    assert value_at(control, 0.0) <= value <= value_at(control, 1.0)


# ---- at the conductor


class Box:
    """A box of faders at a desk."""

    def __init__(self) -> None:
        self.desk = Desk(patch=PATCH)
        self.controls = Controls(PATCH)
        self.commands: list[np.void] = []

    def move(self, number: int, *values: int) -> list[str]:
        said = []
        for value in values:
            record = np.zeros(1, PRESS)
            record["data"][0, :3] = (0xB0, number, value)
            said += self._obey(record)
            for _ in range(5):  # until the fader is listened to again
                self.desk.now += STEP
                said += self._obey(np.zeros(0, PRESS))
        self.commands = [c[0] for c in self.desk.conductor.commands]
        return said

    def _obey(self, records: np.ndarray) -> list[str]:
        conductor = self.desk.conductor
        acts = self.controls.actions(records, conductor, self.desk.now)
        return [conductor.act(name, ask.now, ask=ask) for name, ask in acts]

    def news(self) -> list[str]:
        return [n["event"] for n in self.desk.conductor.news]


def test_a_level_waits_for_its_fader_and_says_so_once() -> None:
    box = Box()
    assert box.move(1, 30, 60) == []
    assert box.news().count("fader_waits") == 1
    waiting = box.controls.waiting(box.desk.conductor)
    assert waiting == [{"control": "cc1 of box", "does": "level input.horn", "in_force": 0.0}]
    assert box.move(1, 127, 100) == ["input.horn 0 dB", "input.horn -4.15 dB"]
    assert box.controls.waiting(box.desk.conductor) == []
    levels = [c for c in box.commands if c["kind"] == CommandKind.LEVEL]
    assert levels[-1]["x"] == pytest.approx(linear(-4.15))


def test_a_fader_that_was_pulled_has_to_meet_its_value_again() -> None:
    box = Box()
    assert box.move(1, 127, 100)[-1] == "input.horn -4.15 dB"
    lost = np.zeros(1, PRESS)
    lost["data"][0, :3] = np.frombuffer(LOST, np.uint8)
    box.controls.actions(lost, box.desk.conductor, box.desk.now)
    assert box.move(1, 10, 20) == []  # it was moved while it was away
    assert box.move(1, 101) == ["input.horn -3.98 dB"]


def test_a_scene_that_moves_a_send_has_its_fader_pick_it_up_again() -> None:
    box = Box()
    at = round(position_of(FADERS["cc2"], -6.0) * 127)
    assert len(box.move(2, at, at + 3)) == 2
    box.desk.act("next_scene")
    box.desk.run(6.0)
    value = in_force(box.desk.conductor, FADERS["cc2"])
    assert value == pytest.approx(-30.0)
    assert box.move(2, at + 2, at) == []
    assert "fader_waits" in box.news()
    assert len(box.move(2, 10)) == 1  # past -30 dB
    main = BUS_ORDER.index("main")
    horn = source_names(PATCH).index("input.horn")
    assert box.desk.conductor.programme.mix.told[horn, main] < linear(-40.0)


def test_a_strip_starts_from_the_patch_and_another_hand_counts_too() -> None:
    box = Box()
    assert box.move(3, 64) == []  # 0 dB, and the patch says 12
    assert len(box.move(3, 96)) == 1
    box.desk.conductor.act("strip", box.desk.now, ask=_strip(box.desk.now, -24.0))
    assert box.move(3, 90) == []
    assert len(box.move(3, 0)) == 1


def _strip(now: int, value: float) -> Ask:
    return Ask(now, source="input.horn", setting="low_db", value=value)


def test_a_group_is_met_where_the_patch_has_it() -> None:
    box = Box()
    assert box.move(4, 127) == []
    assert box.move(4, 20) != []


def test_players_and_densities_are_steered_from_where_they_are() -> None:
    box = Box()
    assert box.move(6, 20) == []
    assert box.move(6, 64) == ["mist 2: 0.01"]
    assert box.move(6, 127) == ["mist 2: 1"]
    box.desk.conductor.act("centre", box.desk.now, ask=Ask(box.desk.now, what="mist"))
    assert box.move(6, 120) == []
    assert box.move(8, 127) == []
    assert len(box.move(8, 10)) == 1


def test_what_the_patch_does_not_have_is_said_and_does_nothing() -> None:
    box = Box()
    (said,) = box.move(5, 64)
    assert "input.nobody" in said


def test_a_flood_is_thinned_and_its_last_value_counts() -> None:
    box = Box()
    records = np.zeros(128, PRESS)
    for value in range(128):
        records[value]["data"][:3] = (0xB0, 1, 127 - value)
    box.move(1, 127)
    said = box._obey(records)
    for _ in range(8):
        box.desk.now += STEP
        said += box._obey(np.zeros(0, PRESS))
    assert said == [f"input.horn {OFF_DB:g} dB"]
