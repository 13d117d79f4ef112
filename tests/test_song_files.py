"""Risk: a song, scene or set that cannot be played is only noticed on stage, or a good one is
refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from refusals import problems_of

from engine.arena import stem_slot_frames
from engine.patch import Patch
from engine.patch_schema import json_schema
from engine.set_load import load_performance
from engine.song import SetList, key_name, songs_of

MODELS = {"rules": "stems", "notochord": "notes", "rave": "texture"}
HEAD = """
name: night
clock: {bpm: 120, key: 2, minor: true}
inputs: {horn: {channel: 1, dry: jack, to: {main: 0}}}
voices: {keys: {to: {main: -3}}, answer: {to: {main: -6}}}
roles: {drums: {}, bass: {}, fill: {bars: 1}}
outputs: {main: {channels: [1, 2]}, click: {channels: [3]}}
"""
SONGS = """
songs:
  one:
    bpm: 90
    count_in: 1
    scenes:
      thin: {stems: {bass: {play: false}}, mix: {stems.drums: {main: -9}}, glide: 4}
      full: {stems: {bass: {density: 0.8}}, voices: {keys: false}, enter: phrase}
    ending: {kind: fill, role: fill}
  two: {beats_per_bar: 3, key: 7, minor: false, ending: {kind: fade, bars: 8}}
