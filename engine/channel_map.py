"""Which channels of a device carry which inputs, outputs and voltages."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.patch import Patch


@dataclass(frozen=True)
class ChannelMap:
    """Device channels (from 0) of inputs and outputs; inputs without one are silent."""

    inputs: dict[str, int]
    outputs: dict[str, tuple[int, ...]]
    cv: dict[str, int]
    channels_in: int
    channels_out: int
    cv_in: dict[str, int] = field(default_factory=dict)


def plain_map(patch: Patch) -> ChannelMap:
    """Channels as the patch numbers them, for offline use (patterns have no meaning there)."""
    inputs = {n: i.channel - 1 for n, i in patch.inputs.items() if isinstance(i.channel, int)}
    outputs = {
        n: tuple(c - 1 for c in o.channels if isinstance(c, int)) for n, o in patch.outputs.items()
    }
    cv = {n: c.channel - 1 for n, c in patch.cv.items() if isinstance(c.channel, int)}
    cv_in = {n: c.channel - 1 for n, c in patch.cv_in.items() if isinstance(c.channel, int)}
    highest_out = [*(c for chans in outputs.values() for c in chans), *cv.values()]
    return ChannelMap(
        inputs=inputs,
        outputs=outputs,
        cv=cv,
        channels_in=max([*inputs.values(), *cv_in.values()], default=-1) + 1,
        channels_out=max(highest_out, default=-1) + 1,
        cv_in=cv_in,
    )
