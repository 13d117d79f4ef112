"""Risk: a mood or a list of pages that cannot be is taken, or refused without saying where and why;
or one that can be needs a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pads_desk import Pads
from refusals import problems_of

from engine.arena import stem_slot_frames
from engine.ask import Ask
from engine.patch import Output, Patch, Role, Surface, Vibe
from engine.patch_change import changed, needs_restart
from engine.patch_load import load_patch

MODELS = {"fog": "texture", "rules": "stems"}
GOOD = """\
inputs:
  horn: {channel: 1}
players:
  mist: {model: fog, listens: horn, to: {main: 0}}
roles:
  drums: {}
outputs:
  main: {channels: [1, 2]}
vibes:
  storm:
    text: dark
    density: {drums: 0.9}
    players: {mist: [0.5, -1]}
surfaces:
  pads: {pages: [mix, stems]}
"""


def test_moods_and_pages_are_read(tmp_path: Path) -> None:
    path = tmp_path / "patch.yaml"
    path.write_text(GOOD)
    patch = load_patch(path, MODELS)
    assert patch.vibes == {"storm": Vibe("dark", {"drums": 0.9}, {"mist": (0.5, -1.0)})}
    assert patch.surfaces["pads"].pages == ("mix", "stems")
    assert patch.from_json(patch.to_json()) == patch


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "found", "expected"),
    [
        ("drums: 0.9", "drums: 1.5", 12, "vibes.storm.density.drums", "1.5", "from 0 to 1"),
        ("drums: 0.9", "drum: 0.9", 12, "vibes.storm.density.drum", '"drum"', "mean drums?"),
        ("mist: [0.5", "fog: [0.5", 13, "vibes.storm.players.fog", '"fog"', "one of mist"),
        ("[0.5, -1]", "[0.5, -2]", 13, "vibes.storm.players.mist[1]", "-2", "from -1 to 1"),
        ("[0.5, -1]", "[]", 13, "vibes.storm.players.mist", "a list of 0", "a list of 1 to 16"),
        ("[0.5, -1]", "0.5", 13, "vibes.storm.players.mist", "0.5", "a list"),
        ("text: dark", "txt: dark", 11, "vibes.storm.txt", "an unknown key", "mean text?"),
        ("[mix, stems]", "[mix, stem]", 15, "surfaces.pads.pages[1]", '"stem"', "mean stems?"),
        ("[mix, stems]", "[mix, mix]", 15, "surfaces.pads.pages[1]", "mix again", "once"),
        ("[mix, stems]", "mix", 15, "surfaces.pads.pages", '"mix"', "a list"),
    ],
)
def test_each_fault_is_named(
    tmp_path: Path, old: str, new: str, line: int, key: str, found: str, expected: str
) -> None:
    assert old in GOOD
    path = tmp_path / "patch.yaml"
    path.write_text(GOOD.replace(old, new))
    (problem,) = problems_of(load_patch, path, MODELS)
    assert (problem.line, problem.key) == (line, key)
    assert found in problem.found
    assert expected in problem.expected


PATCH = Patch(
    roles={"drums": Role(bars=1)},
    outputs={"main": Output((1, 2))},
    vibes={"storm": Vibe("dark", {"drums": 1.0})},
    surfaces={"pads": Surface()},
)


def test_moods_and_pages_change_while_it_plays() -> None:
    for new in (
        replace(PATCH, vibes={"calm": Vibe()}),
        replace(PATCH, surfaces={"pads": Surface(pages=("mix",))}),
    ):
        assert changed(PATCH, new)
        assert needs_restart(PATCH, new, stem_slot_frames(PATCH)) == []
    other = replace(PATCH, surfaces={"pads": Surface(driver="launchpad-py")})
    assert needs_restart(PATCH, other, stem_slot_frames(PATCH))


def test_a_mood_that_a_reload_takes_away_moves_nothing_any_more() -> None:
    pads = Pads(PATCH)
    pads.desk.let_in()
    now = pads.desk.now
    pads.conductor.act("vibe", now, ask=Ask(now, what="storm", value=1.0))
    assert pads.conductor.steering.density_of(pads.conductor.patch, "drums") == 1.0
    new = replace(PATCH, vibes={"calm": Vibe()})
    assert pads.conductor.take(new, pads.desk.now, ["vibes"]) is None
    assert pads.conductor.steering.density_of(new, "drums") == 0.5
    pads.wait(0.5)
    pads.look()
    assert pads.conductor.act("undo", pads.desk.now).startswith("undone: vibe")
