"""launchpad-py's own LaunchpadProMk3, not one line of it changed, on JACK: `python -m` this module.

It needs pygame.midi; here that is python-rtmidi with pygame's names. Each line of standard input is
an expression of `pads`; its value comes back as one line of JSON.
"""

from __future__ import annotations

import json
import sys
import types
import warnings
from typing import Any

import rtmidi

API = rtmidi.API_UNIX_JACK


def _ports() -> list[tuple[str, bool]]:
    """(name, may be listened to) of every port."""
    ends = (
        (rtmidi.MidiIn(API, name="look in"), True),
        (rtmidi.MidiOut(API, name="look out"), False),
    )
    found = [(name, reads) for end, reads in ends for name in end.get_ports()]
    for end, _ in ends:
        end.delete()
    return found


class Output:
    """pygame.midi.Output."""

    def __init__(self, device: int, latency: int = 0) -> None:
        self._midi = rtmidi.MidiOut(API, name="launchpad-py")
        self._midi.open_port(self._midi.get_ports().index(_ports()[device][0]))

    def write_short(self, status: int, data1: int = 0, data2: int = 0) -> None:
        self._midi.send_message((status, data1, data2))

    def write_sys_ex(self, when: int, message: bytes) -> None:
        self._midi.send_message(message)

    def write(self, messages: list[list[Any]]) -> None:
        for data, _ in messages:
            self._midi.send_message(data)


class Input:
    """pygame.midi.Input."""

    def __init__(self, device: int, buffer_size: int = 4096) -> None:
        self._midi = rtmidi.MidiIn(API, name="launchpad-py", queue_size_limit=buffer_size)
        self._midi.open_port(self._midi.get_ports().index(_ports()[device][0]))
        self._waiting: list[list[int]] = []

    def poll(self) -> bool:
        while (got := self._midi.get_message()) is not None:
            self._waiting.append(list(got[0]))
        return bool(self._waiting)

    def read(self, count: int) -> list[list[Any]]:
        self.poll()
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return [[[*message, 0, 0, 0][:4], 0] for message in taken]


def stand_in() -> dict[str, types.ModuleType]:
    """pygame, as far as launchpad-py uses it."""
    pygame, midi, clock = (types.ModuleType(n) for n in ("pygame", "pygame.midi", "pygame.time"))
    own: dict[str, Any] = {
        "init": lambda: None,
        "get_count": lambda: len(_ports()),
        "get_device_info": lambda i: (b"JACK", _ports()[i][0].encode(), int(_ports()[i][1]),
                                      int(not _ports()[i][1]), 0),
        "Input": Input,
        "Output": Output,
    }  # fmt: skip
    midi.__dict__.update(own)
    clock.__dict__["wait"] = lambda milliseconds: None
    pygame.__dict__.update({"midi": midi, "time": clock})
    return {"pygame": pygame, "pygame.midi": midi, "pygame.time": clock}


def main() -> None:
    sys.modules.update(stand_in())
    warnings.simplefilter("ignore")  # its sources use escapes that warn when compiled
    import launchpad_py

    pads = launchpad_py.LaunchpadProMk3()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(eval(line, {"pads": pads})) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
