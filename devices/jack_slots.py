"""A fault of JACK 2 (seen in 1.9.21) that hangs a client for good, and how to notice it.

libjack keeps one table of all clients' wake-ups in each process. When a client of anybody's leaves
and another takes its number at that moment, a process that has a client already may open a second
one, find the table's old entry, and wait for the wake-ups of a client that is gone: the server
triggers it and it never runs. Nobody's cycle is then ever finished, an xrun is announced in each,
and no connection made from then on takes effect. The first client of a process cannot be hit; a
client that is hit leaves with its process only.

So: what has to run is opened first where it can be, a process with several clients looks whether
one of them waits at a file that is gone, and nothing of ours makes clients come and go while
others start.
"""

from __future__ import annotations

import time
from pathlib import Path

MAPS = Path("/proc/self/maps")
NEWS_S = 0.02  # how long the news that a client has left may take
LOOKS = 10


def waits_for_nobody(maps: Path = MAPS) -> bool:
    """Whether a wake-up of a client that is gone is still mapped here, and stays so. Takes 0.2 s
    where it is, else one look. Not real-time safe."""
    for look in range(LOOKS):
        lines = maps.read_text(errors="replace").splitlines()
        if not any("jack_sem." in line and line.endswith("(deleted)") for line in lines):
            return False
        if look < LOOKS - 1:
            time.sleep(NEWS_S)
    return True
