"""SuperCollider's binary synth definitions (SCgf version 2), without sclang.

    d = SynthDef("hum", {"gain": 0.1})
    sine = d.ugen("SinOsc", AUDIO, [440.0, 0.0])
    d.ugen("Out", AUDIO, [0.0, d.mul(sine, d["gain"])], outputs=0)
    osc.send_message("/d_recv", d.encode())

Format: SuperCollider's reference, "Synth Definition File Format". Pure; nothing here is real-time.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

CONTROL, AUDIO = 1, 2  # calculation rates (0, once, is not needed)
ADD, MUL = 0, 2  # special indices of BinaryOpUGen


@dataclass(frozen=True)
class Out:
    """One output of a unit generator."""

    ugen: int
    output: int


Input = Out | float


@dataclass
class _UGen:
    name: str
    rate: int
    inputs: list[Input]
    outputs: int
    special: int


@dataclass
class SynthDef:
    """name: at most 255 ASCII characters. controls: name -> default."""

    name: str
    controls: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._ugens: list[_UGen] = []
        if self.controls:
            self._ugens.append(_UGen("Control", CONTROL, [], len(self.controls), 0))

    def __getitem__(self, control: str) -> Out:
        return Out(0, list(self.controls).index(control))

    def ugens(
        self, name: str, rate: int, inputs: Sequence[Input], outputs: int, special: int = 0
    ) -> list[Out]:
        """Add a unit generator; return its outputs."""
        self._ugens.append(_UGen(name, rate, list(inputs), outputs, special))
        return [Out(len(self._ugens) - 1, k) for k in range(outputs)]

    def ugen(self, name: str, rate: int, inputs: Sequence[Input], special: int = 0) -> Out:
        """Add a unit generator with one output; return it."""
        return self.ugens(name, rate, inputs, 1, special)[0]

    def out(self, bus: Input, signals: Sequence[Input]) -> None:
        """Add the signals to consecutive audio buses from `bus`."""
        self.ugens("Out", AUDIO, [bus, *signals], 0)

    def mul(self, a: Input, b: Input) -> Out:
        return self.ugen("BinaryOpUGen", AUDIO, [a, b], MUL)

    def sum(self, signals: Sequence[Input]) -> Input:
        """The sum of audio signals, four at a time as sclang writes it."""
        left = list(signals)
        while len(left) > 1:
            if len(left) == 2:
                return self.ugen("BinaryOpUGen", AUDIO, left, ADD)
            n = 4 if len(left) >= 4 else 3
            left = [self.ugen(f"Sum{n}", AUDIO, left[:n]), *left[n:]]
        return left[0]

    def encode(self) -> bytes:
        """The definition as a file of one, for /d_recv."""
        constants = list(
            dict.fromkeys(float(i) for u in self._ugens for i in u.inputs if not isinstance(i, Out))
        )
        parts = [b"SCgf", struct.pack(">ih", 2, 1), _pstring(self.name)]
        parts.append(struct.pack(f">i{len(constants)}f", len(constants), *constants))
        defaults = list(self.controls.values())
        parts.append(struct.pack(f">i{len(defaults)}f", len(defaults), *defaults))
        parts.append(struct.pack(">i", len(defaults)))
        parts += [_pstring(n) + struct.pack(">i", k) for k, n in enumerate(self.controls)]
        parts.append(struct.pack(">i", len(self._ugens)))
        for u in self._ugens:
            parts.append(_pstring(u.name))
            parts.append(struct.pack(">biih", u.rate, len(u.inputs), u.outputs, u.special))
            for i in u.inputs:
                pair = (i.ugen, i.output) if isinstance(i, Out) else (-1, constants.index(float(i)))
                parts.append(struct.pack(">ii", *pair))
            parts.append(bytes([u.rate]) * u.outputs)
        parts.append(struct.pack(">h", 0))  # no variants
        return b"".join(parts)


def _pstring(text: str) -> bytes:
    data = text.encode("ascii")
    return bytes([len(data)]) + data
