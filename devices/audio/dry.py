"""A JACK client that plays the dry inputs while the audio process does not.

Its cycle is C (dry.c) on JACK's own thread, so that it starts within a few cycles of the audio
process's last block, without a request to the server, and hands back without a seam. Asking JACK
for connections instead took 25 ms until the kernel had told of the death, and 12 to 20 ms for each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jack
import numpy as np

from devices.audio import _dry  # type: ignore[attr-defined]
from engine.mixer import LIMIT_DB, LIMIT_RELEASE_S, linear
from engine.patch import Patch
from engine.shm_records import DRY_DONE, DRY_HAND

CYCLES_MIN = 2  # one late cycle is no death
PATIENCE_S = 0.008  # without a block of the audio process, in whole cycles, until we play
PORTS_MAX, SENDS_MAX = 64, 256
ffi: Any = _dry.ffi
lib: Any = _dry.lib


class DryPath:
    """The C side of the client: which input goes to which output, how loud. words: the shared
    words of engine/shm_records.py (DRY_*)."""

    def __init__(self, client: Any, patch: Patch, words: np.ndarray) -> None:
        self.inputs = [n for n, i in patch.inputs.items() if i.dry == "segue" and i.stream is None][
            :PORTS_MAX
        ]
        self.outputs = [
            (bus, k) for bus, output in patch.outputs.items() for k in range(len(output.channels))
        ][:PORTS_MAX]
        self.sends = [
            (i, o, name, bus)
            for i, name in enumerate(self.inputs)
            for o, (bus, _) in enumerate(self.outputs)
            if bus in patch.inputs[name].to
        ][:SENDS_MAX]
        self._words = words
        path = self._path = ffi.new("dry_path *")
        jack_ffi, jack_lib = jack._ffi, jack._lib

        def address(thing: Any) -> Any:
            return ffi.cast("void *", int(jack_ffi.cast("intptr_t", thing)))

        path.client = address(client._ptr)
        path.buffer_of = address(jack_ffi.addressof(jack_lib, "jack_port_get_buffer"))
        path.frame_time = address(jack_ffi.addressof(jack_lib, "jack_last_frame_time"))
        for i in range(len(self.inputs)):
            path.inputs[i] = address(client.inports.register(f"in_{i}")._ptr)
        for o in range(len(self.outputs)):
            path.outputs[o] = address(client.outports.register(f"out_{o}")._ptr)
        for s, (i, o, name, bus) in enumerate(self.sends):
            path.sends[s].input, path.sends[s].output = i, o
            path.sends[s].gain = linear(patch.inputs[name].to[bus])
        for bus in (b for b, output in patch.outputs.items() if output.limit):
            places = [o for o, (name, _) in enumerate(self.outputs) if name == bus]
            for a in range(0, len(places), 2):
                limiter = path.limiters[path.limiter_count]
                limiter.left, limiter.right = [*places[a : a + 2], -1][:2]
                limiter.gain = 1.0
                path.limiter_count += 1
        path.threshold = linear(LIMIT_DB)
        path.release = 1.0 - math.exp(-1.0 / (LIMIT_RELEASE_S * client.samplerate))
        path.input_count, path.output_count = len(self.inputs), len(self.outputs)
        path.send_count = len(self.sends)
        cycles = round(PATIENCE_S * client.samplerate / client.blocksize)
        path.patience = max(CYCLES_MIN, cycles)
        path.words = ffi.cast("int64_t *", words.ctypes.data)
        path.done, path.handed = int(words[DRY_DONE]), int(words[DRY_HAND])
        path.quiet = path.patience  # nobody plays yet
        cycle = int(ffi.cast("intptr_t", ffi.addressof(lib, "dry_cycle")))
        client._keepalive.append(path)
        jack_lib.jack_set_process_callback(
            client._ptr,
            jack_ffi.cast("JackProcessCallback", cycle),
            jack_ffi.cast("void *", int(ffi.cast("intptr_t", path))),
        )

    def set_enabled(self, enabled: bool) -> None:
        self._path.enabled = enabled

    def set_levels(self, level: Callable[[str, str], float]) -> None:
        """level(input, bus): linear, trim and master included."""
        for s, (_, _, name, bus) in enumerate(self.sends):
            self._path.sends[s].gain = level(name, bus)
