"""Risk: a changed patch file is taken by half, steps the sound, or takes the performance down."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conductor_desk import RATE
from songs_desk import MAIN, TWO, Night

from engine import reload as module
from engine.arena import stem_slot_frames
from engine.conductor import Conductor
from engine.layout import CommandKind
from engine.patch import (
    Output,
    Patch,
    Player,
    Role,
    Voice,
)
from engine.patch_change import changed, needs_restart
from engine.patch_now import NOW, patch_now
from engine.reload import Reloader
from engine.reload_check import FILES, NEXT, check_again
from engine.shm import Shared
from engine.song import Scene, Song
from engine.sources import source_names
from engine.stem import StemState
from engine.timeline import Boundary

DRUMS = source_names(TWO).index("stems.drums")


def role(patch: Patch, name: str, **facts: object) -> Patch:
    return replace(patch, roles={**patch.roles, name: replace(patch.roles[name], **facts)})  # type: ignore[arg-type]


LOUDER = role(TWO, "drums", gain_db=6.0, to={"main": -6.0})
FASTER = replace(TWO, songs={**TWO.songs, "one": replace(TWO.songs["one"], bpm=126.0)})


@pytest.mark.parametrize(
    "new",
    [
        LOUDER,
        FASTER,
        replace(TWO, name="another", armed=False),
        replace(TWO, clock=replace(TWO.clock, key=3, minor=True, bpm=130.0)),
        replace(TWO, inputs={"horn": replace(TWO.inputs["horn"], to={"main": -3.0}, written=2)}),
        replace(TWO, songs={**TWO.songs, "four": Song()}),
        role(TWO, "bass", density=0.1, program=30, maker="orpheus"),
    ],
)
def test_musical_changes_need_no_restart(new: Patch) -> None:
    assert changed(TWO, new)
    assert needs_restart(TWO, new, stem_slot_frames(TWO)) == []


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (replace(TWO, soundfont="/other.sf2"), "soundfont"),
        (replace(TWO, outputs={"main": Output((1,))}), "outputs"),
        (replace(TWO, voices={**TWO.voices, "x": Voice()}), "voices.x"),
        (replace(TWO, voices={"answer": Voice(program=3)}), "voices.answer.program"),
        (replace(TWO, audio=replace(TWO.audio, block=64)), "audio.block"),
        (replace(TWO, roles={**TWO.roles, "x": Role()}), "roles.x"),
        (replace(TWO, players={**TWO.players, "mist": Player("rave", "horn")}), "players.mist.to"),
        (replace(TWO, clock=replace(TWO.clock, source="listener")), "clock.source"),
        (role(TWO, "drums", to={"monitor2": 0.0}), "monitor2"),
        (role(TWO, "drums", bars=64), "songs, clock or roles"),
        (replace(TWO, roles=dict(reversed(TWO.roles.items()))), "roles (order)"),
    ],
)
def test_what_a_process_was_built_from_needs_a_restart(new: Patch, said: str) -> None:
    assert any(r.startswith(said) for r in needs_restart(TWO, new, stem_slot_frames(TWO)))


def test_levels_move_on_a_ramp_and_what_plays_goes_on() -> None:
    night = Night()
    night.run(6.3)
    before = len(night.sent)
    playing = [e.id for e in night.conductor.book.entries.values() if e.state is StemState.PLAYING]
    assert night.conductor.take(LOUDER, night.now, []) is None
    night.run(0.05)
    told = [c for c in night.sent[before:] if c["kind"] == CommandKind.GAIN]
    assert [(int(c["slot"]), int(c["c"])) for c in told] == [(DRUMS, MAIN)]
    assert told[0]["x"] == pytest.approx(1.0)  # 6 dB of the role, -6 dB of the send
    assert told[0]["a"] >= 0.02 * RATE
    assert not [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_STOP]
    assert [night.conductor.book.entries[i].state for i in playing] == [StemState.PLAYING]
    # A stem that enters later is played at the level it started with; the mix makes it up.
    night.run(12)
    plays = [c for c in night.sent[before:] if c["kind"] == CommandKind.STEM_PLAY]
    assert {float(c["x"]) for c in plays} == {1.0}


def test_another_tempo_comes_at_the_bar_with_its_phase_kept() -> None:
    night = Night()
    night.run(6.3)
    line = night.conductor.line
    assert line is not None
    at = line.next_boundary(night.now + 4800, Boundary.BAR)
    beat = line.beat_at(at)
    assert night.conductor.take(FASTER, night.now, []) is None
    night.run(2.5)
    line = night.conductor.line
    assert line is not None
    assert line.bpm == 126.0
    assert line.beat_at(at) == pytest.approx(beat, abs=1e-3)
    assert "drums" in night.playing()


def test_a_patch_without_the_song_that_plays_is_refused() -> None:
    night = Night()
    night.run(1)
    fewer = replace(TWO, songs={"two": TWO.songs["two"]})
    assert "one" in str(night.conductor.take(fewer, night.now, []))
    assert night.conductor.patch is TWO


def test_nothing_is_taken_while_a_change_is_under_way() -> None:
    night = Night()
    night.run(7.7)
    night.act("next_song")
    while not night.conductor.programme.busy:
        night.run(0.05)
    assert night.conductor.take(LOUDER, night.now, []) is not None
    night.run(3)
    assert night.conductor.take(LOUDER, night.now, []) is None


def test_a_scene_that_is_gone_gives_way_to_the_first() -> None:
    night = Night()
    night.run(1)
    night.act("next_scene")
    night.run(3)
    one = replace(TWO.songs["one"], scenes={"only": Scene()})
    assert night.conductor.take(replace(TWO, songs={"one": one}), night.now, []) is None
    assert night.status()["scene"] == "only"


# ---- through the files


FILE = """
name: night
voices: {keys: {to: {main: -3}}}
roles: {drums: {to: {main: LEVEL}}}
outputs: {main: {channels: [1, 2]}}
"""


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    from engine.set_load import load_performance

    source = tmp_path / "night.yaml"
    source.write_text(FILE.replace("LEVEL", "0"))
    made = Shared.create(tmp_path / "shared", load_performance(source))
    made.file(FILES).write_text(json.dumps({"patch": str(source)}))
    return made


def write(shared: Shared, text: str) -> None:
    Path(json.loads(shared.file(FILES).read_text())["patch"]).write_text(text)


class Checks:
    """Stands in for the check process: does the same here, and counts."""

    def __init__(self) -> None:
        self.count = self.running = self.most = 0

    async def __call__(self, folder: Path) -> list[str]:
        self.count += 1
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        return check_again(folder)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    made = Checks()
    monkeypatch.setattr(module, "_checked", made)
    monkeypatch.setattr(module, "GAP_S", 0.0)
    return made


def conductor_of(shared: Shared) -> Conductor:
    conductor = Conductor(shared.patch, shared.slots, shared.slot_frames, patch_now(shared))
    conductor.begin(0, RATE)
    conductor.advance(0)
    return conductor


def test_a_broken_file_leaves_the_running_patch_in_force(shared: Shared, checks: Checks) -> None:
    conductor = conductor_of(shared)
    before = conductor.patch
    reloader = Reloader(shared, conductor, lambda _: None)
    for broken in ("", "name: [", FILE.replace("LEVEL", "loud"), "\0", "a: &a [*a]"):
        write(shared, broken)
        answer = asyncio.run(reloader.ask())
        assert answer["problems"], broken
        assert "night.yaml" in answer["error"]
    assert conductor.patch is before
    assert not shared.file(NOW).exists()


def test_a_sound_file_is_taken_and_outlives_the_conductor(shared: Shared, checks: Checks) -> None:
    conductor = conductor_of(shared)
    taken: list[Patch] = []
    reloader = Reloader(shared, conductor, taken.append)
    assert asyncio.run(reloader.ask()) == {"said": "nothing has changed", "changed": []}
    write(shared, FILE.replace("LEVEL", "-12"))
    answer = asyncio.run(reloader.ask())
    assert answer == {"said": "reloaded", "changed": ["roles.drums.to.main"]}
    assert taken == [conductor.patch]
    conductor.advance(0)
    gains = [c[0] for c in conductor.commands if c["kind"][0] == CommandKind.GAIN]
    assert [round(20 * float(np.log10(c["x"]))) for c in gains] == [-12]
    assert any(e["event"] == "reload" for e in conductor.news)
    assert conductor_of(shared).patch.roles["drums"].to == {"main": -12.0}
    assert shared.patch.roles["drums"].to == {"main": 0.0}


def test_what_needs_a_restart_is_said_and_not_half_taken(shared: Shared, checks: Checks) -> None:
    conductor = conductor_of(shared)
    before = conductor.patch
    text = FILE.replace("LEVEL", "-12").replace("keys: {", "keys: {program: 5, ")
    write(shared, text)
    answer = asyncio.run(Reloader(shared, conductor, lambda _: None).ask())
    assert answer["needs_restart"] == ["voices.keys.program"]
    assert "needs a restart" in answer["error"]
    assert conductor.patch is before


def test_fifty_reloads_at_once_are_two_checks(shared: Shared, checks: Checks) -> None:
    conductor = conductor_of(shared)
    reloader = Reloader(shared, conductor, lambda _: None)

    async def many() -> list[dict[str, object]]:
        write(shared, FILE.replace("LEVEL", "-7"))
        first = asyncio.create_task(reloader.ask())
        while checks.running == 0:
            await asyncio.sleep(0)
        return await asyncio.gather(first, *(reloader.ask() for _ in range(50)))

    answers = asyncio.run(many())
    assert checks.count == 2
    assert checks.most == 1
    assert {str(a["said"]) for a in answers} == {"reloaded", "nothing has changed"}


def test_a_check_that_dies_is_told(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    conductor = conductor_of(shared)
    shared.file(FILES).unlink()
    monkeypatch.setattr(module, "GAP_S", 0.0)
    answer = asyncio.run(Reloader(shared, conductor, lambda _: None).ask())
    assert answer["error"] == "the check ended with 1"


def test_the_real_check_writes_what_is_sound(shared: Shared) -> None:
    assert check_again(shared.file("")) == []
    assert Patch.from_json(shared.file(NEXT).read_text()) == shared.patch


@pytest.mark.parametrize(
    ("asked", "what", "new"),
    [
        ("song", "two", LOUDER),
        ("song", "two", FASTER),
        ("song", "three", replace(TWO, songs={**dict(reversed(TWO.songs.items()))})),
        ("scene", "full", LOUDER),
        ("scene", "full", FASTER),
    ],
)
def test_what_a_hand_has_asked_for_comes_although_it_is_reloaded(
    asked: str, what: str, new: Patch
) -> None:
    night = Night()
    night.run(6.3)
    night.choose(asked, what)
    assert night.conductor.take(new, night.now, ["roles"]) is None
    night.run(6)
    assert night.status()[asked] == what
    line = night.conductor.line
    assert line is not None
    song = new.songs[str(night.status()["song"])]
    assert line.bpm == (song.bpm or new.clock.bpm)


def test_a_song_that_is_gone_does_not_come() -> None:
    night = Night()
    night.run(6.3)
    night.choose("song", "two")
    fewer = replace(TWO, songs={"one": TWO.songs["one"], "three": TWO.songs["three"]})
    assert night.conductor.take(fewer, night.now, ["songs.two"]) is None
    night.run(6)
    assert night.status()["song"] == "one"
    assert night.status()["changing"] is False
