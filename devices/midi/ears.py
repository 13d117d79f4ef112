"""Every MIDI input at once, to find out which one is pressed. Not real-time safe; one thread."""

from __future__ import annotations

import contextlib

from devices.midi.transport import InPort, RtTransport, Transport, TransportError


class MidiEars:
    """down: systems that do not answer, each with the reason. Ports that come later are opened at
    the next look()."""

    def __init__(self) -> None:
        self._systems: list[Transport] = []
        self._open: dict[str, InPort] = {}
        self.down: list[str] = []
        for name in ("jack", "alsa"):
            try:
                self._systems.append(RtTransport(name))
            except TransportError as error:
                self.down.append(str(error))
        self.look()

    @property
    def ports(self) -> list[str]:
        return list(self._open)

    def look(self) -> None:
        """Open what is there and not open yet."""
        for system in self._systems:
            for port in system.inputs() or ():
                if port not in self._open:
                    with contextlib.suppress(TransportError):
                        self._open[port] = system.open_input(port, "ears")

    def poll(self) -> list[tuple[str, bytes]]:
        """engine.venue.Presses.poll."""
        heard = []
        for name, port in self._open.items():
            while (data := port.poll()) is not None:
                heard.append((name, data))
        return heard

    def close(self) -> None:
        for port in self._open.values():
            port.close()
        for system in self._systems:
            system.close()
