"""Live mode again, after a crash left a Launchpad in Programmer mode.

`python -m devices.launchpad.restore [PATTERN]`, for a service's ExecStopPost. Exit 0 also where
there is no Launchpad: nothing needs restoring then.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence

from devices.launchpad.mk3 import LIVE_MODE
from devices.midi.ports import PortKind, Ports, PortSpec, PortState
from devices.midi.surface_port import GOODBYE_AGAIN_S
from engine.patch import Surface

log = logging.getLogger("segue.midi")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="restore: %(message)s", stream=sys.stderr)
    pattern = arguments[0] if arguments else Surface().port
    ports = Ports((PortSpec("restore", PortKind.SURFACE, pattern, reads=False, writes=True),))
    events = ports.step(time.monotonic_ns())
    for event in events:
        if event.state is PortState.OPEN:
            ports.send(event.index, LIVE_MODE)
            time.sleep(GOODBYE_AGAIN_S)  # in another cycle, should JACK miss the first
            ports.send(event.index, LIVE_MODE)
            log.info("%s is in Live mode", event.detail)
    ports.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
