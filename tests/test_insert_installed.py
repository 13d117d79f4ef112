"""Risk: plug-ins that people really have do not load, or do not come again in a replay."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from recorded_stage import RecordedStage

from engine.patch import Input, Insert, Output, Patch
from engine.plugin import PluginError
from engine.plugin_proof import prove_patch
from engine.replay import Replay
from engine.replay_check import check
from engine.session import read_session

PLACES = (Path("/usr/lib/vst3"), Path("/usr/local/lib/vst3"), Path.home() / ".vst3")
MOST = 4
RATE = 48000


@pytest.mark.slow
def test_effects_of_this_machine_play_and_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [path for place in PLACES for path in sorted(place.glob("*.vst3"))]
    if not found:
        pytest.skip("no VST3 plug-ins here; Debian 13 and Ubuntu have dragonfly-reverb-vst3")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    played = 0
    for path in found:
        insert = Insert(vst3=str(path))
        mic = Input(channel=1, to={"main": 0.0}, insert=insert)
        patch = Patch(inputs={"mic": mic}, outputs={"main": Output((1, 2))})
        try:
            proofs = {source: asdict(p) for source, p in prove_patch(patch).items()}
        except PluginError:
            continue  # an instrument, or too slow here: it says so, and no more is asked
        stage = RecordedStage(tmp_path / path.stem, patch, inserts=proofs)
        rng = np.random.default_rng(1)
        sound = (0.2 * rng.standard_normal((2 * RATE, 1))).astype(np.float32)
        sound[RATE:] = 0.0
        out = stage.play(sound, each=lambda _, s=stage: s.turn())
        stage.turn()
        stage.recording.close()
        assert np.isfinite(out).all()
        assert out[:RATE].any()
        if proofs["input.mic"]["repeats"]:
            session = read_session(tmp_path / path.stem)
            result = check(session, Replay(session))
            assert result.equal, path
        played += 1
        if played == MOST:
            break
    assert played or not any("Dragonfly" in p.name for p in found)
