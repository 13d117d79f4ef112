"""Risk: a song or scene changes beside its boundary, drags what belongs to the last one along, or
loses its way when the conductor or the audio process dies."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from conductor_desk import RATE, START, Desk

from engine.ask import Ask
from engine.conductor import Conductor
from engine.layout import COMMAND, CommandKind, ReportKind
from engine.mixer import BUS_ORDER
from engine.patch import Clock, Input, Output, Patch, Player, Role, Voice, source_names
from engine.shm_records import SWITCH
from engine.song import Ending, Scene, ScenePart, Song
from engine.stem import StemState
from engine.timeline import Boundary

TWO = Patch(
    name="night",
    armed=True,
    inputs={"horn": Input(channel=1, to={"main": 0.0})},
    voices={"answer": Voice(to={"main": -6.0})},
    players={
        "mist": Player(model="rave", listens="horn", to={"main": -6.0}),
        "reply": Player(model="notochord", listens="keys", voice="answer"),
    },
    roles={
        "drums": Role(bars=1, to={"main": 0.0}),
        "bass": Role(bars=1, to={"main": 0.0}),
        "fill": Role(bars=1, to={"main": 0.0}),
    },
    outputs={"main": Output((1, 2)), "click": Output((3,))},
    clock=Clock(bpm=120.0, bars_per_phrase=2),
    songs={
        "one": Song(
            scenes={
                "thin": Scene(stems={"bass": ScenePart(play=False), "fill": ScenePart(play=False)}),
                "full": Scene(
                    stems={"bass": ScenePart(), "drums": ScenePart(density=0.9)},
                    players={"mist": False},
                    mix={"stems.drums": {"main": -9.0, "reverb": -20.0}},
                    glide=4.0,
                ),
            },
            ending=Ending(kind="fill", role="fill"),
        ),
        "two": Song(
            bpm=90.0,
            beats_per_bar=3,
            key=5,
            count_in=1,
            scenes={"all": Scene(stems={"fill": ScenePart(play=False)})},
            ending=Ending(kind="fade", bars=2),
        ),
        "three": Song(bpm=150.0),
    },
)
MAIN, REVERB = BUS_ORDER.index("main"), BUS_ORDER.index("reverb")


class Night(Desk):
    """A desk with songs; the pool is quick and the audio process does what it is told."""

    def __init__(self, patch: Patch = TWO) -> None:
        self.patch = patch
        self.conductor = Conductor(patch, 60, 800_000)
        self.now = START
        self.sent: list[np.void] = []
        self.conductor.begin(self.now, RATE)
        self.run(0.05)

    def run(self, seconds: float) -> None:
        end = self.now + round(seconds * RATE)
        while self.now < end:
            before = len(self.sent)
            super().run(0.005)
            self.ready()
            self._answer(self.sent[before:])

    def _answer(self, commands: list[np.void]) -> None:
        for entry in list(self.conductor.book.entries.values()):
            starts = entry.state is StemState.QUEUED and entry.sent
            if starts and entry.start_frame <= self.now:
                fields = {"id": entry.id, "slot": entry.voice, "frame": entry.start_frame}
                self.say(ReportKind.STEM_STARTED, **fields)
            stops = entry.state is StemState.RETIRING and entry.sent
            if stops and entry.stop_frame + 960 <= self.now:
                fields = {"id": entry.id, "slot": entry.voice, "frame": entry.stop_frame}
                self.say(ReportKind.STEM_ENDED, **fields)

    def of(self, kind: CommandKind) -> list[np.void]:
        return [c for c in self.sent if c["kind"] == kind]

    def playing(self) -> set[str]:
        book = self.conductor.book
        return {r for r in self.patch.roles if book.playing(r) is not None}

    def gain(self, source: str, bus: int = MAIN) -> float | None:
        index = source_names(self.patch).index(source)
        told = [c for c in self.of(CommandKind.GAIN) if c["slot"] == index and c["c"] == bus]
        return float(told[-1]["x"]) if told else None

    def generates(self) -> list[int]:
        switch = np.zeros(1, SWITCH)
        self.conductor.programme.set_switch(switch, self.now)
        return switch[0]["generate"][: len(self.patch.players)].tolist()

    def boundary(self, grid: Boundary) -> int:
        line = self.conductor.line
        assert line is not None
        return line.next_boundary(self.now, grid)

    def status(self) -> dict[str, object]:
        return self.conductor.status(self.now)

    def again(self) -> None:
        """The conductor dies, and its successor reads the journal."""
        saved = json.loads(json.dumps(self.conductor.to_dict()))
        self.conductor = Conductor(self.patch, 60, 800_000)
        self.conductor.restore(saved)


def test_the_next_song_begins_at_the_phrase_with_its_tempo_and_metre() -> None:
    night = Night()
    night.run(6.3)
    assert night.playing() == {"drums"}
    at = night.boundary(Boundary.PHRASE)
    assert "two, all: at the phrase" in night.act("next_song")
    night.run((at - night.now) / RATE + 0.1)
    line = night.conductor.line
    assert line is not None
    assert (line.bpm, line.beats_per_bar) == (90.0, 3)
    told = [c for c in night.of(CommandKind.TIMELINE) if c["frame"] == at]
    assert {(float(c["y"]), int(c["a"])) for c in told} == {(90.0, 3)}
    assert line.beat_at(at) % 3 == pytest.approx(0)
    one = line.beat_at(at) + 3
    assert one % (3 * 2) == pytest.approx(0)
    assert night.status()["song"] == "two"


def test_the_count_in_is_on_the_click_alone_and_stems_wait_for_its_end() -> None:
    night = Night()
    night.run(6.3)
    at = night.boundary(Boundary.PHRASE)
    one = at + 3 * 32_000
    night.act("next_song")
    before = len(night.sent)
    night.run((one - night.now) / RATE + 0.5)
    clicks = [(int(c["frame"]), int(c["slot"])) for c in night.of(CommandKind.CLICK)]
    assert clicks == [(at, 1), (one, 0)]
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert {int(c["frame"]) for c in plays} == {one}
    stops = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_STOP]
    assert {int(c["frame"]) for c in stops} == {at}
    gains = [c for c in night.sent[before:] if c["kind"] == CommandKind.GAIN]
    assert {int(c["frame"]) for c in gains} == {at, one}
    assert min(int(c["a"]) for c in gains) >= 960  # no step
    horn = source_names(TWO).index("input.horn")
    assert all(c["slot"] != horn for c in gains)  # dry is never touched


def test_players_are_silent_in_a_count_in() -> None:
    night = Night()
    night.run(6.3)
    assert night.generates() == [1, 1]
    at = night.boundary(Boundary.PHRASE)
    night.act("next_song")
    night.run((at - night.now) / RATE + 1.0)
    assert night.generates() == [0, 0]
    night.run(1.5)
    assert night.generates() == [1, 1]


def test_stems_of_the_next_song_are_made_ahead_and_enter_on_its_first_frame() -> None:
    night = Night()
    night.run(6.3)
    night.act("song")
    asked = night.conductor.act("song", night.now, ask=_ask(night, "three"))
    assert asked.startswith("three")
    at = night.boundary(Boundary.PHRASE)
    ahead = [e for e in night.conductor.book.entries.values() if e.want["song"] == "two"]
    assert ahead  # the next in order was asked for all along
    assert {e.bpm for e in ahead} == {90.0}
    night.run((at - night.now) / RATE + 0.1)
    night.run(6)
    assert night.status()["song"] == "three"
    songs = {e.want["song"] for e in night.conductor.book.entries.values()
             if e.state is StemState.PLAYING}  # fmt: skip
    assert songs == {"three"}


def test_every_stem_that_enters_was_made_for_the_tempo_it_enters_at() -> None:
    night = Night()
    for song, bpm in ((2, 90.0), (3, 150.0), (1, 120.0)):
        night.run(6.3)
        night.conductor.act("song", night.now, ask=_ask(night, song))
        night.run(9)
        book = night.conductor.book
        sounding = [e for e in book.entries.values() if e.state is StemState.PLAYING]
        assert {e.bpm for e in sounding} == {bpm}


def _ask(night: Night, what: str | int) -> Ask:

    return Ask(night.now, what=what)


def test_without_a_count_in_new_stems_take_over_on_the_boundary_frame() -> None:
    plain = replace(TWO, songs={**TWO.songs, "two": replace(TWO.songs["two"], count_in=0)})
    night = Night(plain)
    night.run(6.3)
    at = night.boundary(Boundary.PHRASE)
    night.act("next_song")
    before = len(night.sent)
    night.run((at - night.now) / RATE + 0.1)
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert plays
    assert {int(c["frame"]) for c in plays} == {at}
    book = night.conductor.book
    sounding = [e for e in book.entries.values() if e.state is StemState.PLAYING]
    assert {e.want["song"] for e in sounding} == {"two"}
    assert not night.of(CommandKind.CLICK)


def test_a_scene_glides_its_gains_and_moves_its_stems_at_the_bar() -> None:
    night = Night()
    night.run(6.3)
    at = night.boundary(Boundary.BAR)
    assert night.act("next_scene") == "one, full: at the bar"
    before = len(night.sent)
    night.run((at - night.now) / RATE + 0.1)
    gains = [c for c in night.sent[before:] if c["kind"] == CommandKind.GAIN]
    drums = source_names(TWO).index("stems.drums")
    moved = {(int(c["slot"]), int(c["c"])) for c in gains}
    assert {(drums, MAIN), (drums, REVERB)} <= moved
    assert {int(c["frame"]) for c in gains} == {at}
    assert {int(c["a"]) for c in gains} == {4 * 24_000}
    assert night.gain("texture.mist") == 0.0
    assert night.generates() == [0, 1]
    plays = [int(c["frame"]) for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert plays == [at, at]  # the bass, and drums of the density wanted
    assert night.status()["scene"] == "full"
    night.act("next_scene")
    night.run(4.5)
    assert night.playing() == {"drums"}
    assert night.gain("stems.drums", REVERB) == 0.0
    assert night.gain("texture.mist") == pytest.approx(10 ** (-6 / 20))


def test_standby_fades_the_generated_freezes_the_tracker_and_leaves_the_dry() -> None:
    night = Night()
    night.run(6.3)
    assert night.act("standby") == "standby"
    night.run(0.1)
    horn = source_names(TWO).index("input.horn")
    faded = {int(c["slot"]): float(c["x"]) for c in night.of(CommandKind.GAIN)}
    assert horn not in faded
    names = source_names(TWO)
    assert {names[i] for i, g in faded.items() if g == 0.0} == {
        "voice.answer", "texture.mist", "stems.drums", "stems.bass", "stems.fill"
    }  # fmt: skip
    assert night.conductor.clock is not None
    assert night.conductor.clock.held
    assert night.generates() == [1, 1]  # until the fade is over
    night.run(1.0)
    assert night.generates() == [0, 0]
    assert night.act("standby") == "on"
    night.run(0.1)
    assert night.gain("stems.drums") == 1.0
    assert not night.conductor.clock.held
    assert night.generates() == [1, 1]
    assert night.playing() == {"drums"}  # they went on unheard


def test_a_song_chosen_in_standby_begins_with_its_count_in_when_standby_ends() -> None:
    night = Night()
    night.run(6.3)
    night.act("standby")
    night.run(2)
    assert night.act("next_song") == "two: begins when standby ends"
    night.run(5)
    assert not night.playing()
    assert not night.of(CommandKind.CLICK)
    before = len(night.sent)
    pressed = night.now
    night.act("standby")
    night.run(3)
    on, off = night.of(CommandKind.CLICK)
    assert pressed <= on["frame"] < pressed + 0.1 * RATE
    assert off["frame"] - on["frame"] == 3 * 32_000
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert {int(c["frame"]) for c in plays} == {int(off["frame"])}
    assert night.conductor.line is not None
    assert night.conductor.line.bpm == 90.0


def test_a_song_without_count_in_to_a_drummer_waits_for_the_one() -> None:
    clock = replace(TWO.clock, source="listener", listen=("horn",))
    songs = {"one": TWO.songs["one"], "two": replace(TWO.songs["two"], count_in=0)}
    night = Night(replace(TWO, armed=False, clock=clock, songs=songs))
    night.act("this_is_one")
    night.act("let_in")
    night.act("enter", "drums")
    night.run(8.3)
    assert night.playing() == {"drums"}
    night.act("standby")
    night.act("next_song")
    night.act("standby")
    night.run(6)
    assert not night.conductor.let_in
    assert not night.playing()
    assert night.act("let_in") == "first say where the one is"
    night.act("this_is_one")
    night.act("let_in")
    night.run(6)
    assert night.playing() == {"drums"}


def test_an_end_with_a_fill_lets_it_in_for_the_last_bar_and_stops_all_at_the_phrase() -> None:
    night = Night()
    night.run(6.3)
    at = night.boundary(Boundary.PHRASE)
    if at - night.now < 1.2 * 96_000:
        night.run(2.0)
        at = night.boundary(Boundary.PHRASE)
    assert night.act("end") == "ends with the phrase, after a fill"
    before = len(night.sent)
    night.run((at - night.now) / RATE + 0.1)
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert [int(c["frame"]) for c in plays] == [at - 96_000]
    night.run(0.1)
    assert not night.playing()
    assert night.status()["standby"] is True
    stops = [int(c["frame"]) for c in night.sent[before:] if c["kind"] == CommandKind.STEM_STOP]
    assert set(stops) == {at}


def test_an_end_may_be_called_off_and_a_fade_ends_in_standby() -> None:
    night = Night()
    night.conductor.act("song", night.now, ask=_ask(night, 2))
    night.run(12)
    assert night.status()["song"] == "two"
    assert night.act("end") == "fades over 2 bars"
    assert night.act("end") == "called off"
    at = night.boundary(Boundary.BAR)
    night.act("end")
    before = len(night.sent)
    night.run((at - night.now) / RATE + 0.1)
    fades = [c for c in night.sent[before:] if c["kind"] == CommandKind.GAIN]
    assert {(int(c["frame"]), int(c["a"]), float(c["x"])) for c in fades} == {
        (at, 2 * 3 * 32_000, 0.0)
    }
    assert night.act("end") == "it is ending"
    night.run(4.2)
    assert not night.playing()
    assert night.status()["standby"] is True


def test_a_conductor_killed_at_any_moment_of_a_change_comes_back_to_the_same() -> None:
    for delay in (0.05, 1.7, 2.2, 3.0, 4.5):
        night = Night()
        night.run(6.3)
        at = night.boundary(Boundary.PHRASE)
        night.act("next_song")
        night.run(delay)
        night.again()
        night.run(6)
        line = night.conductor.line
        assert line is not None
        assert night.status()["song"] == "two"
        assert line.beat_at(at) % 3 == pytest.approx(0, abs=1e-6)
        assert night.playing() == {"drums", "bass"}
        clicks = [(int(c["frame"]), int(c["slot"])) for c in night.of(CommandKind.CLICK)]
        assert clicks == [(at, 1), (at + 96_000, 0)]


def test_standby_survives_the_conductor() -> None:
    night = Night()
    night.run(6.3)
    night.act("next_scene")
    night.run(3)
    night.act("standby")
    night.run(2)
    night.again()
    night.run(1)
    status = night.status()
    assert (status["song"], status["scene"], status["standby"]) == ("one", "full", True)
    assert night.generates() == [0, 0]
    before = len(night.sent)
    night.act("standby")
    night.run(0.1)
    assert any(c["kind"] == CommandKind.GAIN for c in night.sent[before:])


def test_a_new_audio_process_is_told_the_mix_again() -> None:
    night = Night()
    night.run(6.3)
    night.act("next_scene")
    night.run(4)
    before = len(night.sent)
    night.say(ReportKind.RESUMED, frame=night.now)
    night.run(0.05)
    told = [c for c in night.sent[before:] if c["kind"] == CommandKind.GAIN]
    drums = source_names(TWO).index("stems.drums")
    assert {(int(c["slot"]), int(c["c"])) for c in told} >= {(drums, MAIN), (drums, REVERB)}


def test_a_patch_without_songs_never_speaks_of_gains() -> None:
    night = Night(replace(TWO, songs={}))
    night.run(6.3)
    assert night.act("next_song") == "night is the last song"
    assert night.act("next_scene") == "night has one scene"
    night.say(ReportKind.RESUMED, frame=night.now)
    night.run(6)
    assert not night.of(CommandKind.GAIN)
    assert night.playing() == {"drums", "bass", "fill"}


def test_the_last_song_is_the_last_and_unknown_names_are_told() -> None:
    night = Night()
    said = night.conductor.act("song", night.now, ask=_ask(night, "four"))
    assert said == "song 'four', expected one of one, two, three"
    said = night.conductor.act("scene", night.now, ask=_ask(night, 9))
    assert said == "scene 9, expected one of thin, full"
    night.run(1)
    night.conductor.act("song", night.now, ask=_ask(night, 3))
    night.run(5)
    assert night.act("next_song") == "three is the last song"


def test_commands_fit_their_record() -> None:
    night = Night()
    night.run(3)
    night.act("next_song")
    night.run(6)
    assert all(c.dtype == COMMAND for c in night.sent)


def test_everybody_is_told_the_key_as_they_read_it() -> None:
    horn = replace(TWO.inputs["horn"], written=2)
    night = Night(replace(TWO, inputs={"horn": horn}))
    assert night.status()["key"] == "C major"
    assert night.status()["written"] == {"horn": "D major"}
