"""Risk: a wrong patch starts something, or is refused without saying where and why."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest
from refusals import problems_of

from engine.patch_fields import FIELDS
from engine.patch_load import PatchError, Problem, load_patch
from engine.patch_yaml import MAX_BYTES, MAX_DEPTH, MAX_PROBLEMS, UNPRINTED

MODELS = {"answerer": "notes", "fog": "texture", "rules": "stems"}
GOOD = """\
name: good
clock:
  bpm: 100
inputs:
  horn:
    channel: 1
    to: {main: 0, reverb: -12}
midi:
  keys:
    port: "Piano"
    voice: piano
voices:
  piano:
    program: 0
    to: {main: 0}
players:
  answer:
    model: answerer
    listens: keys
    voice: piano
  mist:
    model: fog
    listens: horn
    to: {main: -12}
roles:
  drums:
    maker: rules
    bars: 4
outputs:
  main:
    channels: [1, 2]
cv:
  pitch:
    channel: 7
    source: piano
"""


def problems(tmp_path: Path, text: str | bytes) -> list[Problem]:
    path = tmp_path / "patch.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    found = problems_of(load_patch, path, MODELS)
    assert {p.file for p in found} == {str(path)}
    return found


def only(tmp_path: Path, text: str | bytes) -> Problem:
    found = problems(tmp_path, text)
    assert len(found) == 1, found
    return found[0]


def test_the_good_patch_loads(tmp_path: Path) -> None:
    path = tmp_path / "patch.yaml"
    path.write_text(GOOD)
    patch = load_patch(path, MODELS)
    assert patch.inputs["horn"].to == {"main": 0.0, "reverb": -12.0}
    assert patch.outputs["main"].channels == (1, 2)
    assert patch.from_json(patch.to_json()) == patch


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "found", "expected"),  # line 0: the one after the last
    [
        # keys
        ("bpm:", "bmp:", 3, "clock.bmp", "an unknown key", "did you mean bpm?"),
        ("clock:", "clocks:", 2, "clocks", "an unknown key", "did you mean clock?"),
        ("  bpm: 100", "  bpm: 100\n  bpm: 90", 4, "clock.bpm", "a second time", "each key once"),
        ("  main:\n    ch", "  mian:\n    ch", 30, "outputs.mian", "unknown name", "mean main?"),
        ("drums:", "2drums:", 26, "roles.2drums", '"2drums"', "a letter"),
        ("  horn:", "  7:", 5, "inputs", "7 as a key", "a name"),
        ("    channels: [1, 2]", "    limit: true", 30, "outputs.main.channels", "nothing", "list"),
        # types
        ("bpm: 100", "bpm: fast", 3, "clock.bpm", 'the text "fast"', "a number from 20 to 400"),
        ("bpm: 100", "bpm: true", 3, "clock.bpm", "true", "a number from 20 to 400"),
        ("bpm: 100", 'bpm: "100"', 3, "clock.bpm", 'the text "100"', "a number"),
        ("bpm: 100", "bpm: [100]", 3, "clock.bpm", "a list of 1", "a number"),
        ("bpm: 100", "bpm: 1:40", 3, "clock.bpm", 'the text "1:40"', "a number"),
        ("bpm: 100", "bpm:", 3, "clock.bpm", "nothing", "a number"),
        ("bars: 4", "bars: 4.0", 28, "roles.drums.bars", "4.0", "a whole number from 1 to 64"),
        ("name: good", "armed: yes", 1, "armed", 'the text "yes"', "true or false"),
        ("name: good", "armed: 1", 1, "armed", "1", "true or false"),
        ("name: good", "name: 5", 1, "name", "5", "a name"),
        ("clock:\n  bpm: 100", "clock: 100", 2, "clock", "100", "a mapping of bpm"),
        ("channels: [1, 2]", "channels: 1", 31, "outputs.main.channels", "1", "a list"),
        (
            "channels: [1, 2]",
            "channels: [1, yes, true]",
            31,
            "outputs.main.channels[2]",
            "true",
            "",
        ),
        # ranges
        ("bpm: 100", "bpm: 0", 3, "clock.bpm", "0", "from 20 to 400 beats a minute"),
        ("bpm: 100", "bpm: 10000", 3, "clock.bpm", "10000", "from 20 to 400 beats a minute"),
        ("bpm: 100", "bpm: .nan", 3, "clock.bpm", "not a number", "from 20 to 400"),
        ("bpm: 100", "bpm: .inf", 3, "clock.bpm", "infinity", "from 20 to 400"),
        ("bpm: 100", "bpm: 1e999", 3, "clock.bpm", "infinity", "from 20 to 400"),
        ("reverb: -12", "reverb: 30", 7, "inputs.horn.to.reverb", "30", "from -90 to 24 dB"),
        ("channel: 1\n", "channel: 0\n", 6, "inputs.horn.channel", "0", "a channel from 1 to 64"),
        ("program: 0", "program: 128", 14, "voices.piano.program", "128", "from 0 to 127"),
        ("channels: [1, 2]", "channels: []", 31, "outputs.main.channels", "a list of 0", "1 to 64"),
        ('    port: "Piano"', '    port: "("', 10, "midi.keys.port", "unterminated", "compiles"),
        ('    port: "Piano"', '    port: "[[a]]"', 10, "midi.keys.port", "nested set", "compiles"),
        # references
        ("reverb: -12", "revreb: -12", 7, "inputs.horn.to.revreb", "unknown bus", "mean reverb?"),
        (
            "    voice: piano\nv",
            "    voice: pino\nv",
            11,
            "midi.keys.voice",
            '"pino"',
            "mean piano?",
        ),
        ("listens: keys", "listens: horn", 19, "players.answer.listens", '"horn"', "one of keys"),
        ("listens: horn", "listens: hrn", 23, "players.mist.listens", '"hrn"', "mean horn?"),
        ("model: fog", "model: frog", 22, "players.mist.model", '"frog"', "mean fog?"),
        (
            "model: fog",
            "model: rules",
            22,
            "players.mist.model",
            "the kind stems",
            "notes or texture",
        ),
        ("maker: rules", "maker: fog", 27, "roles.drums.maker", "the kind texture", "rules"),
        ("source: piano", "source: harp", 35, "cv.pitch.source", '"harp"', "one of piano"),
        ("  bpm: 100", "  listen: [hrn]", 3, "clock.listen[0]", '"hrn"', "mean horn?"),
        ("  bpm: 100", "  source: listener", 2, "clock.listen", "nothing to listen", "inputs"),
        ("    channel: 1\n", "    stream: hron\n", 6, "inputs.horn.stream", '"hron"', "performer"),
        ("    channel: 1\n", "    trim_db: 0\n", 5, "inputs.horn.channel", "nothing", "a channel"),
        ("    to: {main: -12}", "    to: {}", 24, "players.mist.to", "nowhere", "a bus"),
        (
            "listens: keys",
            "listens: keys\n    to: {cue: 0}",
            20,
            "players.answer.to",
            "notes",
            "voice",
        ),
        (
            "listens: horn",
            "listens: horn\n    midi_out: x",
            24,
            "players.mist.midi_out",
            "textures",
            "to",
        ),
        ("bars: 4", "bars: 32", 28, "roles.drums.bars", "last 77 s at 100 BPM", "at most 64 s"),
        # routes and channels
        ("channel: 1\n", "stream: mist\n", 6, "inputs.horn.stream", "horn <- mist <- horn", "ends"),
        ("channel: 7", "channel: 2", 34, "cv.pitch.channel", "outputs.main", "destroy a speaker"),
        ("channels: [1, 2]", "channels: [1, 1]", 31, "outputs.main.channels[1]", "again", "once"),
        # files
        ("name: good", "soundfont: no.sf2", 1, "soundfont", "no file there", "no.sf2"),
        ("name: good", "soundfont: patch.yaml", 1, "soundfont", "no SoundFont", "SoundFont 2"),
        ("name: good", "soundfont: ~/a.sf2", 1, "soundfont", "~/a.sf2", "no ~"),
        (
            "model: fog",
            "model: fog\n    checkpoint: x.ts",
            23,
            "players.mist.checkpoint",
            "x.ts",
            "",
        ),
        # YAML itself
        ("name: good", "name: &a good", 1, "name", "the anchor &a", "without an anchor"),
        ("name: good", "name: *a", 1, "name", "the alias *a", "the value itself"),
        ("name: good", "name: !!python/name:os.system x", 1, "name", "the tag", "without a tag"),
        ("name: good", "name: 'good", 0, "", "not YAML", "YAML"),
        ("name: good", "name: go\0od", 1, "", "U+0000", "plain text"),
        ("clock:", "---\nclock:", 2, "", "a second document", "one patch"),
    ],
)
def test_one_fault_one_error(
    tmp_path: Path, old: str, new: str, line: int, key: str, found: str, expected: str
) -> None:
    assert GOOD.count(old) == 1
    problem = only(tmp_path, GOOD.replace(old, new))
    assert problem.key == key
    assert found in problem.found
    assert expected in problem.expected
    assert problem.line == (line or GOOD.count("\n") + 1)


def test_circle_through_two_inputs(tmp_path: Path) -> None:
    text = """\
