"""What a scene makes of the mix: a gain for each source and bus, and the way from one to the next.

Pure. Gains are linear; sources and buses are indices as in layout.CommandKind.GAIN. Every move is a
ramp of at least STEP_FADE_S, so that none is heard as a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from engine.mixer import BUS_ORDER, is_generated, linear, sends_of
from engine.patch import AUDITION, Patch
from engine.song import Scene
from engine.sources import source_names

Pair = tuple[int, int]  # source, bus
Gains = dict[Pair, float]  # linear
Move = tuple[int, int, float]  # from and until which frame, the gain from there on
STEP_FADE_S = 0.02
GAIN_MAX = 16.0  # what the audio process takes
CUE = BUS_ORDER.index("cue")  # for pre-listening, also in standby
MOVES_KEPT = 4  # of a pair: one that is under way, and those that were told ahead


def scene_gains(patch: Patch, scene: Scene, started: Patch, silent: bool = False) -> Gains:
    """The gains while a scene plays. started: stems are played at its levels, and what `patch` says
    otherwise is made up for here. silent: everything that a model plays is at nothing (standby,
    count-in, the end of a fade); what musicians send to the effects goes on."""
    gains: Gains = {}
    silenced = silenced_by(patch, scene, silent)
    for index, name in enumerate(source_names(patch)):
        if name in ("click", AUDITION):
            continue
        off = index in silenced
        louder = _louder(patch, started, name)
        for bus, db in {**sends_of(patch, name), **scene.mix.get(name, {})}.items():
            gain = 0.0 if off else linear(db) * louder
            gains[index, BUS_ORDER.index(bus)] = min(gain, GAIN_MAX)
    return gains


def silenced_by(patch: Patch, scene: Scene, silent: bool) -> set[int]:
    """Sources that a scene has off, and where `silent`, everything that a model plays."""
    return {
        index
        for index, name in enumerate(source_names(patch))
        if _is_off(scene, name)
        or (silent and is_generated(patch, name) and not name.startswith("effect."))
    }


def _louder(patch: Patch, started: Patch, source: str) -> float:
    kind, _, name = source.partition(".")
    if kind != "stems" or patch.roles[name].gain_db == started.roles[name].gain_db:
        return 1.0
    before = linear(started.roles[name].gain_db)
    return linear(patch.roles[name].gain_db) / before if before else 0.0


def wanted_by(patch: Patch, scene: Scene, started: Patch) -> Gains:
    """What a scene says of every pair, also of sources that it has off."""
    return scene_gains(patch, replace(scene, voices={}, players={}), started)


def _is_off(scene: Scene, source: str) -> bool:
    kind, _, name = source.partition(".")
    if kind == "voice":
        return not scene.voices.get(name, True)
    if kind == "texture":
        return not scene.players.get(name, True)
    return False  # stems that are off leave at the boundary


class MixMoves:
    """What the audio process was told of gains last, and what scenes wanted last. Both start with
    the patch's own sends. by_hand: what a scene wanted of a pair when a hand moved it, and the
    hand's gain, which stands, also behind a standby, until a scene wants something else. moves: of
    each pair, by frame, what is under way and what is yet to come."""

    def __init__(self, started: Patch) -> None:
        self.told = scene_gains(started, Scene(), started)
        self.aim = dict(self.told)
        self.moved = False  # it was told anything at all
        self.by_hand: dict[Pair, tuple[float, float]] = {}
        self.moves: dict[Pair, list[Move]] = {}

    def in_force(self, pair: Pair) -> float:
        """The gain of a pair, as a fader shows it."""
        return self.by_hand[pair][1] if pair in self.by_hand else self.told.get(pair, 0.0)

    def tell(self, pair: Pair, gain: float) -> None:
        """A hand moves it."""
        self.told[pair] = self.aim[pair] = gain
        self.moved = True

    def with_hands(self, patch: Patch, scene: Scene, started: Patch, silent: bool) -> Gains:
        """scene_gains, but for what a hand has moved since the scene wanted the same."""
        target = scene_gains(patch, scene, started, silent)
        if not self.by_hand:
            return target
        wanted = wanted_by(patch, scene, started)
        silenced = silenced_by(patch, scene, silent)
        for pair, (before, gain) in list(self.by_hand.items()):
            if wanted.get(pair, 0.0) != before:
                del self.by_hand[pair]
            elif pair[0] not in silenced or pair[1] == CUE:
                target[pair] = gain
        return target

    def note(self, pair: Pair, frame: int, ramp: int, gain: float) -> None:
        """It was told to move a pair's gain from `frame` on."""
        others = [m for m in self.moves.get(pair, ()) if m[0] != frame]
        self.moves[pair] = sorted([*others, (frame, frame + ramp, gain)])[-MOVES_KEPT:]

    def under_way(self, now: int) -> Iterator[tuple[Pair, int, int, float]]:
        """(pair, frame, ramp, gain) for an audio process that begins at `now` and may have lost
        what its predecessor was told: fades go on and end when they would have."""
        for pair, moves in sorted(self.moves.items()):
            begun = [m for m in moves if m[0] <= now]
            if begun:
                yield pair, 0, max(0, begun[-1][1] - now), begun[-1][2]
            for frame, until, gain in moves[len(begun) :]:
                yield pair, frame, until - frame, gain

    def towards(self, target: Gains) -> Iterator[tuple[int, int, float]]:
        """(source, bus, gain) of every pair that has to move; taken as told."""
        for pair in sorted(self.aim.keys() | target.keys()):
            gain = target.get(pair, 0.0)
            if self.aim.get(pair, 0.0) != gain:
                self.told[pair] = gain
                self.moved = True
                yield (*pair, gain)
        self.aim = dict(target)

    def all(self) -> Iterator[tuple[int, int, float]]:
        """Every pair again."""
        if self.moved:
            yield from ((*pair, gain) for pair, gain in sorted(self.told.items()))

    def to_dict(self) -> dict[str, object]:
        return {
            "moved": self.moved,
            "told": [[*pair, g] for pair, g in sorted(self.told.items())],
            "aim": [[*pair, g] for pair, g in sorted(self.aim.items())],
            "by_hand": [[*pair, *gains] for pair, gains in sorted(self.by_hand.items())],
            "moves": [[*pair, moves] for pair, moves in sorted(self.moves.items())],
        }

    def restore(self, saved: dict[str, object]) -> None:
        self.moved = bool(saved["moved"])
        self.told, self.aim = _gains_of(saved["told"]), _gains_of(saved["aim"])
        rows, hands = saved["moves"], saved["by_hand"]
        assert isinstance(rows, list)
        assert isinstance(hands, list)
        self.by_hand = {(s, b): (wanted, gain) for s, b, wanted, gain in hands}
        self.moves = {(s, b): [(f, u, g) for f, u, g in moves] for s, b, moves in rows}


def _gains_of(rows: object) -> Gains:
    assert isinstance(rows, list)
    return {(int(s), int(b)): float(g) for s, b, g in rows}
