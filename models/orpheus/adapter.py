"""Orpheus as a StemMaker: prompted with a few bars of its part in the asked key, it goes on for
exactly the bars asked.

The model has no key and no tempo: the key comes from the prompt and a bias, the tempo from retiming
(tokens.py). torch and x-transformers load in load() only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.adapter import AdapterError, config_number
from engine.stem import StemNote, StemRequest
from models.rules.adapter import RulesMaker, check_request, part_of, tidy
from models.rules.harmony import harmony

if TYPE_CHECKING:
    from models.orpheus.decoder import Decoder
    from models.orpheus.sampler import Rules
    from models.orpheus.tokens import Event

PROMPT_BARS = 4  # one round of the progression
ATTEMPTS = 3
IN_KEY_MIN = 0.8  # share of pitched notes

# part -> lowest and highest key, notes at one onset, onsets a beat at density 0 and 1, chord bias
LIMITS: dict[str, tuple[int, int, int, float, float, float]] = {
    "drums": (27, 87, 5, 2.0, 4.0, 0.0),
    "bass": (26, 55, 1, 0.5, 2.5, 1.5),
    "chords": (45, 80, 4, 0.3, 2.0, 2.0),
    "pads": (43, 82, 5, 0.25, 0.6, 2.0),
    "arp": (50, 90, 1, 2.0, 4.0, 2.0),
    "melody": (58, 91, 1, 0.75, 3.0, 0.5),
}

# key -> (default, lowest, highest)
CONFIG: dict[str, tuple[float, float, float]] = {
    "temperature": (0.9, 0.1, 2.0),
    "top_p": (0.96, 0.05, 1.0),
    "scale_bias": (4.0, 0.0, 20.0),
    "grid": (4.0, 1.0, 32.0),  # units of 16 ms; 8 is a sixteenth
}


class OrpheusMaker:
    """StemMaker. config: the keys of CONFIG, and program and drums as the pool gives them."""

    def __init__(self) -> None:
        self.program = 0
        self.drums = False
        self.settings = {name: default for name, (default, _, _) in CONFIG.items()}
        self.decoder: Decoder | None = None
        self.known: list[int] | None = None

    def load(self, checkpoint: Path | None, rate: int, config: dict[str, Any]) -> None:
        """Load a published Orpheus state dict, or the shipped model. Raises AdapterError."""
        self.program = int(config.get("program", 0))
        self.drums = bool(config.get("drums", False))
        for name, value in config.items():
            if name in CONFIG:
                _, low, high = CONFIG[name]
                self.settings[name] = float(config_number("orpheus", name, value, low, high))
            elif name not in ("program", "drums"):
                raise AdapterError(f"orpheus: unknown key {name!r}, expected {', '.join(CONFIG)}")
        import torch

        from models.orpheus.checkpoint import WEIGHTS

        torch.set_num_threads(1)
        path = checkpoint or WEIGHTS
        stamp = path.stat().st_mtime_ns if path.exists() else 0
        self.decoder, self.known = _decoder(path, stamp)

    def generate(
        self,
        request: StemRequest,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> list[StemNote]:
        """Notes of exactly request.bars bars; the same request gives the same notes. Raises
        AdapterError when cancelled, or when every attempt came out empty or out of key."""
        import numpy as np

        from models.orpheus.sampler import Cancelled, Sampler
        from models.orpheus.tokens import to_notes

        if self.decoder is None:
            raise AdapterError("orpheus: generate() before load()")
        check_request(request)
        part = part_of(request.role, self.program, self.drums)
        rules = self.rules(request, part)
        sampler = Sampler(self.decoder, self.known, rules)
        if not len(sampler.pitches.values):
            raise AdapterError(f"orpheus: this checkpoint knows no note of patch {rules.patch}")
        prompt, heard_until = self.prompt(request, part, rules)
        why = ""
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng([request.seed & 0xFFFFFFFF, attempt])
            try:
                events = sampler.run(prompt, heard_until, rng, progress, cancelled)
            except Cancelled:
                raise AdapterError("stem cancelled") from None
            notes = tidy(to_notes(events, request.beats, self.program), request.beats)
            if LIMITS[part][2] == 1:
                notes = _one_at_a_time(notes)
            why = fault(notes, request, rules.scale)
            if not why:
                progress(1.0)
                return notes
        raise AdapterError(f"orpheus: {ATTEMPTS} attempts at {part} rejected, the last one {why}")

    def rules(self, request: StemRequest, part: str) -> Rules:
        """What may be sampled for a request."""
        from models.orpheus.sampler import Rules
        from models.orpheus.tokens import UNITS_PER_BEAT

        low, high, at_once, sparse, dense, chord_bias = LIMITS[part]
        h = harmony(request.key, request.minor, request.bars, request.vibe)
        density = max(0.0, min(1.0, request.density))
        a_bar = round((sparse + (dense - sparse) * density) * request.beats_per_bar)
        bar = request.beats_per_bar * UNITS_PER_BEAT
        start = PROMPT_BARS * bar
        return Rules(
            start=start,
            end=start + request.bars * bar,
            bar=bar,
            patch=self.patch(part),
            low=low,
            high=high,
            notes_at_once=at_once,
            onsets_per_bar=max(1, a_bar),
            grid=int(self.settings["grid"]),
            scale=h.scale,
            chords=tuple(h.pitch_classes(b) for b in range(request.bars)),
            scale_bias=self.settings["scale_bias"],
            chord_bias=chord_bias,
            temperature=self.settings["temperature"],
            top_p=self.settings["top_p"],
        )

    def patch(self, part: str) -> int:
        """The patch to sample: the part's own instrument where the model was trained on families
        (the shipped one), else the program that will sound."""
        from models.orpheus.corpus import PATCH_OF_PART
        from models.orpheus.tokens import DRUMS

        if part == "drums":
            return DRUMS
        return PATCH_OF_PART[part] if self.known is not None else self.program

    def prompt(self, request: StemRequest, part: str, rules: Rules) -> tuple[list[int], int]:
        """(tokens, last onset): a round of the rules' bars of this part and what was heard."""
        from models.orpheus.tokens import SOS, encode, from_notes

        maker = RulesMaker()
        maker.load(None, 48000, {"program": self.program, "drums": part == "drums"})
        # One bar more than is used: the last bar's fill or close must not end the prompt.
        seed = replace(request, role=part, bars=PROMPT_BARS + 1)
        notes = maker.generate(seed, lambda _: None, lambda: False)
        shift = float(PROMPT_BARS * request.beats_per_bar)
        heard = [n for n in request.context if -shift <= n.start < 0]
        events = from_notes(notes, rules.patch) + from_notes(heard, rules.patch, shift)
        events = [e for e in map(self._known, events) if e and e.onset < rules.start]
        assert self.decoder is not None
        room = self.decoder.context // 2
        first = 0
        while len(encode([e for e in events if e.onset >= first])) > room:
            first += rules.bar
        kept = [e for e in events if e.onset >= first]
        tokens = encode([e._replace(onset=e.onset - first) for e in kept])
        return [SOS, *tokens], max((e.onset for e in kept), default=rules.start - 1)

    def _known(self, event: Event) -> Event | None:
        """The event as this checkpoint can hear it."""
        if self.known is None:
            return event
        from models.orpheus.corpus import snap

        return snap(event)


