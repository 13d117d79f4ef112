"""What stands in the strips while it plays: plug-ins (here); pedals are laid out for the kernel.

Plug-ins are loaded before the audio process is armed, and only those that were proved
(engine/plugin_proof.py; the proofs lie in the shared folder). One that raises, returns NaN or too
few frames is left out from that block on, faded over and reported; it comes back with the next
audio process. One in which a process was when it ended, by a crash or because it hung and was
killed, is left out at the second time: `words` say where the predecessor was.

run() is as real-time safe as the plug-ins. pedalboard's own share, with a plug-in that does next to
nothing: 3 of 4 us a block of 128 frames in a hot loop, 50 to 60 us in the audio process on a busy
machine of two cores (2 % of a block), some small allocations that are freed within the call, and
the GIL let go and taken again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.kernel import ffi, lib, pointer
from engine.layout import InsertOff, LevelKind, ReportKind
from engine.mixer import Mixer
from engine.patch import Insert, Patch
from engine.plugin import Effect, PluginError
from engine.plugin_proof import Proof, inserts_of
from engine.sampler import MAX_FRAMES
from engine.sources import pedals_of

if TYPE_CHECKING:
    from engine.control import Control

OVER_FRAMES = 64  # of the fade to the strip itself
STRIKES = 2  # audio processes that may end in a plug-in
PATIENCE_S, CROSSFADE_S = 0.05, 0.02
log = logging.getLogger("segue.inserts")


@dataclass
class Loaded:
    """A plug-in that plays. source: index. rows: of that source, (2, MAX_FRAMES); row: a pointer to
    them. on: its ramp, by hand. mono: only the first row holds the strip. cell: a pointer to the
    effect's. last: what was heard last, a value a side."""

    source: int
    name: str
    effect: Effect
    rows: np.ndarray
    row: Any
    on: Any
    mono: bool
    cell: Any
    last: Any
    word: int
    off: bool = False


class Inserts:
    """words: of shared memory, int64: 0 says which plug-in runs now, from 1; the rest, how often
    the process ended in each."""

    def __init__(
        self,
        patch: Patch,
        mixer: Mixer,
        rate: float,
        proofs: dict[str, Proof],
        words: np.ndarray,
    ) -> None:
        self._words = words
        self._playing: list[Loaded] = []
        news: list[tuple[int, ReportKind, int]] = []
        self._news: Sequence[tuple[int, ReportKind, int]] = news
        running, words[0] = int(words[0]), 0
        if 0 < running < len(words):
            words[running] += 1
        for word, (source, insert) in enumerate(inserts_of(patch).items(), start=1):
            index, proof = mixer.index[source], proofs.get(source)
            if proof is None or word >= len(words):
                news.append((index, ReportKind.INSERT_OFF, InsertOff.UNPROVED))
                log.error("the plug-in of %s was not proved: it is left out", source)
                continue
            if words[word] >= STRIKES:
                news.append((index, ReportKind.INSERT_OFF, InsertOff.ENDED_US))
                log.error("the plug-in of %s ended us twice: left out until a restart", source)
                continue
            words[0] = word  # from here on it may take us down
            try:
                effect = Effect(
                    str(insert.vst3), insert.plugin, insert.parameters, rate, proof.channels
                )
            except PluginError as error:
                news.append((index, ReportKind.INSERT_OFF, InsertOff.FAILED))
                log.error("the plug-in of %s %s: it is left out", source, error)
                continue
            finally:
                words[0] = 0
            mono = source.startswith("input.")
            rows = mixer.sources[index]
            cell, last = pointer(effect.cell), ffi.new("float[2]")
            row, on = mixer.row(index), mixer.level(LevelKind.INSERT, index)
            loaded = Loaded(index, source, effect, rows, row, on, mono, cell, last, word)
            self._playing.append(loaded)
            news.append((index, ReportKind.INSERT_ON, effect.latency))
        self.busy = bool(self._playing or news)

    @property
    def names(self) -> list[str]:
        """The sources whose plug-ins play."""
        return [loaded.name for loaded in self._playing]

    def run(self, control: Control, t: int, n: int) -> None:
        """Every plug-in over its source's rows; while `busy`."""
        for source, kind, a in self._news:
            control.report(kind, t, slot=source, a=a)
        self._news = ()
        failed = False
        for loaded in self._playing:
            why = self._run(loaded, t, n)
            if why is not None:
                failed = loaded.off = True
                control.report(ReportKind.INSERT_OFF, t, slot=loaded.source, a=int(why))
        if failed:
            self._playing = [loaded for loaded in self._playing if not loaded.off]
        self.busy = bool(self._playing)

    def _run(self, loaded: Loaded, t: int, n: int) -> InsertOff | None:
        """One block; why it cannot go on, if so."""
        effect = loaded.effect
        both, stride = effect.channels == 2, MAX_FRAMES
        lib.seg_lend(loaded.row, stride, loaded.mono, both, n, loaded.cell)
        self._words[0] = loaded.word
        why = InsertOff.NOT_FINITE
        try:
            made = effect.run(n)
            if made is not None:
                given = ffi.from_buffer("float[]", made)
                if lib.seg_take(given, both, loaded.on, t, n, loaded.row, stride, loaded.last):
                    return None
        except Exception:
            why = InsertOff.FAILED
        finally:
            self._words[0] = 0
        rows = loaded.rows
        k = min(n, OVER_FRAMES)  # from what it gave last to the strip itself
        part = np.linspace(0.0, 1.0, k, endpoint=False, dtype=np.float32)
        rows[:, :k] *= part
        rows[:, :k] += (1.0 - part) * np.array([[loaded.last[0]], [loaded.last[1]]], np.float32)
        return why


def lay_pedals(patch: Patch, mixer: Mixer, state: np.ndarray, rate: float) -> None:
    """Tell the kernel which strips go out and come back. state: PEDAL records, kept alive."""
    given = pedals_of(patch)
    cells = mixer.keep("seg_pedal[]", max(1, len(given)))
    for i, (name, insert) in enumerate(given.items()):
        cells[i].source = mixer.index[f"input.{name}"]
        cells[i].back = mixer.index[f"input.{insert.returns}"]
        cells[i].patience = round(PATIENCE_S * rate)
        cells[i].step = 1.0 / (CROSSFADE_S * rate)
        cells[i].on = mixer.level(LevelKind.INSERT, cells[i].source)
        cells[i].state = pointer(state[i : i + 1], "seg_pedal_state *")
    mixer.desk.pedals, mixer.desk.pedal_count = cells, len(given)


def measured_ms(patch: Patch, insert: Insert) -> float:
    """How late a pedal's sound comes back, as measured with it or else without; 0: not at all."""
    back = patch.inputs.get(str(insert.returns))
    return (back.late_ms if back is not None else None) or patch.audio.round_trip_ms


def late_frames(patch: Patch, insert: Insert, rate: float) -> int:
    """The same in frames; one block at least, which it takes in any case."""
    return max(patch.audio.block, round(measured_ms(patch, insert) * rate / 1000.0))
