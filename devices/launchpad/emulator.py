"""A Launchpad Pro MK3 that is not there: emulated.EmulatedMk3 with real JACK MIDI ports.

    with Emulator() as pads:
        pads.press(88)
        pads.leds()[88].colour

Its ports are named so that whoever looks for a Launchpad finds it. It joins the server that
JACK_DEFAULT_SERVER names. A thread of its own polls every millisecond; all methods may be called
from any thread. Not real-time safe.

The ports are python-rtmidi's, whose JACK callbacks are C++: no Python runs in JACK's cycle, so a
slow emulator cannot hold up the sound. A third client, never activated, tells of the server's
death (rtmidi does not): sending to a dead server would never return.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import jack
import rtmidi

from devices.launchpad.emulated import Aftertouch, EmulatedMk3, Heard, Led, Mode
from devices.midi.transport import leave_cycle
from devices.quiet import quiet
from engine.surface import Cells

CLIENT: Final = "Launchpad Pro MK3"
CLOSE_S: Final = 10.0
PORT: Final = "LPProMK3 MIDI"
POLL_S: Final = 0.001
QUEUE_MESSAGES: Final = 4096


class EmulatorError(RuntimeError):
    """No sound server, or it takes no more ports; says what to do."""


class Emulator:
    """client: JACK's name for it; two at once need two names (the second half of its ports'
    names stays). Raises EmulatorError."""

    def __init__(
        self,
        client: str = CLIENT,
        *,
        aftertouch: Aftertouch = Aftertouch.CHANNEL,
        floods: bool = False,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.client = client
        self.lost = threading.Event()  # the server is gone; only abandon() is of use then
        self._unit = EmulatedMk3(aftertouch, floods)
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._in: Any = None
        self._out: Any = None
        self._watch: Any = None
        self._stop = threading.Event()
        try:
            with quiet():
                self._watch = jack.Client(f"{client} watch", no_start_server=True)
        except jack.JackError as error:
            raise EmulatorError(
                f"no JACK server: {error}; start one, or name another with --server"
            ) from error
        self._watch.set_shutdown_callback(lambda status, reason: self.lost.set())
        try:
            self.plug()
        except EmulatorError:
            self._watch.close()
            raise
        self._thread = threading.Thread(target=self._serve, name="emulator", daemon=True)
        self._thread.start()

    # ---- the cable

    def plug(self) -> None:
        """Plug it in: Live mode, dark. Nothing happens when it is."""
        with self._lock:
            if self._out is not None:
                return
            self._unit.power_cycle()
            try:
                self._out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name=self.client)
                self._out.open_virtual_port(PORT)
                self._in = rtmidi.MidiIn(
                    rtmidi.API_UNIX_JACK,
                    name=f"{self.client} in",
                    queue_size_limit=QUEUE_MESSAGES,
                )
                self._in.ignore_types(sysex=False, timing=False, active_sense=False)
                self._in.open_virtual_port(PORT)
            except (rtmidi.RtMidiError, ValueError) as error:
                self._drop()
                raise EmulatorError(f"JACK gives {self.client} no MIDI ports: {error}") from error

    def pull(self) -> None:
        """Pull its cable, whatever is held."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._out is not None:
            leave_cycle(self._out)
        for port in (self._out, self._in):
            if port is not None:
                port.delete()
        self._out = self._in = None

    def close(self) -> bool:
        """Unplug for good. False: libjack did not let go within CLOSE_S (jack_client_close has been
        seen not to return); such a process has to end by os._exit."""
        self._stop.set()
        self._thread.join()
        if self.lost.is_set():
            self.abandon()
            return True
        leaving = threading.Thread(target=self._leave, name="leaving", daemon=True)
        leaving.start()
        leaving.join(CLOSE_S)
        return not leaving.is_alive()

    def _leave(self) -> None:
        self.pull()
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def abandon(self) -> None:
        """Its server died: libjack frees what is left by itself, so nothing here may, ever."""
        self._stop.set()
        with self._lock:
            for left in (self._out, self._in, self._watch):
                if left is not None:
                    ctypes.pythonapi.Py_IncRef(ctypes.py_object(left))
            self._out = self._in = self._watch = None

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- fingers

    def press(self, index: int, velocity: int = 100) -> bool:
        """Put a finger on a cell; False where nothing was sent (Live mode, unplugged, held)."""
        with self._lock:
            return self._send(self._unit.press(index, velocity))

    def release(self, index: int) -> bool:
        with self._lock:
            return self._send(self._unit.release(index))

    def pressure(self, index: int, value: int) -> bool:
        """Press a held pad harder or softer, 0-127."""
        with self._lock:
            return self._send(self._unit.pressure(index, value))

    def send(self, *messages: bytes) -> bool:
        """Send anything, as a faulty unit would."""
        with self._lock:
            return self._send(list(messages))

    def _send(self, messages: list[bytes]) -> bool:
        if self._out is None or self.lost.is_set():
            return False
        for message in messages:
            self._out.send_message(message)
        return bool(messages)

    # ---- eyes

    @property
    def mode(self) -> Mode:
        return self._unit.mode

    @property
    def heard(self) -> Heard:
        """Counts of what came in; still being added to."""
        return self._unit.heard

    @property
    def pressed(self) -> tuple[int, ...]:
        with self._lock:
            return tuple(self._unit.pressed)

    def leds(self) -> dict[int, Led]:
        """Every cell as it was last lit, with the moment (CLOCK_MONOTONIC ns) of the change."""
        with self._lock:
            return dict(self._unit.leds)

    def colours(self) -> Cells:
        """Every cell's colour at this moment, 0-127; dark in Live mode."""
        with self._lock:
            return self._unit.colours(self._now_ns())

    # ---- the wire

    def _serve(self) -> None:
        while not self._stop.wait(POLL_S) and not self.lost.is_set():
            with self._lock:
                self._turn()

    def _turn(self) -> None:
        if self._in is None:
            return
        while (got := self._in.get_message()) is not None:
            self._send(self._unit.hear(bytes(got[0]), self._now_ns()))
        self._send(self._unit.tick(self._now_ns()))
