"""One JACK client that looks at a server and connects ports for as long as it runs.

`python -m engine.bench.jack_watcher`: a request a line in, an answer a line out, both JSON. JACK's
own tools are a client for each call, and clients that come and go while others start may hang one
of them (devices/jack_slots.py); so whoever looks again and again asks this process.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import jack

NAME = "segue-watcher"


def answer(client: Any, request: list[str]) -> Any:
    """ports: names. connections: [port, [its peers]] of each. connect, disconnect: whether it is so
    now."""
    match request:
        case ["ports"]:
            return [port.name for port in client.get_ports()]
        case ["connections"]:
            ports = client.get_ports()
            return [[p.name, [q.name for q in client.get_all_connections(p)]] for p in ports]
        case ["connect" | "disconnect" as do, source, destination]:
            try:
                getattr(client, do)(source, destination)
            except jack.JackError as error:
                return str(error)
            return None
    raise ValueError(f"found {request}, expected ports, connections, connect or disconnect")


def main() -> None:
    # Never activated: it is told of a dead server all the same, and costs nobody a wake-up.
    client = jack.Client(NAME, no_start_server=True)
    client.set_shutdown_callback(lambda *_: os._exit(1))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(client, json.loads(line))) + "\n")
        sys.stdout.flush()
    os._exit(0)  # the server takes it out; closing it may hang beside a dying one


if __name__ == "__main__":
    main()
