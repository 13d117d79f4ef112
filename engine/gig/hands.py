"""The hands of the night: a Launchpad and a keyboard, as other MIDI clients.

The Launchpad is the emulated one; a hand sees only what is lit. One thread; not real-time safe.
Made while JACK_DEFAULT_SERVER names the night's server.
"""

from __future__ import annotations

import random

import rtmidi

from devices.launchpad.emulated import EmulatedMk3
from devices.launchpad.layout import (
    CAPTURE,
    DRY_PAD,
    ROLE_ROW,
    SONG_BUTTONS,
    SONGS,
    STEM_ROWS,
    TRANSPORT,
    ActionKind,
    pad,
)
from devices.launchpad.mk3 import RIGHT
from engine.gig.song import Do
from engine.surface import pale, role_colour

PADS_CLIENT = "LPProMK3 MIDI"
KEYS_CLIENT = "Gig Keyboard"
STEADY_S = 0.9  # for which a pad must have been lit alike to be called ready
NOTE_ON, NOTE_OFF = 0x90, 0x80
COLUMNS = 8
QUEUE_MAX = 4096
PADS = {  # what a press means
    Do.ONE: ActionKind.THIS_IS_ONE,
    Do.TAP: ActionKind.TAP,
    Do.LET_IN: ActionKind.LET_IN,
    Do.DRY: ActionKind.DRY,
    Do.SCENE: ActionKind.NEXT_SCENE,
    Do.SONG: ActionKind.NEXT_SONG,
    Do.STANDBY: ActionKind.STANDBY,
    Do.END: ActionKind.END,
    Do.CAPTURE: ActionKind.CAPTURE,
}


class HandsError(RuntimeError):
    """JACK's MIDI is not there."""


def ready_pads(unit: EmulatedMk3, roles: list[str], role: str, now: float) -> list[int]:
    """Pads of a role that are lit in its full colour (or the paler one of a stem that stands in
    for it), and have been: its ready stems. now: seconds, of the clock the unit was lit by."""
    place = roles.index(role)
    full = role_colour(role, place)
    row = STEM_ROWS[place % len(STEM_ROWS)]
    leds = {index: unit.leds[index] for index in (pad(row, c + 1) for c in range(COLUMNS))}
    return [
        index
        for index, led in leds.items()
        if led.colour in (full, pale(full)) and now - led.changed_ns / 1e9 >= STEADY_S
    ]


def transport_pad(kind: ActionKind) -> int:
    """The pad of the top row, or the button to the left, that asks for `kind`."""
    for index, (asked, _) in zip(SONG_BUTTONS, SONGS, strict=True):
        if asked is kind:
            return index
    if kind is ActionKind.CAPTURE:
        return CAPTURE
    kinds = [k for k, _ in TRANSPORT]
    return DRY_PAD if kind is ActionKind.DRY else pad(8, kinds.index(kind) + 1)


def role_pad(roles: list[str], role: str) -> int:
    """The pad that picks a role, and shows it with its neighbours of four."""
    return pad(ROLE_ROW, roles.index(role) + 1)


def together(roles: list[str], role: str, other: str) -> bool:
    """Whether two roles are shown at the same time."""
    return roles.index(role) // len(STEM_ROWS) == roles.index(other) // len(STEM_ROWS)


def stop_button(roles: list[str], role: str) -> int:
    """The button to the right that stops a role."""
    row = STEM_ROWS[roles.index(role) % len(STEM_ROWS)]
    return RIGHT[8 - row]


class Pads:
    """The emulated Launchpad with ports of its own; look() polls them, without a thread."""

    def __init__(self) -> None:
        self.unit = EmulatedMk3()
        try:
            self._in = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, PADS_CLIENT, QUEUE_MAX)
            self._out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, PADS_CLIENT)
            self._in.ignore_types(sysex=False)
            self._in.open_virtual_port("in")
            self._out.open_virtual_port("out")
        except (rtmidi.RtMidiError, TypeError) as error:
            raise HandsError(f"no MIDI through JACK for the pads' stand-in: {error}") from error

    def look(self, now: float) -> None:
        """Take what was sent; call often. now: seconds, of any clock."""
        while (got := self._in.get_message()) is not None:
            self._send(self.unit.hear(bytes(got[0]), round(now * 1e9)))

    def ready(self, roles: list[str], role: str, now: float) -> list[int]:
        return ready_pads(self.unit, roles, role, now)

    def press(self, index: int) -> None:
        """A short press."""
        self._send(self.unit.press(index) + self.unit.release(index))

    def _send(self, messages: list[bytes]) -> None:
        for message in messages:
            self._out.send_message(message)

    def close(self) -> None:
        self._in.delete()
        self._out.delete()


class Keyboard:
    """The keyboard player's instrument."""

    def __init__(self) -> None:
        try:
            self._out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, KEYS_CLIENT)
            self._out.open_virtual_port("out")
        except (rtmidi.RtMidiError, TypeError) as error:
            raise HandsError(f"no MIDI through JACK for the keyboard: {error}") from error

    def note(self, key: int, velocity: int) -> None:
        """velocity 0: release."""
        self._out.send_message([NOTE_ON if velocity else NOTE_OFF, key, velocity])

    def close(self) -> None:
        self._out.delete()


# A call of one bar: (beat, length in beats, key, velocity); the same hand every time would be dull.
CALLS = (
    ((0.0, 0.5, 60, 84), (0.5, 0.5, 63, 76), (1.0, 0.9, 67, 88), (2.0, 0.5, 65, 78)),
    ((0.0, 0.9, 72, 86), (1.0, 0.5, 70, 74), (1.5, 0.5, 67, 76), (2.0, 1.2, 63, 84)),
    ((0.5, 0.5, 67, 80), (1.0, 0.5, 68, 82), (1.5, 0.5, 67, 74), (2.0, 0.9, 60, 88)),
)


def call(number: int, seed: int = 3) -> list[tuple[float, int, int]]:
    """(beat of the bar, key, velocity; 0: release) of the number-th call, in order of beat."""
    hand = random.Random(seed * 1000 + number)
    out = []
    for beat, length, key, velocity in CALLS[number % len(CALLS)]:
        start = beat + hand.gauss(0.0, 0.01)
        out += [(max(start, 0.0), key, velocity), (max(start, 0.0) + length, key, 0)]
    return sorted(out)
