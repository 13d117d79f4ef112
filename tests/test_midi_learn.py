"""Risk: a control is learned that must not be, lands in the wrong place, or spoils the rig file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.learn import Learned, Learner, LearnError, Moved, check_words, learn, moved_in
from engine.patch import Input, MidiIn, Output, Patch, Player, Role, Surface, Vibe, Voice
from engine.patch_controls import Control, controls_of, key_of
from engine.patch_load import PatchError
from engine.rig import Rig, RigController
from engine.rig_load import check_rig, load_rig
from engine.rig_place import place
from engine.rig_write import HEAD, changed
from engine.song import Scene, Song

PATCH = Patch(
    inputs={"horn": Input(channel=1)},
    midi={
        "keys": MidiIn(port="Nord", voice="piano", master_cc=7),
        "feet": MidiIn(port="FCB", pedals={"end": 80}),
    },
    voices={"piano": Voice()},
    roles={"drums": Role()},
    players={"mist": Player("rave", "horn", to={"main": 0.0})},
    vibes={"storm": Vibe()},
    songs={"one": Song(scenes={"a": Scene(), "b": Scene()})},
    surfaces={"pads": Surface(port="LPProMK3 MIDI"), "later": Surface()},
    outputs={"main": Output((1, 2))},
)
RIG = Rig(controllers={"box": RigController(port="^nano", controls={"cc1-ch1": Control("tap")})})
TAP = Control("tap")


def moved(port: str, key: str, values: int = 1) -> Moved:
    return Moved(port, key_of(key), values)


def test_a_new_controller_goes_to_the_rig_with_its_port() -> None:
    found = learn(PATCH, Rig(), moved("X-Touch Mini:X-Touch MIDI 1 24:0", "cc9-ch1"), TAP, False)
    assert found.path == ("controllers", "x", "controls", "cc9-ch1")
    text = changed(HEAD, found.changes())
    rig = check_rig(Path("rig.yaml"), text.encode()).rig
    assert rig.controllers["x"].controls == {"cc9-ch1": TAP}
    placed = place(PATCH, rig)
    assert controls_of(placed, "x") == {key_of("cc9-ch1"): TAP}  # no foot-switches unasked
    again = learn(placed, rig, moved("X-Touch Mini:X-Touch MIDI 1 28:0", "cc10-ch1"), TAP, False)
    assert again.path == ("controllers", "x", "controls", "cc10-ch1")
    assert again.port is None


def test_a_port_of_the_patch_keeps_its_name() -> None:
    found = learn(PATCH, Rig(), moved("Nord Stage", "cc11-ch1"), TAP, False)
    assert found == Learned(("midi", "keys", "controls", "cc11-ch1"), TAP)
    rig = check_rig(Path("rig.yaml"), changed(HEAD, found.changes()).encode()).rig
    placed = place(PATCH, rig)
    assert controls_of(placed, "keys")[key_of("cc11-ch1")] == TAP
    assert placed.midi["keys"].port == "Nord"


def test_a_controller_with_the_name_of_an_input_is_that_input() -> None:
    rig = Rig(controllers={"feet": RigController("^Boss", controls={"cc9": TAP})})
    feet = place(PATCH, rig).midi["feet"]
    assert (feet.port, feet.pedals, feet.controls) == ("^Boss", {"end": 80}, {"cc9": TAP})


@pytest.mark.parametrize(
    ("where", "why"),
    [
        (moved("Nord", "cc67-ch1"), "cc67 of keys is dry"),
        (moved("Nord", "cc7-ch3"), "cc7 of keys is master"),
        (moved("Nord", "cc64-ch1"), "sustains"),
        (moved("Nord", "note60-ch1"), "is played"),
        (moved("FCB1010", "cc67-ch1"), "cc67 of feet is dry"),
        (moved("FCB1010", "cc64-ch1"), "cc64 of feet is this_is_one"),
        (moved("FCB1010", "cc80-ch1"), "cc80 of feet is end"),
        (moved("Launchpad LPProMK3 MIDI", "note11-ch1"), "that is pads"),
    ],
)
def test_what_is_taken_is_not_taken_away(where: Moved, why: str) -> None:
    with pytest.raises(LearnError, match=why):
        learn(PATCH, RIG, where, TAP, False)


def test_with_replace_it_is_but_never_what_is_safe_critical() -> None:
    found = learn(PATCH, RIG, moved("FCB1010", "cc80-ch1"), TAP, True)
    assert found.path == ("midi", "feet", "controls", "cc80")  # it takes the place of that one
    assert learn(PATCH, RIG, moved("Nord", "cc64-ch1"), TAP, True)
    with pytest.raises(LearnError, match="everybody knows"):
        learn(PATCH, RIG, moved("Nord", "cc67-ch1"), TAP, True)


def test_the_same_twice_is_said() -> None:
    placed = place(PATCH, RIG)
    with pytest.raises(LearnError, match="is tap already"):
        learn(placed, RIG, moved("nanoKONTROL", "cc1-ch1"), TAP, False)


@pytest.mark.parametrize(
    ("control", "why"),
    [
        (Control("mute"), "needs source"),
        (Control("enter", role="dums"), "role dums, expected one of drums"),
        (Control("level", source="input.hron"), "expected one of .*input.horn.*bus.main"),
        (Control("send", source="input.horn"), "needs bus"),
        (Control("control", what="mits", number=1), "what mits, expected one of mist"),
        (Control("vibe", what="calm"), "what calm, expected one of storm"),
        (Control("song", what="slow"), "what slow, expected one of one"),
        (Control("scene", what="c"), "what c, expected one of a, b"),
        (Control("route", what="wet"), "what wet, expected one of none"),
    ],
)
def test_words_are_checked_before_anything_is_moved(control: Control, why: str) -> None:
    with pytest.raises(LearnError, match=why):
        check_words(PATCH, control)


def test_a_fader_on_a_key_is_refused() -> None:
    level = Control("level", source="input.horn")
    with pytest.raises(LearnError, match="which has a value"):
        learn(PATCH, RIG, moved("other", "note3-ch1"), level, False)


def test_what_people_wrote_in_the_rig_stays(tmp_path: Path) -> None:
    file = tmp_path / "rig.yaml"
    file.write_text("# the barn\nmidi:\n  keys: {port: Nord}  # mine\n  feet:\n    port: FCB\n")
    for where in (moved("Nord", "cc11-ch1"), moved("FCB1010", "cc9-ch1"), moved("new", "cc3-ch2")):
        rig = load_rig(file).rig
        found = learn(place(PATCH, rig), rig, where, TAP, False)
        file.write_text(changed(file.read_text(), found.changes()))
    rig = load_rig(file).rig
    assert rig.midi["keys"].controls == {"cc11-ch1": TAP}
    assert rig.midi["feet"].controls == {"cc9-ch1": TAP}
    assert rig.controllers["new"].controls == {"cc3-ch2": TAP}
    assert "# the barn" in file.read_text()
    assert "# mine" in file.read_text()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("controllers: {a: {controls: {cc1: {do: tap}}}}", "controllers.a.port"),
        ("controllers: {a: {port: x, controls: {cc200: {do: tap}}}}", "controls.cc200"),
        ("controllers: {a: {port: x, controls: {cc1: {do: tup}}}}", "controls.cc1.do"),
        ("controllers: {a: {port: x, controls: {cc1: {}}}}", "controls.cc1.do"),
        ("controllers: {a: {port: x, controls: {note1: {do: master}}}}", "controls.note1"),
        ("midi: {a: {controls: {cc1: {do: send, source: input.a}}}}", "controls.cc1"),
        ("midi: {a: {controls: {program1: {do: panic}}}}", "controls.program1"),
        ("midi: {a: {controls: {cc1: {do: tap, low: 3, high: 1}}}}", "controls.cc1"),
    ],
)
def test_faults_of_a_rig_are_told_with_their_key(text: str, key: str) -> None:
    with pytest.raises(PatchError) as refused:
        check_rig(Path("rig.yaml"), text.encode())
    assert [p.line for p in refused.value.problems] == [1]
    assert key in refused.value.problems[0].key


# ---- hearing


class Room:
    """Ports and a person: what comes in at which poll."""

    def __init__(self, *arrivals: list[tuple[str, bytes]]) -> None:
        self.arrivals = [[], *arrivals]
        self.said: list[str] = []
        self.seconds = 0.0

    def poll(self) -> list[tuple[str, bytes]]:
        return self.arrivals.pop(0) if self.arrivals else []

    def say(self, text: str) -> None:
        self.said.append(text)

    def ask(self, text: str) -> str:
        return ""

    @contextmanager
    def until_enter(self) -> Iterator[Callable[[], bool]]:
        yield lambda: False

    def hear(self, control: Control) -> Moved:
        def wait(seconds: float) -> None:
            self.seconds += seconds

        return Learner(self, self, wait, lambda: self.seconds).hear(control)


def test_a_switch_is_heard() -> None:
    room = Room([], [("feet", b"\xb0\x50\x7f")], [("feet", b"\xb0\x50\x00")])
    assert room.hear(TAP) == moved("feet", "cc80-ch1", 2)


def test_a_fader_is_told_from_a_switch_and_from_what_only_trembles() -> None:
    level = Control("level", source="input.horn")
    sweep = [("box", bytes((0xB2, 9, v))) for v in range(0, 127, 5)]
    room = Room([("box", b"\xb2\x08\x01"), *sweep[:4]], sweep[4:])
    assert room.hear(level).key == key_of("cc9-ch3")
    with pytest.raises(LearnError, match="2 values only"):
        Room([("feet", b"\xb0\x50\x7f"), ("feet", b"\xb0\x50\x00")]).hear(level)


def test_nothing_moved_is_said_after_a_while() -> None:
    room = Room([("keys", b"\xf8"), ("keys", b"\xfe"), ("keys", b"\x80\x3c\x00")])
    with pytest.raises(LearnError, match="no control was moved"):
        room.hear(TAP)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.binary(max_size=4)), max_size=30))
def test_any_bytes_are_survived(heard: list[tuple[str, bytes]]) -> None:
    found = moved_in(heard, fader=False)
    assert found is None or key_of(str(found.key)) == found.key
