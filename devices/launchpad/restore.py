"""Launchpads back in a mode of their own, after a crash left them in Programmer mode.

`segue launchpad restore`, for a service's ExecStopPost: quick, also where there is no Launchpad and
no sound server. Not real-time safe.
"""

from __future__ import annotations

import contextlib
import re
import time

from devices.launchpad.units import UNITS, Unit
from devices.midi.surface_port import GOODBYE_AGAIN_S
from devices.midi.transport import OutPort, RtTransport, TransportError


def restore_all(pattern: str | None = None) -> list[str]:
    """Say goodbye to every Launchpad found; returns the ports' names. pattern: of a port, instead
    of those that the units are known by. Raises re.error for a bad one."""
    wanted = [(re.compile(pattern or unit.port), unit) for unit in dict.fromkeys(UNITS.values())]
    found: list[tuple[str, OutPort, list[Unit]]] = []
    systems: list[RtTransport] = []
    for name in ("jack", "alsa"):
        with contextlib.suppress(TransportError):
            system = RtTransport(name)
            systems.append(system)
            for port in system.outputs() or ():
                units = [unit for expression, unit in wanted if expression.search(port)]
                if units:
                    with contextlib.suppress(TransportError):
                        found.append((port, system.open_output(port, "restore"), units))
    for again in (False, True):
        if again and found:
            time.sleep(GOODBYE_AGAIN_S)  # in another cycle, should JACK miss the first
        for _, out, units in found:
            for message in (m for unit in units for m in unit.goodbye):
                out.send(message)
    for _, out, _ in found:
        out.close()
    for system in systems:
        system.close()
    return [port for port, _, _ in found]
