"""Risk: a fader, mute or solo moves what it should not, or clicks; or a bus hears too much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_stage import Stage

from engine.ask import Ask, AskError, ask_of
from engine.conductor import Conductor
from engine.layout import CommandKind
from engine.mixer import BUS_ORDER, GROUPS
from engine.patch import (
    Click,
    Ducking,
    Groups,
    Input,
    MidiIn,
    Output,
    Patch,
    Player,
    Role,
    Strip,
    Voice,
)
from engine.scene_mix import MixMoves, scene_gains
from engine.song import Scene
from engine.sources import source_names

RATE = 48000
PATCH = Patch(
    inputs={
        "mic": Input(channel=1, to={"main": 0.0, "monitor1": 0.0, "cue": -6.0}),
        "line": Input(channel=2, to={"main": 0.0}),
    },
    midi={"keys": MidiIn(voice="keys")},
    voices={"keys": Voice(), "answer": Voice()},
    players={
        "duo": Player(model="notochord", listens="keys", voice="answer"),
        "sea": Player(model="rave", listens="mic", to={"main": 0.0, "monitor1": 0.0}),
    },
    roles={"drums": Role(to={"main": 0.0})},
    outputs={
        "main": Output((1, 2), limit=False),
        "monitor1": Output((3,), limit=False),
        "cue": Output((4,), limit=False),
        "click": Output((5,), limit=False),
    },
)
MAIN, MONITOR, CUE, CLICK = 0, 2, 3, 4


class Hands:
    """A conductor whose commands go straight to a stage."""

    def __init__(self, patch: Patch = PATCH) -> None:
        self.stage = Stage(patch)
        self.conductor = Conductor(patch, self.stage.shared.slots, self.stage.shared.slot_frames)
        self.conductor.begin(self.stage.t, RATE)
        self.conductor.advance(self.stage.t)
        self.send()

    def send(self) -> None:
        for command in self.conductor.commands:
            assert self.stage.shared.ring("commands").push(command) == 1
        self.conductor.commands.clear()

    def act(self, name: str, **words: object) -> str:
        said = self.conductor.act(
            name, self.stage.t, ask=ask_of({"do": "act", **words}, self.stage.t)
        )
        self.send()
        return said

    def levels(self, mic: float = 0.1, line: float = 0.0) -> np.ndarray:
        """What arrives at each output in the end, for constant inputs."""
        audio = np.tile(np.float32([mic, line]), (4096, 1))
        return self.stage.play(audio)[-1]


@pytest.fixture
def hands() -> Hands:
    return Hands()


def db(value: float) -> float:
    return round(20 * np.log10(value / 0.1), 2)


def test_fader_moves_main_and_leaves_monitor_and_cue(hands: Hands) -> None:
    assert hands.act("level", source="input.mic", db=-12.0) == "input.mic -12 dB"
    out = hands.levels()
    assert (db(out[MAIN]), db(out[MONITOR]), db(out[CUE])) == (-12.0, 0.0, -6.0)


def test_mute_takes_the_monitor_too_and_the_cue_still_hears(hands: Hands) -> None:
    hands.act("mute", source="input.mic")
    out = hands.levels()
    assert (out[MAIN], out[MONITOR]) == (0, 0)
    assert db(out[CUE]) == -6.0
    hands.act("mute", source="input.mic", on=True)  # as it is
    assert hands.levels()[MAIN] == 0
    hands.act("mute", source="input.mic")
    assert db(hands.levels()[MAIN]) == 0.0


def test_solo_is_heard_in_the_cue_alone_and_nothing_else_changes(hands: Hands) -> None:
    hands.act("solo", source="input.line")
    out = hands.levels(mic=0.1, line=0.05)
    assert out[CUE] == pytest.approx(0.05)
    assert out[MAIN] == pytest.approx(0.15)
    hands.act("solo", source="input.mic")
    assert hands.levels(mic=0.1, line=0.05)[CUE] == pytest.approx(0.15)
    hands.act("solo", source="input.mic", on=False)
    hands.act("solo", source="input.line", on=False)
    assert db(hands.levels(mic=0.1, line=0.05)[CUE]) == -6.0


def test_group_and_bus_have_levels_of_their_own(hands: Hands) -> None:
    hands.act("level", source="group.dry", db=-6.0)
    hands.act("level", source="bus.monitor1", db=-3.0)
    out = hands.levels()
    assert (db(out[MAIN]), db(out[MONITOR]), db(out[CUE])) == (-6.0, -3.0, -6.0)


@pytest.mark.parametrize("group", ["ai", "stems"])
def test_a_group_moves_its_own_sources_only(hands: Hands, group: str) -> None:
    hands.act("level", source=f"group.{group}", db=-90.0)
    hands.stage.texture("sea", hands.stage.t, np.full((2, 4096), 0.25, np.float32))
    hands.stage.stem(np.full((2, 4096), 0.125, np.float32), frame=hands.stage.t + 128)
    sea, drums = (0.0 if group == name else 1.0 for name in ("ai", "stems"))
    out = hands.stage.play(np.full((4096, 2), 0.05, np.float32))[2000]
    assert out[MAIN] == pytest.approx(0.1 + 0.25 * sea + 0.125 * drums)
    assert out[MONITOR] == pytest.approx(0.05 + 0.25)


def test_the_patch_sets_groups_and_buses() -> None:
    outputs = {**PATCH.outputs, "monitor1": Output((3,), limit=False, level_db=-9.0)}
    out = Hands(replace(PATCH, groups=Groups(dry=-3.0), outputs=outputs)).levels()
    assert (db(out[MAIN]), db(out[MONITOR])) == (-3.0, -9.0)


@pytest.mark.parametrize("block", [1, 64, 65, 1031])
def test_levels_move_without_a_step_at_the_frame_whatever_the_block(block: int) -> None:
    def played(block: int) -> np.ndarray:
        hands = Hands()
        hands.stage.block = block
        hands.stage.play(1031)
        hands.act("level", source="input.mic", db=-20.0, seconds=0.05)
        hands.act("level", source="group.dry", db=-6.0, seconds=0.02)
        hands.act("mute", source="input.line")
        return hands.stage.play(np.full((4 * 1031, 2), 0.5, np.float32))

    wanted = played(1031)
    assert np.abs(np.diff(wanted[:, MAIN])).max() < 0.002
    assert np.array_equal(played(block), wanted)


def test_send_goes_to_a_bus_that_the_patch_left_alone(hands: Hands) -> None:
    hands.act("send", source="input.line", bus="monitor1", db=-6.0)
    assert hands.levels(0, 0.1)[MONITOR] == pytest.approx(0.0501, abs=1e-4)


def test_no_second_dry_path_where_the_interface_carries_it() -> None:
    inputs = {"mic": replace(PATCH.inputs["mic"], dry="hardware"), "line": PATCH.inputs["line"]}
    hands = Hands(replace(PATCH, inputs=inputs))
    assert "without segue" in hands.act("send", source="input.mic", bus="main", db=0.0)
    assert hands.levels()[MAIN] == 0


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("level", {"source": "input.mike", "db": 0.0}, "input.mike"),
        ("level", {"source": "input.mic"}, "no db"),
        ("level", {"source": "bus.monitor4", "db": 0.0}, "bus.monitor1"),
        ("mute", {"source": "group.ai"}, "expected one of input.mic"),
        ("send", {"source": "input.mic", "bus": "mian", "db": 0.0}, "expected one of main"),
        ("strip", {"source": "voice.keys", "setting": "low_db"}, "expected an input"),
        ("strip", {"source": "input.mic", "setting": "treble"}, "expected one of highpass_hz"),
        ("strip", {"source": "input.mic", "setting": "low_db", "value": 99.0}, "-24 to 24"),
        ("audition", {"stem": 7}, "not ready"),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(
    hands: Hands, name: str, words: dict, said: str
) -> None:
    before = hands.levels()
    assert said in hands.act(name, **words)
    assert np.array_equal(hands.levels(), before)


@pytest.mark.parametrize(
    "words",
    [{"db": "loud"}, {"db": True}, {"db": 99}, {"db": float("nan")}, {"seconds": -1}, {"on": 1}],
)
def test_words_of_a_wrong_kind_are_refused(words: dict) -> None:
    with pytest.raises(AskError, match="expected"):
        ask_of({"do": "act", "source": "input.mic", **words}, 0)


def test_a_strip_changes_while_it_plays_and_a_successor_knows_it(hands: Hands) -> None:
    quiet = hands.levels(0.1)
    assert quiet[MAIN] == pytest.approx(0.1)
    hands.act("strip", source="input.mic", setting="gate_db", value=-10.0)
    for _ in range(20):
        out = hands.levels(0.1)
    assert out[MAIN] == 0
    hands.stage.resume(hands.stage.engine.state)
    hands.act("strip", source="input.mic", setting="highpass_hz", value=20.0)
    assert hands.levels(0.1)[MAIN] == 0  # the gate is still there
    strip = Strip(highpass_hz=20.0, gate_db=-10.0)
    fresh = Hands(replace(PATCH, inputs={"mic": Input(channel=1, strip=strip)}))
    cells = [h.stage.engine.state[0]["strips"][0]["to"] for h in (hands, fresh)]
    assert np.array_equal(*cells)


def test_ready_stem_is_heard_beforehand_in_the_cue_alone(hands: Hands) -> None:
    sound = np.full((2, 8192), 0.25, np.float32)
    hands.stage.shared.arena[: sound.size] = sound.ravel()
    slots = {"slot": 31, "a": 0, "b": 8192, "x": 1.0, "c": len(PATCH.roles)}
    hands.stage.command(CommandKind.STEM_PLAY, frame=hands.stage.t, **slots)
    out = hands.levels(0.0)
    assert out.tolist() == [0, 0, 0, 0.25, 0]


def test_click_goes_where_the_patch_says() -> None:
    hands = Hands(replace(PATCH, click=Click({"click": 0.0, "monitor1": -6.0})))
    hands.act("click")
    heard = np.abs(hands.stage.play(RATE)).max(axis=0)
    assert heard[CLICK] > 0.3
    assert heard[MONITOR] == pytest.approx(heard[CLICK] / 2, rel=0.01)
    assert not heard[[MAIN, CUE]].any()


def test_what_hands_have_set_outlives_the_conductor(hands: Hands) -> None:
    hands.act("level", source="group.ai", db=-6.0)
    hands.act("mute", source="input.mic")
    hands.act("solo", source="input.line")
    successor = Conductor(PATCH, hands.stage.shared.slots, hands.stage.shared.slot_frames)
    successor.restore(hands.conductor.to_dict())
    assert successor.mix == hands.conductor.mix
    now = hands.stage.t
    assert successor.act("mute", now, ask=Ask(now, source="input.mic")) == "input.mic open"


# ---- ducking

DUCKED = replace(
    PATCH,
    ducking=Ducking(by=("mic",), threshold_db=-20.0, depth_db=12.0, attack_ms=10, release_ms=100),
)


def sea(hands: Hands, mic: np.ndarray) -> np.ndarray:
    """What arrives of a constant texture while the microphone plays `mic`."""
    hands.stage.texture("sea", hands.stage.t, np.full((2, len(mic)), 0.5, np.float32))
    hands.act("level", source="input.mic", db=-90.0, seconds=0.0)
    return hands.stage.play(np.stack([mic, np.zeros(len(mic))], axis=1))[:, MAIN]


def test_live_sound_ducks_what_models_play_and_lets_it_come_back() -> None:
    mic = np.zeros(30_000)
    mic[5_000:13_000] = 0.2
    out = sea(Hands(DUCKED), mic)
    assert out[4_990] == 0.5
    held = 13_000 + 4800
    for frame in (9_000, held - 50):
        assert 20 * np.log10(out[frame] / 0.5) == pytest.approx(-12, abs=0.1)
    assert out[held + 4800] == pytest.approx(0.5 * (1 - 0.75 / np.e), rel=0.01)
    assert out[-1] > 0.45
    assert np.abs(np.diff(out[1000:])).max() < 0.5 / 400  # no step


def test_quiet_sound_ducks_nothing() -> None:
    assert sea(Hands(DUCKED), np.full(8192, 0.09))[4096] == 0.5


@pytest.mark.parametrize("block", [1, 64, 65, 1031])
def test_ducking_does_not_depend_on_the_block_size(block: int) -> None:
    rng = np.random.default_rng(3)
    mic = rng.uniform(-0.3, 0.3, 4 * 1031) * (np.arange(4 * 1031) // 1031 % 2)

    def played(block: int) -> np.ndarray:
        hands = Hands(DUCKED)
        hands.stage.block = block
        return sea(hands, mic)

    wanted = played(128)
    assert wanted.min() < 0.4 < wanted[1031 - 200]
    assert np.array_equal(played(block), wanted)


def test_every_group_has_a_place_in_the_state() -> None:
    assert len(GROUPS) <= len(Stage(PATCH).engine.state[0]["groups"])


def test_what_a_hand_moved_stays_until_a_scene_wants_something_else() -> None:
    patch = Patch(
        inputs={"mic": Input(channel=1, to={"main": 0.0, "monitor1": -6.0})},
        outputs={"main": Output((1, 2)), "monitor1": Output((3,))},
    )
    moves = MixMoves(patch)
    plain = scene_gains(patch, Scene(), patch)
    click = source_names(patch).index("click"), BUS_ORDER.index("click")
    mic = 0, BUS_ORDER.index("monitor1")
    moves.told[click], moves.told[mic] = 0.5, 0.9  # a hand
    assert not list(moves.towards(plain))
    saved = moves.to_dict()
    moves = MixMoves(patch)
    moves.restore(saved)
    assert not list(moves.towards(scene_gains(patch, Scene(), patch, silent=True)))
    louder = Scene(mix={"input.mic": {"monitor1": 0.0}})
    assert list(moves.towards(scene_gains(patch, louder, patch))) == [(*mic, 1.0)]
    assert moves.told[click] == 0.5
