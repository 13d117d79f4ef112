"""Risk: a SoundFont that changes or vanishes under a performance keeps the audio process from ever
coming back, or a reload keeps quiet about it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stage import PATCH, RATE, Stage, interface, music, soon

from engine import reload, soundfont
from engine.bench.jackd import JackServer
from engine.conductor import Conductor
from engine.patch import Patch
from engine.reload import Reloader
from engine.reload_check import FILES, check_again
from engine.set_load import load_performance
from engine.shm import Shared
from engine.soundfont import find_again, find_soundfont, remember

SYSTEM = find_soundfont(Patch())


@pytest.fixture
def font(tmp_path: Path) -> Path:
    assert SYSTEM is not None
    return Path(shutil.copy(SYSTEM, tmp_path / "own font.sf2"))


def test_what_is_as_it_was_is_not_proved_again(
    tmp_path: Path, font: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch = replace(Patch(), soundfont=str(font))
    remember(tmp_path, patch)
    monkeypatch.setattr(soundfont, "prove", lambda *_: pytest.fail("it was proved before"))
    assert find_again(tmp_path, patch) == (font, "")


@pytest.mark.parametrize("became", [b"RIFF and then nothing", b"", None])
def test_what_is_no_soundfont_any_more_gives_way_to_the_systems(
    tmp_path: Path, font: Path, became: bytes | None
) -> None:
    patch = replace(Patch(), soundfont=str(font))
    remember(tmp_path, patch)
    font.unlink()
    if became is not None:
        font.write_bytes(became)
    found, said = find_again(tmp_path, patch)
    assert found == SYSTEM
    assert str(font) in said
    assert str(SYSTEM) in said


def test_where_none_is_left_voices_are_silent_and_it_is_said(
    tmp_path: Path, font: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundfont, "PLACES", ())
    patch = replace(Patch(), soundfont=str(font))
    remember(tmp_path, patch)
    font.unlink()
    found, said = find_again(tmp_path, patch)
    assert found is None
    assert "silent" in said


def test_another_sound_font_of_that_name_is_taken_once_it_is_proved(
    tmp_path: Path, font: Path
) -> None:
    patch = replace(Patch(), soundfont=str(font))
    remember(tmp_path, patch)
    os.utime(font, (1, 1))
    assert find_again(tmp_path, patch) == (font, "")


def test_a_reload_says_that_it_takes_a_restart(
    tmp_path: Path, font: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "night.yaml"
    source.write_text(f'soundfont: "{font}"\noutputs: {{main: {{channels: [1]}}}}\n')
    shared = Shared.create(tmp_path / "shared", load_performance(source))
    shared.file(FILES).write_text(json.dumps({"patch": str(source)}))
    assert shared.folder is not None
    remember(shared.folder, shared.patch)

    async def checked(folder: Path) -> list[str]:
        return check_again(folder)

    monkeypatch.setattr(reload, "_checked", checked)
    monkeypatch.setattr(reload, "GAP_S", 0.0)
    conductor = Conductor(shared.patch, shared.slots, shared.slot_frames)
    reloader = Reloader(shared, conductor, lambda _: None)
    assert asyncio.run(reloader.ask())["said"] == "nothing has changed"
    os.utime(font, (1, 1))
    assert "restart" in asyncio.run(reloader.ask())["said"]
    source.write_text(source.read_text() + "name: other\n")
    answer = asyncio.run(reloader.ask())
    assert answer["said"].startswith("reloaded; ")
    assert "restart" in answer["said"]


@pytest.mark.jack
@pytest.mark.slow
def test_the_sound_comes_back_although_the_soundfont_is_gone(tmp_path: Path, font: Path) -> None:
    patch = f'soundfont: "{font}"\n' + PATCH
    with JackServer(inputs=2, outputs=2) as server, interface(server, music(10)) as witness:
        with Stage(server, tmp_path, patch=patch) as stage:
            stage.wait_sound()
            font.write_bytes(b"RIFF and then nothing")
            stage.kill("devices.audio.process")
            soon(lambda: len(stage.events("resumed")) > 1, "another audio process")
            back = int(stage.events("resumed")[-1]["frame"])
            soon(lambda: stage.sounds() and stage.frame() > back + 2 * RATE, "its sound")
            missing = json.loads(stage.shared.file("audio.json").read_text())["missing"]
            assert any(str(font) in line for line in missing)
        heard = witness.recording().between(back + RATE, back + 2 * RATE)
    assert np.abs(heard[:, 0]).max() > 0.1
