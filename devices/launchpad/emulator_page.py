"""The emulator in the browser: a page on 127.0.0.1 that shows the pads and takes presses.

    GET  /, /pads.js, /pads.css   the page; nothing is loaded from elsewhere
    GET  /lights                  server-sent events: first the cells and a token, then what changed
    POST /touch                   {"token": …, "do": "press", "index": 88, "value": 100}

Presses belong to the stream whose token they carry: when it ends, a closed tab say, what it held is
released. Whatever arrives is untrusted: only requests to this host and from this page are taken
(Host, Origin), bodies, streams and time are bounded, and a wrong request changes nothing.
Not real-time safe; a thread for each request.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Protocol

from devices.launchpad.drawing import ARROWS, PRINTED, place, screen_colour
from devices.launchpad.mk3 import CELLS, LOGO, PADS
from engine.surface import Cells, difference

HOST: Final = "127.0.0.1"
FRAME_S: Final = 1.0 / 40.0
LIFE_S: Final = 1.0  # a line at least this often, so that a closed tab is noticed
REQUEST_S: Final = 5.0  # for a request to arrive
BODY_MAX: Final = 256  # bytes
STREAMS_MAX: Final = 8
CONNECTIONS_MAX: Final = 32
FILES: Final = {
    "/": ("pads.html", "text/html; charset=utf-8"),
    "/pads.js": ("pads.js", "text/javascript; charset=utf-8"),
    "/pads.css": ("pads.css", "text/css; charset=utf-8"),
}
FOLDER: Final = Path(__file__).parent / "page"
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    """A request that is not taken: status and reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Pads(Protocol):
    """What the page shows and plays: emulator.Emulator."""

    def press(self, index: int, velocity: int = 100) -> bool: ...

    def release(self, index: int) -> bool: ...

    def pressure(self, index: int, value: int) -> bool: ...

    def colours(self) -> Cells: ...


class _Server(ThreadingHTTPServer):
    """As many connections at once as there may be; the rest are closed unheard."""

    daemon_threads = True

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__((HOST, port), handler)
        self.connections = 0
        self._count = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._count:
            taken = self.connections < CONNECTIONS_MAX
            self.connections += taken
        if taken:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._count:
                self.connections -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke: nothing to tell anybody."""


class Page:
    """Serves until closed. port 0: any free one. Raises OSError where the port is taken."""

    def __init__(self, pads: Pads, port: int = 0) -> None:
        self.pads = pads
        self._held: dict[str, set[int]] = {}  # stream's token: cells
        self._lock = threading.Lock()
        self.closing = threading.Event()
        page = self

        class Handler(_Handler):
            pass

        Handler.page = page
        self._server = _Server(port, Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="page", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/"

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._server.connections

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- streams and what they hold

    def begin(self) -> str:
        """A new stream's token. Raises Refused when there are too many."""
        with self._lock:
            if len(self._held) >= STREAMS_MAX:
                raise Refused(
                    HTTPStatus.SERVICE_UNAVAILABLE, f"{STREAMS_MAX} pages are open already"
                )
            token = secrets.token_urlsafe(16)
            self._held[token] = set()
            return token

    def end(self, token: str) -> None:
        with self._lock:
            left = self._held.pop(token, set())
            for index in left:
                self.pads.release(index)

    def touch(self, asked: Any) -> None:
        """What /touch is sent. Raises Refused."""
        if not isinstance(asked, dict) or asked.keys() != {"token", "do", "index", "value"}:
            raise Refused(HTTPStatus.BAD_REQUEST, "expected token, do, index and value")
        do, index, value = asked["do"], asked["index"], asked["value"]
        if type(index) is not int or index not in CELLS:
            raise Refused(HTTPStatus.BAD_REQUEST, "index: expected a cell, 1-108")
        if type(value) is not int or not 0 <= value <= 127:
            raise Refused(HTTPStatus.BAD_REQUEST, "value: expected 0-127")
        with self._lock:
            held = self._held.get(asked["token"]) if isinstance(asked["token"], str) else None
            if held is None:
                raise Refused(HTTPStatus.FORBIDDEN, "token: expected that of an open /lights")
            if do == "press":
                if self.pads.press(index, value):
                    held.add(index)
            elif do == "release":
                if index in held:
                    held.discard(index)
                    self.pads.release(index)
            elif do == "pressure":
                if index in held:
                    self.pads.pressure(index, value)
            else:
                raise Refused(HTTPStatus.BAD_REQUEST, "do: expected press, release or pressure")


class _Handler(BaseHTTPRequestHandler):
    page: Page
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_S
    server_version, sys_version = "segue", ""

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, how: Any) -> None:
        try:
            self._from_here()
            how()
        except Refused as refused:
            self._say(refused.status, str(refused).encode(), "text/plain; charset=utf-8")
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _from_here(self) -> None:
        """Only this page may ask: another site's may not, under another name neither."""
        names = {f"{name}:{self.page.port}" for name in (HOST, "localhost")}
        if self.headers.get("Host") not in names:
            raise Refused(HTTPStatus.FORBIDDEN, f"Host: expected {HOST}:{self.page.port}")
        origin = self.headers.get("Origin")
        if origin is not None and origin not in {f"http://{name}" for name in names}:
            raise Refused(HTTPStatus.FORBIDDEN, "Origin: expected this page")

    def _get(self) -> None:
        if self.path == "/lights":
            self._lights()
            return
        if self.path not in FILES:
            raise Refused(HTTPStatus.NOT_FOUND, "no such page")
        name, kind = FILES[self.path]
        self._say(HTTPStatus.OK, (FOLDER / name).read_bytes(), kind)

    def _post(self) -> None:
        self.close_connection = True  # unless the whole body has been read
        if self.path != "/touch":
            raise Refused(HTTPStatus.NOT_FOUND, "no such page")
        if self.headers.get("Content-Type") != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal() and len(length) < 9):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length")
        if int(length) > BODY_MAX:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected {BODY_MAX} bytes at most")
        body = self.rfile.read(int(length))
        self.close_connection = False
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, "expected JSON") from None
        self.page.touch(asked)
        self._say(HTTPStatus.NO_CONTENT, b"", "text/plain")

    def _say(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _lights(self) -> None:
        token = self.page.begin()
        self.close_connection = True
        try:
            self.send_response(HTTPStatus.OK)
            for name, value in {**HEADERS, "Content-Type": "text/event-stream"}.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self._tell({"token": token, "cells": _cells()})
            shown: Cells = {}
            told_s = time.monotonic()
            while not self.page.closing.wait(FRAME_S):
                colours = self.page.pads.colours()
                changed, shown = difference(colours, shown), colours
                if changed or time.monotonic() - told_s > LIFE_S:
                    told_s = time.monotonic()
                    self._tell({"lit": {i: _css(i, colour) for i, colour in changed.items()}})
        finally:
            self.page.end(token)

    def _tell(self, facts: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(facts)}\n\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a page that plays asks a thousand times a minute."""


def _cells() -> list[dict[str, Any]]:
    """What the page draws: where each cell is, its kind and what is printed on it."""
    arrows = {80: "▲", 70: "▼", 91: "◀", 92: "▶"}
    return [
        {
            "index": index,
            "column": place(index)[0],
            "row": place(index)[1],
            "kind": "logo" if index == LOGO else "pad" if index in PADS else "button",
            "label": arrows[index] if index in ARROWS else PRINTED.get(index, ""),
        }
        for index in CELLS
    ]


def _css(index: int, colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*screen_colour(index, colour))
