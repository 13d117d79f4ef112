"""A recorded performance rendered again, through the same forward as it was played.

Each audio process of the session is one LivePerformance here: from nothing or from the snapshot
that it resumed from; each of its blocks gets the same t and n, the same input, and finds in its
rings what it found then. Output then is the same, bit for bit, on the same build and CPU family.
What streams and textures gave is fed as it sounded, so no model runs. Not real-time safe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from engine.admitted import AdmittedKind, data_of
from engine.channel_map import ChannelMap
from engine.layout import BLOCK_FRAMES, COMMAND, NOTE, SAFE, CommandKind, audio_dtype
from engine.patch import Patch
from engine.performance import LivePerformance
from engine.plugin import PluginError
from engine.plugin_proof import inserts_of, known, prove_insert
from engine.sampler import MAX_FRAMES
from engine.session import Life, Session, SessionError
from engine.shm import Shared
from engine.soundfont import SoundFontError, prove
from engine.sources import source_names
from engine.state import RAMP
from engine.tape import Tape, voltages_of
from engine.tracks import TrackError, read_track

CHANNELS_MAX = 256
FRAME_MAX = 2**60
# what comes of values that no patch of ours has
NONSENSE = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError)
_K = AdmittedKind


@dataclass(frozen=True)
class Edit:
    """Changes on replay. levels: linear gain by source (engine.sources.source_names); 0 mutes.
    textures: by player, what is heard instead of what it made: float32 (frames, 2) at the session's
    rate, from the session's first frame on; silent after its end."""

    levels: dict[str, float] = field(default_factory=dict)
    textures: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """One rendered block; out float32 (n, device channels), as it left, and the engine's rows hold
    until the next one. again: for one whose frames had been, its tracks' rows as recorded."""

    t: int
    n: int
    out: np.ndarray
    again: np.ndarray | None
    engine: LivePerformance


