"""A session for other programs: aligned WAVs of every source and bus, the stems, and MIDI with
tempo map and markers.

Every WAV (float32) begins at the session's first frame, as does the MIDI file, so all of them lie
on each other in an editor. Sources are as they enter the mix, before their sends; buses as they
leave. Not real-time safe.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mido
import numpy as np
import soundfile

from engine.admission import VALUE_MAX
from engine.admitted import AdmittedKind, data_of
from engine.layout import COMMAND, NOTE, CommandKind, NoteKind, ReportKind
from engine.mixer import BUS_ORDER
from engine.replay import Block, Replay
from engine.session import Session, SessionError, section_of
from engine.slices import is_line
from engine.tracks import TrackError, file_name, read_track
from engine.voice_memory import BEND_MIDDLE

TICKS = 960  # a quarter note
JUMP_BEATS = 0.01  # a beat that is further off is a new one, not the old tempo going on
BAR_MAX = 255  # beats of a bar: a time signature's numerator is one byte
DRUM_CHANNEL = 9
MODE_FIRST = 120  # of controllers, from here on they are orders
GAP_FRAMES = 960  # a shorter one needs no marker


def export(session: Session, replay: Replay, folder: Path) -> int:
    """Write everything; returns how many files. Raises OSError, SoundFileError, SessionError."""
    folder.mkdir(parents=True, exist_ok=True)
    notes: list[tuple[int, int, int, int, bool]] = []
    files = _render(session, replay, folder, notes)
    files += _stems(session, folder)
    try:
        made = midi_file(session, notes)
    except (TypeError, ValueError) as error:  # a programme that is none, say
        raise SessionError(f"patch.json or the log makes no MIDI file ({error})") from None
    made.save(folder / "performance.mid")
    return files + 1


def _render(
    session: Session, replay: Replay, folder: Path, notes: list[tuple[int, int, int, int, bool]]
) -> int:
    names = [*replay.source_names, *(f"bus.{n}" for n in session.patch.outputs)]
    rate, first = round(session.rate), session.first_frame
    files = {
        n: soundfile.SoundFile(
            folder / file_name(n, ".wav"), "w", rate, 2, subtype="FLOAT", format="RF64"
        )
        for n in names
    }
    end = first
    heard: set[str] = set()
    try:
        for block in replay.blocks(reports=lambda r: _note(r, notes)):
            if block.t < end:  # before the tape, or a cycle that came again
                continue
            for name, file in files.items():
                if block.t > end:
                    file.write(np.zeros((block.t - end, 2), np.float32))
                rows = _rows(block, name)
                if name not in heard and rows.any():
                    heard.add(name)
                file.write(rows.T)
            end = block.t + block.n
    finally:
        for file in files.values():
            file.close()
    for name in set(names) - heard:  # nobody played it
        (folder / file_name(name, ".wav")).unlink()
    return len(heard)


def _rows(block: Block, name: str) -> np.ndarray:
    mixer = block.engine.mixer
    if name.startswith("bus."):
        return mixer.buses[BUS_ORDER.index(name[4:]), :, : block.n]
    rows = mixer.sources[mixer.index[name], :, : block.n]
    return rows[[0, 0]] if mixer.index[name] in mixer.mono else rows


def _stems(session: Session, folder: Path) -> int:
    """Each stem that was played, once, by role and number."""
    roles = list(session.patch.roles)
    made = 0
    for row in session.stem_rows:
        role = roles[row["role"]] if 0 <= row["role"] < len(roles) else "stem"
        path = folder / file_name(f"stem.{role}.{row['id']}", ".wav")
        source = session.take / "stems" / f"{row['sha256'][:32]}.au"
        try:
            audio = read_track(source).audio
        except (TrackError, OSError) as error:
            session.problems.append(f"stem {row['id']} is missing: {error}")
            continue
        soundfile.write(path, audio.astype(np.float32), round(session.rate), subtype="FLOAT")
        made += 1
    return made


def _note(reports: np.ndarray, notes: list[tuple[int, int, int, int, bool]]) -> None:
    for r in reports[np.isin(reports["kind"], (ReportKind.NOTE_ON, ReportKind.NOTE_OFF))]:
        on = int(r["kind"]) == ReportKind.NOTE_ON
        notes.append((int(r["frame"]), int(r["slot"]), int(r["a"]), int(r["b"]), on))


# ---- musical time


@dataclass(frozen=True)
class Segment:
    """From `frame` on, which is quarter `q` of the file, at bpm; bars of `bar` quarters stand at
    `origin` and on."""

    frame: int
    q: float
    bpm: float
    bar: int = 4
    origin: float = 0.0


def tempo_map(lines: list[tuple[int, float, float, int]], first: int, rate: float) -> list[Segment]:
    """lines: (frame, beat, bpm, beats_per_bar) as they came into force. Where the beat jumps (a
    hand said where the one is), the stretch before it is drawn out, so that bars of the music are
    bars of the file; another metre counts its bars from where it comes into force. Seconds are
    exact in any case."""
    segments: list[Segment] = []
    for frame, beat, bpm, bar in lines:
        at = max(frame, first)
        beat += (at - frame) * bpm / (60.0 * rate)
        if not segments:
            q = 0.0
            if at > first:  # a lead-in of whole bars less what the bar lacks
                lead = (at - first) * bpm / (60.0 * rate)
                q = _near(max(lead, 0.5), beat, bar, 0.0)
                segments.append(Segment(first, 0.0, q * 60.0 * rate / (at - first), bar))
            segments.append(Segment(at, q, bpm, bar))
            continue
        last = segments[-1]
        if at <= last.frame:
            origin = last.origin if bar == last.bar else last.q - beat % bar
            segments[-1] = Segment(last.frame, last.q, bpm, bar, origin)
            continue
        q = last.q + (at - last.frame) * last.bpm / (60.0 * rate)
        origin = last.origin
        if bar != last.bar:
            origin = q - beat % bar
        off = (beat - (q - origin)) % bar
        if min(off, bar - off) > JUMP_BEATS:
            q = max(_near(q, beat, bar, origin), last.q + 0.25)
            drawn = (q - last.q) * 60.0 * rate / (at - last.frame)
            segments[-1] = replace(last, bpm=drawn)
        segments.append(Segment(at, q, bpm, bar, origin))
    return segments or [Segment(first, 0.0, 120.0)]


def _near(q: float, beat: float, bar: int, origin: float) -> float:
    """The quarter next to q that lies in its bar where `beat` does."""
    phase = origin + beat % bar
    return round((q - phase) / bar) * bar + phase


def metres(segments: list[Segment]) -> list[tuple[float, int]]:
    """(quarter, quarters a bar) of every change of metre, at the first bar line of the new one."""
    found = [(0.0, segments[0].bar)]
    for a, b in itertools.pairwise(segments):
        if (a.bar, a.origin) != (b.bar, b.origin):
            line = b.origin if b.origin > b.q - JUMP_BEATS else b.origin + b.bar
            found.append((line, b.bar))
    return found


def midi_file(session: Session, notes: list[tuple[int, int, int, int, bool]]) -> mido.MidiFile:
    """notes: (frame, voice, key, velocity, on). One track for time and markers, one a voice."""
    lines = timelines(session)
    segments = tempo_map(lines, session.first_frame, session.rate)
    starts = [s.frame for s in segments]

    def tick(frame: int) -> int:
        s = segments[max(0, int(np.searchsorted(starts, frame, "right")) - 1)]
        q = s.q + (max(frame, session.first_frame) - s.frame) * s.bpm / (60.0 * session.rate)
        return max(0, round(q * TICKS))

    made = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    times: list[tuple[int, Any]] = []
    for s in segments:
        tempo = min(0xFFFFFF, max(1, round(60e6 / max(s.bpm, 1e-3))))
        times.append((round(s.q * TICKS), mido.MetaMessage("set_tempo", tempo=tempo)))
    for q, bar in metres(segments):
        signature = mido.MetaMessage("time_signature", numerator=bar, denominator=4)
        times.append((round(q * TICKS), signature))
    for frame, text in _markers(session):
        times.append((tick(frame), mido.MetaMessage("marker", text=_latin(text))))
    made.tracks.append(_track("segue", times))
    told = list(_told(session))
    for v, (name, voice) in enumerate(session.patch.voices.items()):
        channel = DRUM_CHANNEL if voice.drums else v % 9
        events: list[tuple[int, Any]] = [
            (0, mido.Message("program_change", program=voice.program, channel=channel))
        ]
        for frame, slot, key, velocity, on in notes:
            if slot == v:
                kind = "note_on" if on else "note_off"
                message = mido.Message(kind, note=key, velocity=velocity, channel=channel)
                events.append((tick(frame), message))
        events += [
            (tick(frame), _message(kind, key, value, channel))
            for frame, slot, kind, key, value in told
            if slot == v
        ]
        made.tracks.append(_track(name, events))
    return made


def _told(session: Session) -> Iterator[tuple[int, int, int, int, int]]:
    """(frame, voice, kind, key, value) of all that voices were told beside notes."""
    for life in session.lives:
        for record in life.records[life.records["kind"] == AdmittedKind.NOTES]:
            frame, _, value, _, voice, kind, _, key, *_ = data_of(record, NOTE)[0].tolist()
            plain = key < MODE_FIRST and 0 <= value <= VALUE_MAX
            if kind in (NoteKind.CC, NoteKind.BEND, NoteKind.PROGRAM) and plain:
                yield frame, voice, kind, key, value


def _message(kind: int, key: int, value: int, channel: int) -> mido.Message:
    if kind == NoteKind.BEND:
        return mido.Message("pitchwheel", pitch=value - BEND_MIDDLE, channel=channel)
    value = min(value, 127)
    if kind == NoteKind.PROGRAM:
        return mido.Message("program_change", program=value, channel=channel)
    return mido.Message("control_change", control=key, value=value, channel=channel)


def _latin(text: str) -> str:
    """Standard MIDI files hold Latin-1."""
    return text.encode("latin-1", "replace").decode("latin-1")


def _track(name: str, events: list[tuple[int, Any]]) -> mido.MidiTrack:
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=_latin(name))])
    at = 0
    for tick, message in sorted(events, key=lambda e: e[0]):
        track.append(message.copy(time=tick - at))
        at = tick
    return track


def timelines(session: Session) -> list[tuple[int, float, float, int]]:
    """(frame, beat, bpm, beats_per_bar) as they came into force."""
    found = []
    for life in session.lives:
        commands = life.records[life.records["kind"] == AdmittedKind.COMMAND]
        for record in commands:
            c = data_of(record, COMMAND)[0]
            followed = is_line(c["x"], c["y"]) and 0 < c["a"] <= BAR_MAX
            if c["kind"] == CommandKind.TIMELINE and followed:
                frame, beat, bpm = int(c["frame"]), float(c["x"]), float(c["y"])
                late = max(0, int(record["t"]) - frame)  # where it had begun before it was told
                beat += late * bpm / (60.0 * session.rate)
                found.append((frame + late, beat, bpm, int(c["a"])))
    return sorted(found, key=lambda row: row[0])


def _markers(session: Session) -> list[tuple[int, str]]:
    """Songs and scenes, hands and stems, from the log."""
    marks = []
    first, last = session.first_frame, session.first_frame + session.frames
    for e in session.events:
        frame = e.get("frame")
        if not isinstance(frame, int) or not first <= frame < last:
            continue
        section = section_of(e)
        if section is not None:
            marks.append((frame, section))
        elif e.get("event") == "act":
            marks.append((frame, f"{e.get('name')} {e.get('role') or ''}".strip()))
        elif e.get("event") == "stem" and e.get("state") in ("playing", "retiring", "done"):
            marks.append((frame, f"{e.get('role')} {e.get('id')} {e['state']}"))
        elif e.get("event") == "gap" and isinstance(e.get("a"), int) and e["a"] >= GAP_FRAMES:
            marks.append((frame, f"gap of {e.get('a')} frames"))
    return marks
