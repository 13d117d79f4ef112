"""What a new audio process takes over from the snapshot that its predecessor left: its voices as
they were, its sounding notes, and the notes that waited. Not real-time safe: before the first
block."""

from __future__ import annotations

import numpy as np

from engine.admission import Due, NoteIntake
from engine.layout import NoteKind
from engine.patch import Patch
from engine.sampler import SampledVoice
from engine.voice_memory import BEND_MIDDLE, SUSTAIN, SUSTAINED_FROM, UNSET, told

Sounding = tuple[int, int, int]  # voice, key, velocity


def forget_notes(state: np.ndarray, snapshot: np.ndarray, intakes: list[NoteIntake]) -> np.ndarray:
    """A snapshot of long ago, and the state begun from it, without what sounded then: who would
    release it may have found no room in its ring. Returns the snapshot as it is now."""
    snapshot = snapshot.copy()
    for which in (state, snapshot):
        which[0]["notes"] = 0
        for place, intake in zip(which[0]["intakes"], intakes, strict=False):
            place["epoch"] = intake.epoch
    return snapshot


def take_over(
    patch: Patch,
    state: np.void,
    voices: list[SampledVoice | None],
    intakes: list[NoteIntake],
    long_ago: bool = False,
) -> list[Sounding]:
    """Voices are told again what they were told. Returns the notes that sounded: those that their
    producers have not released by the first block start again with it. state: a record of
    engine/state.py. long_ago: notes that waited meanwhile come to nothing."""
    notes: list[Sounding] = []
    held: list[dict[tuple[int, int], int]] = [{} for _ in intakes]
    for v, voice in enumerate(voices):
        memory = state["voices"][v]
        for owner in _feeders(patch, v, len(intakes)):  # whoever dies now, it is let go
            if memory["controls"][SUSTAIN] >= SUSTAINED_FROM:
                intakes[owner].pedals.add(v)
            if memory["bend"] not in (UNSET, BEND_MIDDLE):
                intakes[owner].bent.add(v)
        if voice is not None:
            voice.tell(told(memory))
        for key in np.flatnonzero(state["notes"][v]).tolist():
            velocity = int(state["notes"][v][key])
            notes.append((v, key, velocity))
            for owner in _feeders(patch, v, len(intakes)):
                held[owner][v, key] = velocity
    for intake, sounding in zip(intakes, held, strict=True):
        if long_ago:
            intake.skip(int(state["t"]))
        else:
            intake.resume(int(state["t"]), sounding)
    return notes


def strike_again(
    notes: list[Sounding],
    voices: list[SampledVoice | None],
    intakes: list[NoteIntake],
    due: list[Due],
) -> None:
    """In the first block, once its notes `due` are known: what sounded and is held still, unless it
    is struck anew."""
    struck = {(event[2], event[4]) for event in due if event[3] == NoteKind.ON}
    for v, key, velocity in notes:
        voice = voices[v]
        held = any((v, key) in intake.held for intake in intakes)
        if voice is not None and held and (v, key) not in struck:
            voice.note_on(key, velocity)
    notes.clear()


def _feeders(patch: Patch, voice: int, intakes: int) -> list[int]:
    """The intakes whose producers may sound a voice: the midi process's is 0, the stems' the
    last."""
    name = list(patch.voices)[voice]
    players = [p for p in patch.players.values() if not p.to]
    feeders = [1 + i for i, p in enumerate(players) if p.voice == name]
    if any(r.voice == name for r in patch.roles.values()):
        feeders.append(intakes - 1)
    thru = any(m.voice == name for m in patch.midi.values())
    return [0, *feeders] if thru or not feeders else feeders