inputs:
  a: {stream: p}
  b: {stream: q}
players:
  p: {model: fog, listens: b, to: {main: 0}}
  q: {model: fog, listens: a, to: {main: 0}}
outputs: {main: {channels: [1]}}
"""
    found = problems(tmp_path, text)
    assert [(p.line, p.key) for p in found] == [(2, "inputs.a.stream"), (3, "inputs.b.stream")]
    assert "a <- p <- b <- q <- a" in found[0].found


def test_channel_shared_by_two_outputs(tmp_path: Path) -> None:
    problem = only(tmp_path, "outputs:\n  main: {channels: [1, 2]}\n  cue:\n    channels: [2]\n")
    assert (problem.line, problem.key) == (4, "outputs.cue.channels[0]")
    assert "outputs.main.channels[1]" in problem.found


def test_two_voltages_on_one_channel(tmp_path: Path) -> None:
    problem = only(tmp_path, GOOD + "  gate: {channel: 7, source: piano, kind: gate}\n")
    assert (problem.line, problem.key) == (36, "cv.gate.channel")


def test_all_faults_are_told_at_once_in_order_of_line(tmp_path: Path) -> None:
    text = GOOD.replace("bpm: 100", "bpm: 0").replace("bars: 4", "bars: 0").replace("fog", "frog")
    found = problems(tmp_path, text)
    assert [(p.line, p.key) for p in found] == [
        (3, "clock.bpm"),
        (22, "players.mist.model"),
        (28, "roles.drums.bars"),
    ]


def test_a_flood_of_faults_is_cut_off(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "".join(f"wrong{i}: 1\n" for i in range(900)))) == MAX_PROBLEMS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[" * (MAX_BYTES - 1), f"nesting deeper than {MAX_DEPTH} levels"),
        ("{a: " * 30000, f"nesting deeper than {MAX_DEPTH} levels"),
        ("- " * 60000, f"nesting deeper than {MAX_DEPTH} levels"),
        ("? " * 60000, f"nesting deeper than {MAX_DEPTH} levels"),
        ("".join("  " * i + "a:\n" for i in range(300)), "nesting deeper"),
        ("[" * 1_000_000, "more than 128 KiB"),
        ("x: [" + "1," * 50000 + "]", "more than 4000 values"),
        # The billion laughs: the first anchor is refused, nothing is ever expanded.
        ('a: &a ["lol"]\nb: &b [*a, *a]\nc: &c [*b, *b]\n', "the anchor &a"),
        ("", "an empty file"),
        ("# only a comment\n", "an empty file"),
        (b"\xff\xfe\x00", "the byte 0xff"),
        (b"name: \x80\n", "the byte 0x80"),
    ],
)
def test_hostile_files_are_refused_whole(tmp_path: Path, text: str | bytes, found: str) -> None:
    assert found in only(tmp_path, text).found


@pytest.mark.parametrize("mark", ["\\n", "\\e[2J", "\\0", "\\u2028", "\\ud800"])
def test_what_would_write_to_a_terminal_is_no_text_and_is_not_repeated(
    tmp_path: Path, mark: str
) -> None:
    """\\ud800 is half a character: what a stream does not write at all."""
    name = only(tmp_path, GOOD.replace("name: good", f'name: "a{mark}b"', 1))
    key = only(tmp_path, GOOD.replace("  mist:", f'  "mi{mark}st":'))
    assert "control character" in name.found
    for problem in (name, key):
        assert not UNPRINTED.search(str(problem))
        str(problem).encode()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.yaml"
    os.mkfifo(fifo)
    for path, found in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "a folder")):
        with pytest.raises(PatchError, match=found):
            load_patch(path, MODELS)
    with pytest.raises(PatchError, match="no plain file"):
        load_patch(fifo, MODELS)


def test_paths_are_relative_to_the_patch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.sf2").write_bytes(b"RIFF\0\0\0\0sfbk")
    (tmp_path / "set" / "x.ts").write_bytes(b"")
    path = tmp_path / "set" / "patch.yaml"
    text = GOOD.replace("model: fog", "model: fog\n    checkpoint: ./x.ts")
    path.write_text("soundfont: a.sf2\n" + text)
    monkeypatch.chdir(tmp_path)
    patch = load_patch("set/patch.yaml", MODELS)
    assert patch.soundfont == str(tmp_path / "set" / "a.sf2")
    assert patch.players["mist"].checkpoint == str(tmp_path / "set" / "x.ts")


@pytest.mark.parametrize("of", FIELDS, ids=lambda of: of.__name__)
def test_the_table_names_every_field(of: type) -> None:
    assert list(FIELDS[of]) == [f.name for f in fields(of)]  # type: ignore[arg-type]
