"""The mixing desk as data: sources, buses, and a ramp for each pair of them.

Sources stand in the order of engine.sources.source_names, buses in BUS_ORDER; every buffer is
planar float32 (rows of MAX_FRAMES). A source is two rows; a mono input fills the first and is read
twice.
Built once; afterwards everything is kernel calls on fixed pointers. Real-time safe after __init__.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.kernel import ffi, pointer
from engine.layout import LevelKind
from engine.patch import (
    AUDITION,
    BUSES,
    EFFECTS,
    GROUPS,
    Patch,
    Sends,
)
from engine.sampler import MAX_FRAMES
from engine.sources import pedals_of, source_names
from engine.state import MAX_BUSES, MAX_ROUTES, MAX_SOURCES

BUS_ORDER = (*BUSES, *EFFECTS)
LIMIT_DB = -0.5
LIMIT_RELEASE_S = 0.08
METER_DECAY = 0.99995  # a frame: about 20 dB a second


def linear(db: float) -> float:
    """dB to linear; -90 and below is silence."""
    return 0.0 if db <= -90.0 else float(10.0 ** (db / 20.0))


def sends_of(patch: Patch, source_name: str) -> Sends:
    """Where a source goes by the patch, in dB."""
    kind, _, name = source_name.partition(".")
    if kind == "input":
        source = patch.inputs[name]
        if source.dry == "segue":
            return source.to
        # The interface or JACK itself carries the dry sound: never add it a second time.
        return {bus: db for bus, db in source.to.items() if bus != "main"}
    if kind == "voice":
        return patch.voices[name].to
    if kind == "texture":
        return patch.players[name].to
    if kind == "stems":
        return patch.roles[name].to
    if kind == "effect":
        return {"main": 0.0}
    if kind == AUDITION:
        return {"cue": 0.0}
    return patch.click.to


def group_of(patch: Patch, source_name: str) -> int | None:
    """Index in GROUPS of what a source belongs to; None: effects, the click, what is only cued."""
    kind = source_name.partition(".")[0]
    if kind == "stems":
        return GROUPS.index("stems")
    if kind in ("input", "voice", "texture"):
        return GROUPS.index("ai" if is_generated(patch, source_name) else "dry")
    return None


def reach_of(bus: str) -> int:
    """How many of seg_level's ramps a send to a bus goes through: the cue bus is before all, the
    other headphones and monitors before the fader."""
    if bus == "cue":
        return 0
    return 4 if bus == "main" or bus in EFFECTS else 2


def dry_level(patch: Patch, state: np.void | None, name: str, bus: str) -> float:
    """How loud an input goes to a bus, linear, without its strip: by a record of engine/state.py,
    at the end of its ramps, or by the patch. For whoever carries the dry sound in the mixer's
    place."""
    source = patch.inputs[name]
    group, reach, trim = group_of(patch, f"input.{name}"), reach_of(bus), linear(source.trim_db)
    if state is None:
        output = patch.outputs.get(bus)
        db = source.to.get(bus, -90.0) + (output.level_db if output is not None else 0.0)
        grouped = reach > 2 and group is not None
        return trim * linear(db) * (linear(patch.groups.dry) if grouped else 1.0)
    i, b = source_names(patch).index(f"input.{name}"), BUS_ORDER.index(bus)
    level = trim * float(state["gains"][i, b]["g1"] * state["bus_levels"][b]["g1"])
    if reach:
        level *= float(state["mutes"][i]["g1"] * state["guards"][i]["g1"])
    if reach > 2:
        level *= float(state["faders"][i]["g1"])
        level *= 1.0 if group is None else float(state["groups"][group]["g1"])
    return level * (float(state["master"]["g1"]) if bus == "main" else 1.0)


def sent_buses(patch: Patch) -> set[str]:
    """Every bus and effect that the patch or a scene of its songs sends anything to."""
    sent = {bus for name in source_names(patch) for bus in sends_of(patch, name)}
    scenes = (scene for song in patch.songs.values() for scene in song.scenes.values())
    return sent | {bus for scene in scenes for sends in scene.mix.values() for bus in sends}


def is_generated(patch: Patch, source: str) -> bool:
    """Whether DRY silences it: everything a model plays, and the effects that carry its tail."""
    kind, _, name = source.partition(".")
    if kind == "voice":
        played = {p.voice for p in patch.players.values()}
        played |= {r.voice for r in patch.roles.values()}
        return name in played
    if kind == "input":
        return patch.inputs[name].stream in patch.players
    return kind in ("texture", "stems", "effect")


class Mixer:
    """cell: the state (one record of engine/state.py), whose ramps are read in place.

    `desk` is the kernel's own picture of all of it (seg_desk); performance.py fills in what sounds
    and what leaves."""

    def __init__(self, patch: Patch, cell: np.void, rate: float) -> None:
        self.names = source_names(patch)
        if len(self.names) > MAX_SOURCES:
            raise ValueError(f"{len(self.names)} sources, at most {MAX_SOURCES}")
        self.index = {name: i for i, name in enumerate(self.names)}
        self.sources = np.zeros((len(self.names), 2, MAX_FRAMES), np.float32)
        self.buses = np.zeros((len(BUS_ORDER) + 1, 2, MAX_FRAMES), np.float32)
        self.not_finite = np.zeros((MAX_SOURCES, 2), np.int64)
        self.source_peaks = np.zeros((MAX_SOURCES, 2), np.float32)
        self.bus_peaks = np.zeros((MAX_BUSES, 2), np.float32)
        self._gains = gains = cell["gains"]
        self._levels = {
            LevelKind.FADER: cell["faders"],
            LevelKind.MUTE: cell["mutes"],
            LevelKind.GUARD: cell["guards"],
            LevelKind.GROUP: cell["groups"],
            LevelKind.BUS: cell["bus_levels"],
            LevelKind.INSERT: cell["inserts"],
            LevelKind.ROUTE: cell["routes"]["on"],
        }
        for i, group in enumerate(GROUPS):
            cell["groups"][i]["g0"] = cell["groups"][i]["g1"] = linear(getattr(patch.groups, group))
        for bus, output in patch.outputs.items():
            ramp = cell["bus_levels"][BUS_ORDER.index(bus)]
            ramp["g0"] = ramp["g1"] = linear(output.level_db)
        self._sources = pointer(self.sources)
        self._buses = pointer(self.buses)
        self._kept: list[Any] = []  # what the desk points to
        self._unity = self.keep("seg_ramp *", {"g0": 1.0, "g1": 1.0})
        for name, source in self.index.items():
            for bus, db in sends_of(patch, name).items():
                ramp = gains[source, BUS_ORDER.index(bus)]
                ramp["g0"] = ramp["g1"] = linear(db)
        self.desk = self._desk(patch, rate)

    def _desk(self, patch: Patch, rate: float) -> Any:
        desk = ffi.new("seg_desk *")
        desk.sources, desk.buses, desk.stride = self._sources, self._buses, MAX_FRAMES
        desk.source_count, desk.bus_count = len(self.names), len(self.buses)
        desk.bad = pointer(self.not_finite, "int64_t *")
        guarded = 2 * len(self.names) + len(patch.inputs) + 2 * len(EFFECTS)
        desk.held = self.keep("float[]", guarded)
        desk.source_peaks = pointer(self.source_peaks)
        desk.bus_peaks = pointer(self.bus_peaks)
        desk.first_effect = self.index[f"effect.{EFFECTS[0]}"]
        desk.effect_count = len(EFFECTS)
        desk.effect_bus = self.keep("int32_t[]", [BUS_ORDER.index(n) for n in EFFECTS])
        generated = [
            self.index[n]
            for n in self.names
            if is_generated(patch, n) and not n.startswith("effect.")
        ]
        self._generated = frozenset(generated)
        desk.generated = self.keep("int32_t[]", generated or [0])
        desk.generated_count = len(generated)
        self._level_structs = self._source_levels(patch)
        self.mono = mono = {
            self.index[f"input.{n}"]
            for n, i in patch.inputs.items()
            if i.insert is None or i.insert.pedal
        }
        self._pedals = {
            BUS_ORDER.index(str(insert.send)): self.index[f"input.{n}"]
            for n, insert in pedals_of(patch).items()
        }
        effects = [self.index[f"effect.{n}"] for n in EFFECTS]
        used = self._used_buses(patch)
        everything = [s for s in range(len(self.names)) if s not in effects]
        desk.jobs, desk.job_count = self._jobs(everything, mono, used)
        returns = [b for b in used if BUS_ORDER[b] not in EFFECTS]
        desk.returns, desk.return_count = self._jobs(effects, mono, returns)
        desk.threshold = linear(LIMIT_DB)
        desk.release = 1.0 - float(np.exp(-1.0 / (LIMIT_RELEASE_S * rate)))
        desk.peak_decay = METER_DECAY
        return desk

    @staticmethod
    def _used_buses(patch: Patch) -> list[int]:
        sent = sent_buses(patch)
        named = sent | set(patch.outputs) | {"main"}
        return [i for i, bus in enumerate(BUS_ORDER) if bus in named]

    def _jobs(self, sources: list[int], mono: set[int], buses: list[int]) -> tuple[Any, int]:
        ours = [s for s in sources if self._refers(s)]
        jobs = self.keep("seg_job[]", max(1, 2 * len(buses) * len(sources) + 2 * len(ours)))
        count = 0
        for b in buses:
            if b in self._pedals:  # carries that strip alone, as it goes out
                if self._pedals[b] in sources:
                    for side in (0, 1):
                        job = jobs[count]
                        job.src, job.dst = self.row(self._pedals[b], 1), self.bus(b, side)
                        job.ramp = self._unity
                        count += 1
                continue
            for s in sources:
                for side in (0, 1):
                    job = jobs[count]
                    job.src, job.dst = self.row(s, 0 if s in mono else side), self.bus(b, side)
                    job.ramp, job.level = self.ramp(s, b), self._level_structs + s
                    job.reach = reach_of(BUS_ORDER[b])
                    count += 1
        for s in ours:
            for side in (0, 1):
                job = jobs[count]
                job.src, job.dst = self.row(s, side), self.reference
                job.ramp, job.level = self.ramp(s, 0), self._level_structs + s
                job.reach = reach_of("main")
                count += 1
        return jobs, count

    def _refers(self, source: int) -> bool:
        """Whether a source is ours and nobody's who plays: stems and answers."""
        kind = self.names[source].partition(".")[0]
        return kind in ("stems", "voice") and source in self._generated

    @property
    def reference(self) -> Any:
        """Pointer to what main has of stems and answers, mono: what may come back through a
        microphone and is no musician."""
        return self.bus(len(BUS_ORDER))

    def _source_levels(self, patch: Patch) -> Any:
        levels = self.keep("seg_level[]", len(self.names))
        for name, source in self.index.items():
            levels[source].mute = self.level(LevelKind.MUTE, source)
            levels[source].guard = self.level(LevelKind.GUARD, source)
            levels[source].fader = self.level(LevelKind.FADER, source)
            group = group_of(patch, name)
            if group is not None:
                levels[source].group = self.level(LevelKind.GROUP, group)
        return levels

    def move(self, source: int, bus: int, gain: Any) -> None:
        """From now on a send is times `gain` (float *, a value a frame). Not real-time safe."""
        ramp = self.ramp(source, bus)
        for jobs, count in (
            (self.desk.jobs, self.desk.job_count),
            (self.desk.returns, self.desk.return_count),
        ):
            for i in range(count):
                if jobs[i].ramp == ramp:
                    jobs[i].gain = gain

    def duck(self, patch: Patch, state: np.ndarray) -> None:
        """Groups that give way to inputs, where the patch has any. state: of engine/state.py."""
        desk = self.desk
        keys = [self.index[f"input.{name}"] for name in patch.ducking.by]
        groups = [GROUPS.index(name) for name in patch.ducking.of]
        targets = [i for i, name in enumerate(self.names) if group_of(patch, name) in groups]
        if keys and targets:
            desk.duck = pointer(state["duck"], "seg_duck *")
            desk.keys, desk.key_count = self.keep("int32_t[]", keys), len(keys)
            desk.targets, desk.target_count = self.keep("int32_t[]", targets), len(targets)

    def keep(self, kind: str, value: Any) -> Any:
        """A C object that lives as long as the desk."""
        made = ffi.new(kind, value)
        self._kept.append(made)
        return made

    def ramp(self, source: int, bus: int) -> Any:
        """Pointer to the ramp of a pair."""
        return pointer(self._gains[source : source + 1, bus], "seg_ramp *")

    def level(self, kind: LevelKind, slot: int) -> Any:
        """Pointer to the ramp of a level."""
        return pointer(self._levels[kind][slot : slot + 1], "seg_ramp *")

    def slots(self, kind: LevelKind) -> int:
        """How many levels of a kind there are."""
        if kind == LevelKind.GROUP:
            return len(GROUPS)
        if kind == LevelKind.ROUTE:
            return MAX_ROUTES
        return len(BUS_ORDER) if kind == LevelKind.BUS else len(self.names)

    def row(self, source: int, side: int = 0) -> Any:
        """Pointer to a source's row."""
        return self._sources + (2 * source + side) * MAX_FRAMES

    def bus(self, bus: int, side: int = 0) -> Any:
        """Pointer to a bus's row."""
        return self._buses + (2 * bus + side) * MAX_FRAMES
