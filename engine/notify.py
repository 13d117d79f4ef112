"""What systemd is told of a service, if it started this process. Not real-time safe."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(message: str) -> None:
    """sd_notify: a datagram to the socket that systemd names, if it does. Never waits."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram,
        contextlib.suppress(OSError),
    ):
        datagram.setblocking(False)
        datagram.sendto(message.encode(), address)
