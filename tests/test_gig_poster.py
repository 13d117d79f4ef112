"""Risk: the picture of a night hides what went wrong, or floods it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from engine.gig.hearing import CAPTURED, STEMS, loops_of
from engine.gig.judge import KEYS, Finding
from engine.gig.night import Night, Song
from engine.gig.players import RATE, NightPlayed
from engine.gig.poster import LASTING, WORDS, _stems, _with_faults, poster
from engine.gig.song import Do, evening
from engine.picture import Lane

PLAN = evening(3.0, RATE)


def night(frames: int = PLAN.frames) -> Night:
    songs = [Song(s.plan.name, int(s.frames[0]), s.end, s.beats) for s in PLAN.songs]
    quiet = np.zeros(frames, np.float32)
    main = np.zeros((frames, 2), np.float32)
    return Night(RATE, 0, songs, main, stems=dict.fromkeys((*STEMS, "fills"), quiet))


def test_findings_near_each_other_are_told_once_and_why() -> None:
    found = [Finding("clicks", "main", 12_800 + k * 128) for k in range(4)]
    found += [Finding("clicks", "main", 10 * RATE), Finding("stuck_notes", "answers", 5)]
    found += [Finding("stem_place_errors", "bass", 20 * RATE, 3 * RATE)]
    of = replace(night(), missed=[12_800])
    main = _with_faults(Lane("main", "main", []), found, of)
    assert [m.text for m in main.marks] == [
        "a click, 4 of them (a missed cycle)",
        "a click (segue's own)",
    ]
    bass = _with_faults(Lane("bass", "stem", []), found, of)
    assert bass.marks[0].text.endswith("or nothing, for 3.0 s")
    many = [Finding("clicks", "main", 3 * k * RATE + 50) for k in range(40)]
    flood = _with_faults(Lane("main", "main", []), many, of).marks
    assert len(flood) == 13
    assert flood[-1].text == "a click: 28 times more, up to the end"


def test_stems_are_cut_where_another_was_asked_for() -> None:
    song = PLAN.songs[0]
    left = NightPlayed(presses=[(song.at(2.5), Do.QUEUE, "bass"), (song.at(6.5), Do.QUEUE, "bass")])
    of = replace(night(), loops=loops_of(PLAN, left))
    bass = of.stems["bass"].copy()
    bass[song.at(4) : song.at(12)] = 0.1
    spans = _stems("bass", PLAN, replace(of, stems={**of.stems, "bass": bass}), left)
    assert [s.label for s in spans] == ["stem 1", "stem 2"]
    assert abs(spans[1].start_s - song.at(8) / RATE) < 1e-3


def test_what_hands_asked_for_is_where_stems_have_to_be() -> None:
    song, last = PLAN.songs[0], PLAN.songs[-1]
    presses = [
        (song.at(2.5), Do.QUEUE, "bass"),
        (song.at(8.1), Do.CAPTURE, "loops"),
        (song.at(11.99), Do.QUEUE, "bass"),  # at once, or a phrase later
        (song.at(13.0), Do.STOP, "loops"),
        (last.at(2.5), Do.QUEUE, "percussion"),
    ]
    bass, loops, percussion = loops_of(PLAN, NightPlayed(presses=presses))
    assert bass.lines == (song.at(4), song.at(16))[: len(bass.lines)]
    assert (song.at(12), song.at(16)) in bass.hidden or len(bass.lines) == 1
    assert loops.lines == (song.at(12),)
    assert loops.end == song.at(16)
    assert (percussion.struck, percussion.song) == (True, last.plan.name)
    assert percussion.end == last.at(last.plan.bars - 2)


def test_every_key_has_words_and_a_picture_is_drawn(tmp_path: Path) -> None:
    assert set(LASTING) <= set(WORDS) <= set(KEYS)
    assert set(STEMS) < set(CAPTURED)
    path = tmp_path / "night.png"
    poster(PLAN, night(), NightPlayed(), [Finding("clicks", "main", 50)], path)
    with Image.open(path) as image:
        assert image.width == 1600