@lru_cache(maxsize=1)
def _decoder(path: Path, stamp: int) -> tuple[Decoder, list[int] | None]:
    """A warm decoder and the tokens it knows; makers of one process share it (one thread)."""
    from models.orpheus.checkpoint import load
    from models.orpheus.decoder import Decoder

    loaded = load(path)
    decoder = Decoder(loaded)
    decoder.feed([0] * 8)
    return decoder, loaded.known


def fault(notes: list[StemNote], request: StemRequest, scale: tuple[int, ...]) -> str:
    """Why a stem is not fit to be heard; "" when it is."""
    onsets = {n.start for n in notes}
    if len(onsets) < request.bars:
        return f"has only {len(onsets)} onsets in {request.bars} bars"
    pitched = [n for n in notes if not n.drums]
    if pitched:
        inside = sum(n.key % 12 in scale for n in pitched) / len(pitched)
        if inside < IN_KEY_MIN:
            return f"has {inside:.0%} of its notes in key"
        if len({n.key for n in pitched}) < 2 and len(onsets) >= 4:
            return "repeats a single note"
    return ""


def _one_at_a_time(notes: list[StemNote]) -> list[StemNote]:
    """Cut each note at the next one's start."""
    nexts = [n.start for n in notes[1:]] + [float("inf")]
    return [
        replace(n, duration=min(n.duration, after - n.start))
        for n, after in zip(notes, nexts, strict=True)
    ]
