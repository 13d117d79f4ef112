"""The sound server's own clock, read from inside somebody else's callback.

PortAudio hides its JACK client, so a second, never activated client reads the server's cycle timer
from shared memory. Frames are exact: cycle starts differ by whole periods, and a skipped cycle
shows as a jump. A cycle is over when the frame has moved on; the server's own prediction of that
(next_usecs) is filtered and wrong by a millisecond for a second after any stall. frame() is
real-time safe (no lock, no system call).
"""

from __future__ import annotations

import ctypes.util
import os
import re
from typing import Any

import cffi

_ffi: Any = cffi.FFI()
_ffi.cdef(
    """
    typedef struct _jack_client jack_client_t;
    typedef struct _jack_port jack_port_t;
    jack_client_t *jack_client_open(const char *name, int options, int *status, ...);
    int jack_client_close(jack_client_t *client);
    uint32_t jack_last_frame_time(const jack_client_t *client);
    uint32_t jack_get_sample_rate(jack_client_t *client);
    uint32_t jack_get_buffer_size(jack_client_t *client);
    const char **jack_get_ports(jack_client_t *client, const char *names, const char *types,
                                unsigned long flags);
    jack_port_t *jack_port_by_name(jack_client_t *client, const char *name);
    int jack_port_get_aliases(const jack_port_t *port, char *const aliases[]);
    int jack_port_name_size(void);
    void jack_free(void *memory);
    """
)
NO_START_SERVER = 0x01
SERVER_NAME = 0x04
PORT_IS_INPUT, PORT_IS_OUTPUT = 0x1, 0x2
AUDIO_TYPE = b"32 bit float mono audio"

PortNames = tuple[str, ...]  # a port's name, then its aliases


def _library() -> Any:
    return _ffi.dlopen(ctypes.util.find_library("jack") or "libjack.so.0")


class JackClock:
    """Raises OSError when there is no libjack or no server that answers."""

    def __init__(self, name: str = "segue-clock") -> None:
        self._lib = _library()
        status = _ffi.new("int *")
        options = NO_START_SERVER
        arguments = []
        server = os.environ.get("JACK_DEFAULT_SERVER")
        if server:
            options |= SERVER_NAME
            arguments.append(_ffi.new("char[]", server.encode()))
        self._client = self._lib.jack_client_open(name.encode(), options, status, *arguments)
        if self._client == _ffi.NULL:
            raise OSError(f"no JACK server answers (status {status[0]:#x})")
        self.rate = int(self._lib.jack_get_sample_rate(self._client))
        self.block = int(self._lib.jack_get_buffer_size(self._client))
        self._high = 0
        self._last = 0

    def frame(self) -> int:
        """The frame at which the server's present cycle began."""
        frame = int(self._lib.jack_last_frame_time(self._client))
        if frame < self._last and self._last - frame > 1 << 31:
            self._high += 1 << 32  # the server's counter has 32 bits: a day at 48 kHz
        self._last = frame
        return self._high + frame

    def ports(self, client: str) -> tuple[list[PortNames], list[PortNames]]:
        """Audio ports of another client, in channel order: (captures, playbacks), each its name,
        then its aliases; any of them may hold spaces. Not real-time safe."""
        return self._ports(client, PORT_IS_OUTPUT), self._ports(client, PORT_IS_INPUT)

    def clients(self) -> list[str]:
        """Names of all clients with audio ports that can be played to. Not real-time safe."""
        names = [port[0].rpartition(":")[0] for port in self._ports("", PORT_IS_INPUT)]
        return list(dict.fromkeys(names))

    def _ports(self, client: str, flags: int) -> list[PortNames]:
        lib = self._lib
        pattern = f"^{re.escape(client)}:".encode() if client else _ffi.NULL
        names = lib.jack_get_ports(self._client, pattern, AUDIO_TYPE, flags)
        found: list[PortNames] = []
        if names == _ffi.NULL:
            return found
        size = int(lib.jack_port_name_size())
        buffers = [_ffi.new("char[]", size) for _ in range(2)]
        aliases = _ffi.new("char *[]", buffers)
        while names[len(found)] != _ffi.NULL:
            name = names[len(found)]
            count = lib.jack_port_get_aliases(lib.jack_port_by_name(self._client, name), aliases)
            texts = [name, *buffers[:count]]
            found.append(tuple(_ffi.string(t).decode(errors="replace") for t in texts))
        lib.jack_free(names)
        return found

    def close(self) -> None:
        self._lib.jack_client_close(self._client)


def server_answers() -> bool:
    """Whether a JACK (or PipeWire-JACK) server can be reached now."""
    try:
        clock = JackClock("segue-probe")
    except OSError:
        return False
    clock.close()
    return True
