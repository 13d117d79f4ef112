"""Risk: a fill, a one-shot, an ending or a stem of a choke group begins or ends off its frame, two
of a group sound together, or what a fill covered does not go on where it would have been."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conductor_desk import PATCH, RATE, Desk, playing

from engine.ask import Ask
from engine.kernel import ffi, lib, pointer
from engine.layout import CommandKind, ReportKind
from engine.patch import Role
from engine.state import fresh
from engine.stem import Play, StemState
from engine.stem_orders import CHANGE_FADE_FRAMES
from engine.timeline import Boundary

ROLES = {
    "drums": Role(enter="phrase", bars=2, choke="kit"),
    "perc": Role(enter="bar", leave="beat", bars=1, choke="kit"),
    "bass": Role(enter="bar", bars=1),
    "hit": Role(enter="beat", bars=1, play="once"),
}


def desk_of(**roles: Role) -> Desk:
    desk = Desk(patch=dataclasses.replace(PATCH, roles=roles or ROLES))
    desk.let_in()
    desk.ready()
    desk.run(0.05)
    return desk


def pick(desk: Desk, role: str, state: StemState = StemState.READY, **how: object) -> int:
    """Pick a variation of a role that is in a state; its id."""
    entry = desk.conductor.book.of(role, state)[0]
    ask = Ask(desk.now, role, variation=entry.variation, **how)  # type: ignore[arg-type]
    assert desk.conductor.act("pick", desk.now, ask=ask) == "queued"
    return entry.id


def sent(desk: Desk, kind: CommandKind) -> list[np.void]:
    return [c for c in desk.sent if c["kind"] == kind]


def until_played(desk: Desk, id_: int) -> np.void:
    """Time passes until a stem was sent and has begun."""
    for _ in range(200):
        found = [p for p in desk.plays() if p["id"] == id_]
        if found:
            desk.now = max(desk.now, int(found[-1]["frame"]))
            desk.started(found[-1])
            return found[-1]
        desk.run(0.05)
    raise AssertionError("never sent")


# ---- in the audio process


def rendered(block: int, **fields: int) -> np.ndarray:
    """One stem of 1000 frames, looped from frame 0; float32 (4000,), left."""
    ramp = np.linspace(0.1, 1.0, 1000, dtype=np.float32)
    arena = np.concatenate([ramp, ramp])
    state = fresh()
    stem = state[0]["stems"][0]
    stem["stop"], stem["length"], stem["loop"], stem["gain"] = 2**62, 1000, 1000.0, 1.0
    stem["fade"], stem["id"], stem["state"] = 240, 1, 1
    for name, value in fields.items():
        stem[name] = value
    beats, slicing = ffi.new("seg_beats *", {"per_beat": 1.0}), ffi.new("seg_slicing *")
    out = np.zeros((2, 4000), np.float32)
    marks = np.zeros(2, np.uint32)
    for t in range(0, 4000, block):
        n = min(block, 4000 - t)
        piece = np.zeros((2, n), np.float32)
        lib.seg_stems(
            pointer(state["stems"], "seg_stem *"), 32, pointer(arena), arena.size, pointer(piece),
            n, t, n, beats, slicing,
            pointer(marks, "uint32_t *"), pointer(marks[1:], "uint32_t *"),
        )  # fmt: skip
        out[:, t : t + n] = piece
    return out[0]


@pytest.mark.parametrize("block", [1, 64, 65, 128, 1031])
def test_what_a_fill_covers_goes_on_in_phase_whatever_the_block(block: int) -> None:
    plain, covered = rendered(4000), rendered(block, hush=700, unhush=2500)
    assert np.array_equal(covered[:700], plain[:700])
    assert np.array_equal(covered[2500:], plain[2500:])
    assert not covered[940 : 2500 - 64].any()
    assert np.array_equal(covered, rendered(4000, hush=700, unhush=2500))
    gain = covered[:3000] / plain[:3000]
    assert np.abs(np.diff(gain)).max() < 1 / 60  # no step


def test_what_is_stopped_while_it_is_covered_does_not_come_back() -> None:
    for stop in (1500, 2500):
        assert not rendered(128, hush=700, unhush=2500, stop=stop)[940:].any()


# ---- in the conductor


@pytest.mark.parametrize("at", list(Boundary))
@pytest.mark.parametrize("wait", [0.013, 0.4, 1.7])
def test_a_press_says_which_boundary(at: Boundary, wait: float) -> None:
    desk = desk_of()
    desk.run(wait)
    pressed = desk.now
    play = until_played(desk, pick(desk, "bass", at=at))
    line = desk.conductor.line
    assert line is not None
    if at is Boundary.NOW:
        assert play["frame"] == 0  # with the next block, wherever that is
        assert desk.now - pressed <= RATE * 0.05
    else:
        frame = int(play["frame"])
        assert line.next_boundary(frame, at) == frame
        assert frame - pressed <= (line.beats_of(at) + 0.13) * line.frames_per_beat


def test_a_role_that_enters_now_waits_for_nothing() -> None:
    desk = desk_of(bass=Role(enter="now", bars=1))
    desk.run(0.313)
    pressed = desk.now
    play = until_played(desk, pick(desk, "bass"))
    assert play["frame"] == 0  # with the next block
    assert desk.now - pressed <= RATE * 0.05


def test_a_role_says_where_it_leaves_and_a_press_says_it_again() -> None:
    desk = desk_of()
    line = desk.conductor.line
    assert line is not None
    for at, grid in ((None, Boundary.BEAT), (Boundary.BAR, Boundary.BAR)):
        playing(desk, "perc")
        desk.run(0.3)
        pressed = desk.now
        desk.conductor.act("stop_role", desk.now, ask=Ask(desk.now, "perc", at=at))
        desk.run(2.2)
        stop = sent(desk, CommandKind.STEM_STOP)[-1]
        frame = int(stop["frame"])
        assert line.next_boundary(frame, grid) == frame
        assert 0 < frame - pressed <= line.beats_of(grid) * line.frames_per_beat
        entry = desk.conductor.book.of("perc", StemState.RETIRING)[0]
        desk.say(ReportKind.STEM_ENDED, id=entry.id, slot=entry.voice, frame=frame)


def test_one_of_a_choke_group_takes_the_place_of_the_other_at_one_frame() -> None:
    desk = desk_of()
    playing(desk, "drums")
    drums = desk.plays()[-1]
    play = until_played(desk, pick(desk, "perc"))
    stop = sent(desk, CommandKind.STEM_STOP)[-1]
    assert (stop["slot"], stop["frame"]) == (drums["slot"], play["frame"])
    desk.run(8)
    assert len(desk.plays()) == 2  # what was choked does not come back by itself


def test_the_last_press_of_a_choke_group_counts() -> None:
    desk = desk_of()
    desk.run(0.1)
    first, second = pick(desk, "drums"), pick(desk, "perc")
    assert desk.conductor.book.entries[first].state is StemState.READY
    until_played(desk, second)
    desk.run(5)
    assert [int(p["id"]) for p in desk.plays()] == [second]


def test_a_fill_ends_on_the_boundary_and_the_former_goes_on() -> None:
    desk = desk_of()
    former = playing(desk, "drums")
    voice = int(desk.plays()[-1]["slot"])
    desk.run(0.7)
    fill = pick(desk, "drums", play=Play.FILL, at=Boundary.PHRASE)
    play = until_played(desk, fill)
    line = desk.conductor.line
    assert line is not None
    end = line.next_boundary(desk.now + 1, Boundary.PHRASE)
    assert end - int(play["frame"]) == round(2 * 4 * line.frames_per_beat)
    assert play["y"] == 0.0
    desk.run((end - desk.now) / RATE + 0.01)
    hush = sent(desk, CommandKind.STEM_HUSH)[-1]
    assert (hush["slot"], hush["frame"], hush["b"]) == (voice, play["frame"], end)
    stops = {int(s["slot"]): int(s["frame"]) for s in sent(desk, CommandKind.STEM_STOP)}
    assert stops == {int(play["slot"]): end - CHANGE_FADE_FRAMES}  # gone when it is over
    desk.say(ReportKind.STEM_ENDED, id=fill, slot=int(play["slot"]), frame=end)
    book = desk.conductor.book
    assert book.entries[former].state is StemState.PLAYING
    assert book.entries[fill].state is StemState.DONE


def test_a_fill_follows_a_tempo_that_changes_under_it() -> None:
    desk = desk_of()
    playing(desk, "drums")
    desk.run(0.7)
    until_played(desk, pick(desk, "drums", play=Play.FILL))
    clock, line = desk.conductor.clock, desk.conductor.line
    assert clock is not None
    assert line is not None
    end_beat = line.beat_at(line.next_boundary(desk.now + 1, Boundary.PHRASE))
    clock.set_bpm(123.0)
    desk.run(4.0)
    assert desk.conductor.line is not None
    hush = sent(desk, CommandKind.STEM_HUSH)[-1]
    assert abs(desk.conductor.line.frame_at(end_beat) - int(hush["b"])) <= 2


def test_a_fill_that_was_refused_covers_nothing() -> None:
    desk = desk_of()
    playing(desk, "drums")
    desk.run(0.7)
    fill = pick(desk, "drums", play=Play.FILL)
    while not [p for p in desk.plays() if p["id"] == fill]:
        desk.run(0.05)
    play = desk.plays()[-1]
    desk.now = int(play["frame"]) + 500
    desk.say(ReportKind.STEM_REFUSED, id=fill, slot=int(play["slot"]), a=500, frame=desk.now)
    desk.run(0.02)
    assert sent(desk, CommandKind.STEM_HUSH)[-1]["b"] <= desk.now


def test_an_ending_stops_all_else_where_it_begins_and_the_song_is_over() -> None:
    desk = desk_of()
    for role in ("drums", "bass"):
        playing(desk, role)
    desk.act("enter", "hit")
    before = {int(p["slot"]) for p in desk.plays()}
    ending = pick(desk, "bass", play=Play.ENDING)
    play = until_played(desk, ending)
    at = {int(s["slot"]) for s in sent(desk, CommandKind.STEM_STOP) if s["frame"] == play["frame"]}
    assert at >= before - {int(play["slot"])}
    desk.run(1.9)
    desk.say(ReportKind.STEM_ENDED, id=ending, slot=int(play["slot"]), frame=desk.now)
    assert not desk.conductor.let_in
    assert {"event": "song_over", "frame": desk.now} in desk.conductor.news
    desk.sent.clear()
    desk.run(6)
    assert not desk.plays()


def test_a_role_of_one_shots_plays_once_when_it_is_wanted() -> None:
    desk = desk_of()
    desk.act("enter", "hit")
    desk.run(1)
    play = desk.plays()[0]
    desk.started(play)
    end = int(play["frame"]) + int(play["b"])
    desk.run((end - desk.now) / RATE)
    stop = sent(desk, CommandKind.STEM_STOP)[-1]
    assert int(stop["frame"] + stop["a"]) == end
    desk.say(ReportKind.STEM_ENDED, id=int(play["id"]), slot=int(play["slot"]), frame=end)
    desk.run(4)
    assert len(desk.plays()) == 1


# ---- variations


def test_at_most_four_variations_and_the_pinned_one_stays() -> None:
    desk = desk_of(bass=Role(enter="bar", bars=1, ahead=2))
    book = desk.conductor.book
    first = book.of("bass", StemState.READY)[0].id
    assert desk.act("pin_stem", stem=first) == "pinned"
    for _ in range(9):
        assert desk.act("regenerate", "bass") == "asked"
        desk.ready()
        desk.run(0.02)
    kept = book.of("bass", StemState.READY)
    assert sorted(e.variation for e in kept) == [1, 2, 3, 4]
    assert first in {e.id for e in kept}
    assert desk.act("pin_stem", stem=first) == "loose"


def test_no_place_is_taken_from_what_plays_waits_or_is_pinned() -> None:
    desk = desk_of(bass=Role(enter="bar", bars=1, ahead=4))
    book = desk.conductor.book
    playing(desk, "bass")
    for entry in book.of("bass", StemState.READY):
        book.pin(entry.id, desk.now)
    assert desk.act("regenerate", "bass") == "no room"
    assert {e.variation for e in book.entries.values()} == {1, 2, 3, 4}