"""


def load(folder: Path, text: str, name: str = "p.yaml") -> Patch:
    (folder / name).write_text(text)
    return load_performance(folder / name, models=MODELS)


def faults(folder: Path, text: str) -> list[str]:
    found = problems_of(load, folder, text)
    return [f"{p.line} {p.key}: {p.found} / {p.expected}" for p in found]


def test_songs_take_from_the_patch_what_they_leave_out(tmp_path: Path) -> None:
    patch = load(tmp_path, HEAD + SONGS)
    one, two = songs_of(patch)
    assert (one.bpm, one.key, one.minor, one.beats_per_bar) == (90, 2, True, 4)
    assert (two.bpm, two.key, two.minor, two.beats_per_bar) == (120, 7, False, 3)
    assert list(one.scenes) == ["thin", "full"]
    assert list(two.scenes) == ["all"]
    assert Patch.from_json(patch.to_json()) == patch


def test_a_patch_without_songs_is_one_song(tmp_path: Path) -> None:
    (song,) = songs_of(load(tmp_path, HEAD))
    assert (song.name, song.bpm, song.count_in, song.ending.kind) == ("night", 120, 0, "phrase")
    (scene,) = song.scenes.values()
    assert (scene.stems, scene.mix, scene.players) == ({}, {}, {})


def test_the_arena_holds_the_stems_of_the_slowest_song(tmp_path: Path) -> None:
    slow = load(tmp_path, HEAD + "songs: {slow: {bpm: 60}, fast: {bpm: 200}}")
    assert stem_slot_frames(slow) > 4 * 4 * 48000


@pytest.mark.parametrize(
    ("songs", "line", "key"),
    [
        ("songs: {a: {bpm: 1000}}", 9, "songs.a.bpm"),
        ("songs:\n  a:\n    count_in: 1.5", 11, "songs.a.count_in"),
        ("songs: {a: {scenes: {s: {stems: {drum: {}}}}}}", 9, "songs.a.scenes.s.stems.drum"),
        ("songs: {a: {scenes: {s: {voices: {key: true}}}}}", 9, "songs.a.scenes.s.voices.key"),
        ("songs: {a: {scenes: {s: {voices: {keys: 1}}}}}", 9, "songs.a.scenes.s.voices.keys"),
        ("songs: {a: {scenes: {s: {players: {x: false}}}}}", 9, "songs.a.scenes.s.players.x"),
        ("songs: {a: {scenes: {s: {mix: {x: {main: 0}}}}}}", 9, "songs.a.scenes.s.mix.x"),
        ("songs: {a: {scenes: {s: {mix: {click: {main: 0}}}}}}", 9, "songs.a.scenes.s.mix.click"),
        (
            "songs: {a: {scenes: {s: {mix: {stems.bass: {mian: 0}}}}}}",
            9,
            "songs.a.scenes.s.mix.stems.bass.mian",
        ),
        (
            "songs: {a: {scenes: {s: {mix: {input.horn: {main: 0}}}}}}",
            9,
            "songs.a.scenes.s.mix.input.horn.main",
        ),
        (
            "songs: {a: {scenes: {s: {mix: {effect.reverb: {delay: 0}}}}}}",
            9,
            "songs.a.scenes.s.mix.effect.reverb.delay",
        ),
        ("songs: {a: {ending: {kind: fill}}}", 9, "songs.a.ending.role"),
        ("songs: {a: {ending: {kind: fade, role: fill}}}", 9, "songs.a.ending.role"),
        ("songs: {a: {ending: {kind: fill, role: fil}}}", 9, "songs.a.ending.role"),
        ("songs: {a: {bpm: 20, beats_per_bar: 32}}", 6, "roles.drums.bars"),
        ("songs: {a: {enter: beat}}", 9, "songs.a.enter"),
        ("midi: {k: {pedals: {next_sing: 80}}}", 9, "midi.k.pedals.next_sing"),
        ("midi: {k: {pedals: {next_song: 200}}}", 9, "midi.k.pedals.next_song"),
    ],
)
def test_what_cannot_be_played_is_named_by_line_and_key(
    tmp_path: Path, songs: str, line: int, key: str
) -> None:
    found = faults(tmp_path, HEAD + "\n" + songs)
    assert any(f.startswith(f"{line} {key}: ") for f in found), found


def test_a_set_plays_its_songs_in_order_as_one_patch(tmp_path: Path) -> None:
    load(tmp_path, HEAD + SONGS, "a.yaml")
    other = HEAD.replace("name: night", "name: later").replace("bpm: 120", "bpm: 70")
    load(tmp_path, other.replace("drums: {}, ", "pads: {}, "), "b.yaml")
    text = (
        "name: both\nsongs:\n"
        "  - {patch: a.yaml, song: two}\n  - {patch: b.yaml}\n  - {patch: a.yaml}\n"
    )
    whole = load(tmp_path, text, "set.yaml")
    assert whole.name == "both"
    assert list(whole.songs) == ["two", "later", "one", "two-2"]
    assert set(whole.roles) == {"drums", "bass", "fill", "pads"}
    later = songs_of(whole)[1]
    (scene,) = later.scenes.values()
    assert later.bpm == 70
    assert not scene.stems["drums"].play
    assert "bass" not in scene.stems
    assert not songs_of(whole)[2].scenes["thin"].stems["pads"].play


def test_patches_that_cannot_be_played_together_are_named_at_their_entry(tmp_path: Path) -> None:
    load(tmp_path, HEAD, "a.yaml")
    load(tmp_path, HEAD.replace("-3", "-4").replace("name", "armed: true\nname"), "b.yaml")
    found = faults(tmp_path, "songs:\n  - {patch: a.yaml}\n  - {patch: b.yaml}\n")
    assert [f.split(" / ")[0] for f in found] == [
        "3 songs[1].patch: another armed than in a.yaml",
        "3 songs[1].patch: another voices.keys than in an earlier patch",
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{patch: none.yaml}", "no such file"),
        ("{patch: a.yaml, song: nought}", "a song of a.yaml"),
        ("{song: one}", "songs[0].patch"),
        ("7", "songs[0]"),
    ],
)
def test_a_set_names_what_is_not_there(tmp_path: Path, entry: str, said: str) -> None:
    load(tmp_path, HEAD + SONGS, "a.yaml")
    assert any(said in f for f in faults(tmp_path, f"songs: [{entry}]")), entry


def test_the_schema_of_a_set_knows_its_songs() -> None:
    schema = json_schema(SetList)
    assert schema["properties"]["songs"]["items"]["required"] == ["patch"]
    assert "scenes" in json_schema()["properties"]["songs"]["additionalProperties"]["properties"]


def test_a_key_is_named_as_it_sounds_and_as_it_is_written() -> None:
    assert key_name(10, False) == "B flat major"
    assert key_name(10, False, written=2) == "C major"
    assert key_name(0, True, written=-3) == "A minor"