class Replay:
    """blocks() renders everything. soundfont: of this machine, where the session's is elsewhere."""

    def __init__(self, session: Session, soundfont: Path | None = None, edit: Edit | None = None):
        self.session, self.edit = session, edit or Edit()
        self.patch = _from_tape(session.patch)
        self._soundfont = soundfont
        self._session_rate = session.rate
        self._tape = Tape(session, self.edit.textures)
        self.source_names = source_names(self.patch)
        self._textures = [n for n, p in self.patch.players.items() if p.to]
        self._arena = np.zeros(max(2, session.arena), np.float32)
        self.problems: list[str] = []
        self._records = {
            n: np.zeros(-(-MAX_FRAMES // BLOCK_FRAMES), audio_dtype(2)) for n in self._textures
        }

    def blocks(self, reports: Callable[[np.ndarray], None] | None = None) -> Iterator[Block]:
        """Every block of the session in order. reports: gets each one's REPORT records."""
        for life in self.session.lives:
            for block in self._life(life):
                ring = block.engine.shared.ring("reports")
                if reports is not None and len(ring):
                    reports(ring.pop(512))
                ring.clear()
                yield block

    # ---- one audio process

    def _life(self, life: Life) -> Iterator[Block]:
        with np.errstate(all="ignore"):
            engine = self._engine(life)
        records = life.records
        kinds = np.asarray(records["kind"])
        done = 0
        for at in np.flatnonzero(kinds == _K.BLOCK).tolist():
            try:
                for i in range(done, at):
                    self._admit(engine, records[i], life.first + i)
                block = self._block(engine, int(records[at]["t"]), int(records[at]["n"]))
            except (ValueError, ArithmeticError, LookupError) as error:
                place = f"block at record {life.first + at}"
                raise SessionError(f"{place} cannot be rendered, it is broken ({error})") from None
            done = at + 1
            yield block

    def _block(self, engine: LivePerformance, t: int, n: int) -> Block:
        if not (0 < n <= MAX_FRAMES and 0 <= t < FRAME_MAX):
            raise ValueError(f"{n} frames at {t}")
        inputs, textures, again = self._tape.at(t, n)
        self._feed(engine.shared, t, n, textures)
        engine.hear(inputs, n)
        with np.errstate(all="ignore"):  # rubbish in, rubbish out
            return Block(t, n, engine.forward(t).out, again, engine)

    def _engine(self, life: Life) -> LivePerformance:
        """As the audio process of then began, but for the rings: empty, with its epochs."""
        facts = life.facts
        inserts = self._proved_inserts(facts.get("inserts"))
        try:
            shared = Shared.private(self.patch, inserts=inserts)
        except NONSENSE as error:
            raise SessionError(f"patch.json cannot be performed ({error!r})") from None
        shared.arena = self._arena
        soundfont = self._find_soundfont(facts.get("soundfont"))
        try:
            for name, epoch in zip(_note_rings(self.patch), facts["epochs"], strict=True):
                shared.ring(name).pointer.epoch = int(epoch)
            c, voltages = facts["channels"], voltages_of(self.patch)
            channels = ChannelMap(
                inputs={n: i for i, n in enumerate(self.patch.inputs)},
                outputs={n: tuple(map(int, v)) for n, v in c["outputs"].items()},
                cv={n: int(v) for n, v in c["cv"].items()},
                channels_in=max(1, len(self.patch.inputs) + len(voltages)),
                channels_out=int(c["channels_out"]),
                cv_in={n: len(self.patch.inputs) + i for i, n in enumerate(voltages)},
            )
            rate = float(facts["rate"])
            if rate != self._session_rate:
                raise ValueError(f"rate {rate:g} in a session at {self._session_rate:g}")
        except NONSENSE as error:
            raise SessionError(f"the head of an audio process is broken ({error!r})") from None
        _refuse_nonsense(life, channels, len(self.patch.roles))
        try:
            engine = LivePerformance(self.patch, shared, channels, rate, soundfont, life.snapshot)
        except NONSENSE as error:
            raise SessionError(f"patch.json cannot be performed ({error!r})") from None
        streams = engine.state[0]["streams"][len(self.patch.inputs) :]
        streams["fade"], streams["epoch"] = 1.0, 0  # what they gave is on tape as it sounded
        for source, level in self.edit.levels.items():
            gains = engine.state[0]["gains"][engine.mixer.index[source]]
            gains["g0"] *= level
            gains["g1"] *= level
        return engine

    def _proved_inserts(self, named: Any) -> dict[str, Any]:
        """Of the plug-ins that played then, those that this machine knows: a session may come from
        anywhere, and a plug-in is a program."""
        found = {}
        for source, insert in inserts_of(self.patch).items():
            if not isinstance(named, list) or source not in named:
                continue  # left out then as well
            path = Path(str(insert.vst3))
            try:
                if not known(path):
                    said = f"`segue plugin {path}` proves it, if you trust it"
                    raise PluginError(f"was never proved on this machine; {said}")
                proof = prove_insert(self.patch, source, insert)
            except PluginError as error:
                self.problems.append(f"{source} is rendered without its plug-in: {path} {error}")
                continue
            found[source] = asdict(proof)
            if not proof.repeats:
                said = "its plug-in makes no two runs alike: what was played does not come again"
                self.problems.append(f"{source}: {said}")
        return found

    def _find_soundfont(self, named: str | None) -> Path | None:
        if named is None:
            return None
        if self._soundfont is not None:
            return _proved(self._soundfont)
        if not isinstance(named, str) or not Path(named).exists():
            raise SessionError(f"the SoundFont {named} is not here: name one with --soundfont")
        return _proved(Path(named))

    def _feed(self, shared: Shared, t: int, n: int, textures: np.ndarray) -> None:
        for i, name in enumerate(self._textures):
            records = self._records[name]
            count = -(-n // BLOCK_FRAMES)
            for k in range(count):
                part = textures[k * BLOCK_FRAMES : (k + 1) * BLOCK_FRAMES, i]
                records[k]["frame"], records[k]["count"] = t + k * BLOCK_FRAMES, len(part)
                records[k]["data"][:, : len(part)] = part.T
            ring = shared.ring(f"texture.{name}")
            ring.clear()  # the block before, which these frames may be of again
            ring.push(records[:count])

    def _admit(self, engine: LivePerformance, record: np.void, at: int) -> None:
        kind, which, t = int(record["kind"]), int(record["which"]), int(record["t"])
        if kind in (_K.NOTES, _K.NOTES_AGAIN, _K.EPOCH):
            if which >= len(engine.intakes):
                raise SessionError(f"record {at} is of producer {which}: the session is broken")
            intake = engine.intakes[which]
            if kind == _K.EPOCH:
                intake.ring.pointer.epoch = int(record["n"])
            elif kind == _K.NOTES:
                intake.ring.push(data_of(record, NOTE))
            else:
                intake.take_again(data_of(record, NOTE), t)
        elif kind == _K.COMMAND:
            self._command(engine, data_of(record, COMMAND).copy(), at)
        elif kind == _K.SAFE:
            engine.shared.ring("midi_safe").push(data_of(record, SAFE))
        elif kind == _K.FADE:
            engine.state["fade"] = data_of(record, RAMP)
        elif kind == _K.LEAVE:
            engine.cv.gates_down(t)

    def _command(self, engine: LivePerformance, command: np.ndarray, at: int) -> None:
        kind = int(command[0]["kind"])
        if kind == CommandKind.STEM_PLAY:
            self._lay_out(command[0], at)
        elif kind == CommandKind.GAIN:
            names = engine.mixer.names
            slot = int(command[0]["slot"])
            if slot < len(names):
                command["x"] *= self.edit.levels.get(names[slot], 1.0)
        engine.shared.ring("commands").push(command)

    def _lay_out(self, command: np.void, at: int) -> None:
        """A stem's audio to its place in the arena."""
        base, frames = int(command["a"]), int(command["b"])
        if base < 0 or frames < 1 or base + 2 * frames > self._arena.size:
            return  # refused then, and again
        place = self._arena[base : base + 2 * frames]
        sha = self.session.stems.get(at)
        try:
            if sha is None:
                raise TrackError(f"stem {command['id']} was not kept")
            audio = read_track(self.session.take / "stems" / f"{sha[:32]}.au").audio
            if audio.shape != (frames, 2):
                raise TrackError(f"stem {command['id']} is cut off")
            place.reshape(2, frames)[:] = audio.T
            if hashlib.sha256(place.tobytes()).hexdigest() != sha:
                raise TrackError(f"stem {command['id']} was changed since ({sha[:32]}.au)")
        except (TrackError, OSError) as error:
            place[:] = 0.0
            self.problems.append(f"{error}: it is silent in the replay")


def _refuse_nonsense(life: Life, channels: ChannelMap, roles: int) -> None:
    """What the kernel would write outside its memory for. Raises SessionError."""
    used = [c for chans in channels.outputs.values() for c in chans] + [*channels.cv.values()]
    if not all(0 <= c < channels.channels_out <= CHANNELS_MAX for c in used):
        raise SessionError(f"an audio process of {channels.channels_out} outputs: {used} are used")
    if life.snapshot is None:
        return
    state = life.snapshot[0]
    stems, cv = state["stems"], state["cv"]
    playing = stems["role"][stems["state"] != 0]
    if ((playing < 0) | (playing >= max(1, roles))).any() or (cv["count"] > 16).any():
        raise SessionError("the snapshot that an audio process resumed from is broken")


def _from_tape(patch: Patch) -> Patch:
    """Streams are on tape as they came: plain inputs here."""
    inputs = {
        n: replace(i, stream=None, trim_db=0.0) if i.stream else i for n, i in patch.inputs.items()
    }
    return replace(patch, inputs=inputs)


def _note_rings(patch: Patch) -> list[str]:
    rings = ["midi_notes", *(f"answers.{n}" for n, p in patch.players.items() if not p.to)]
    return [*rings, *(["stem_notes"] if any(r.voice for r in patch.roles.values()) else [])]


@cache
def _proved(path: Path) -> Path:
    """In a child, once. Raises SessionError."""
    try:
        prove(path)
    except SoundFontError as error:
        raise SessionError(str(error)) from None
    return path
