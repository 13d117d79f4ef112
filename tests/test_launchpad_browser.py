"""Risk: the emulator's page shows something else, leaves a pad held, or obeys another page."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Browser

from devices.launchpad.drawing import screen_colour
from devices.launchpad.emulated import Aftertouch, EmulatedMk3
from devices.launchpad.emulator_page import BODY_MAX, CONNECTIONS_MAX, STREAMS_MAX, Page
from devices.launchpad.mk3 import CELLS, LIVE_MODE, PROGRAMMER_MODE, bulk
from engine.surface import Cells

PATIENCE_S = 10.0


class Stand:
    """The unit without JACK; sent: what it said."""

    def __init__(self) -> None:
        self.unit = EmulatedMk3(aftertouch=Aftertouch.POLY)
        self.unit.hear(PROGRAMMER_MODE, 0)
        self.sent: list[bytes] = []
        self._lock = threading.Lock()

    def _say(self, messages: list[bytes]) -> bool:
        self.sent += messages
        return bool(messages)

    def press(self, index: int, velocity: int = 100) -> bool:
        with self._lock:
            return self._say(self.unit.press(index, velocity))

    def release(self, index: int) -> bool:
        with self._lock:
            return self._say(self.unit.release(index))

    def pressure(self, index: int, value: int) -> bool:
        with self._lock:
            return self._say(self.unit.pressure(index, value))

    def colours(self) -> Cells:
        with self._lock:
            return self.unit.colours(0)

    def light(self, cells: Cells) -> None:
        with self._lock:
            self.unit.hear(bulk(cells), 0)


def soon(true: Callable[[], bool]) -> None:
    """The page answers from threads of its own."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end


@pytest.fixture
def pads() -> Stand:
    return Stand()


@pytest.fixture
def page(pads: Stand) -> Iterator[Page]:
    with Page(pads) as page:
        yield page


class Stream:
    """An open /lights."""

    def __init__(self, page: Page) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=PATIENCE_S)
        self._connection.request("GET", "/lights")
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        self.token = self.next()["token"] if self.status == 200 else ""

    def next(self) -> dict[str, Any]:
        while not (line := self._answer.readline()).startswith(b"data: "):
            assert line
        return dict(json.loads(line[6:]))

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


def post(page: Page, asked: Any, **headers: str) -> int:
    """POST /touch; returns the status."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=PATIENCE_S)
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    told = {"Content-Type": "application/json"} | {
        k.replace("_", "-"): v for k, v in headers.items()
    }
    connection.request("POST", "/touch", body, told)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def touch(do: str, index: Any = 11, value: Any = 100, token: str = "") -> dict[str, Any]:
    return {"token": token, "do": do, "index": index, "value": value}


def test_presses_reach_the_unit_and_end_with_the_page_that_held_them(
    pads: Stand, page: Page
) -> None:
    one, other = Stream(page), Stream(page)
    assert post(page, touch("press", 88, token=one.token)) == 204
    assert post(page, touch("pressure", 88, 70, token=one.token)) == 204
    assert post(page, touch("press", 8, token=other.token)) == 204
    assert pads.sent == [b"\x90\x58\x64", b"\xa0\x58\x46", b"\xb0\x08\x7f"]
    assert post(page, touch("release", 88, token=other.token)) == 204  # it is not the other's
    assert set(pads.unit.pressed) == {88, 8}
    other.close()
    soon(lambda: set(pads.unit.pressed) == {88})
    assert pads.sent[-1] == b"\xb0\x08\x00"
    assert post(page, touch("release", 88, token=one.token)) == 204
    assert not pads.unit.pressed
    one.close()


def test_a_stream_tells_all_cells_and_then_what_changes(pads: Stand, page: Page) -> None:
    stream = Stream(page)
    assert set(stream.next()["lit"]) == {str(index) for index in CELLS}
    pads.light({11: (127, 0, 0), 105: (0, 1, 0)})
    lit = stream.next()["lit"]
    while not lit:  # a sign of life
        lit = stream.next()["lit"]
    assert lit["11"] == "#ff0000"
    assert set(lit) == {"11", "105"}
    assert screen_colour(105, (0, 1, 0))[1] > 20  # dim is seen
    stream.close()


@pytest.mark.parametrize(
    ("asked", "headers", "status"),
    [
        (touch("press"), {}, 403),  # no token
        (touch("press"), {"Origin": "http://example.org"}, 403),
        (touch("press"), {"Host": "example.org"}, 403),
        (touch("press"), {"Content_Type": "text/plain"}, 415),
        (b"{" * BODY_MAX, {}, 400),
        (b"[" * (BODY_MAX + 1), {}, 413),
        (b"", {"Content_Length": "1e3"}, 411),
        (touch("explode"), {}, 400),
        (touch("press", 100), {}, 400),
        (touch("press", True), {}, 400),
        (touch("press", 11, 128), {}, 400),
        (touch("press", 11, 1.5), {}, 400),
        ({"do": "press"}, {}, 400),
        ([1, 2], {}, 400),
        (b"\xff\xfe", {}, 400),
    ],
)
def test_what_is_not_from_this_page_or_not_a_touch_is_refused(
    pads: Stand, page: Page, asked: Any, headers: dict[str, str], status: int
) -> None:
    stream = Stream(page)
    if isinstance(asked, dict) and status == 400 and "token" in asked:
        asked["token"] = stream.token
    assert post(page, asked, **headers) == status
    assert pads.sent == []
    assert post(page, touch("press", token=stream.token)) == 204  # it lives on
    stream.close()


def test_other_sites_may_not_even_look(page: Page) -> None:
    for path, headers, status in (
        ("/", {"Host": f"evil.example:{page.port}"}, 403),
        ("/lights", {"Origin": "null"}, 403),
        ("/../pads.html", {}, 404),
        ("/pads.html", {}, 404),
        ("/", {}, 200),
        ("/pads.js", {}, 200),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=PATIENCE_S)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert (path, answer.status) == (path, status)
        text = answer.read().decode()
        assert "http://" not in text.replace("http://www.w3.org", "")  # nothing from elsewhere
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        connection.close()


def test_streams_and_connections_are_bounded(page: Page) -> None:
    streams = [Stream(page) for _ in range(STREAMS_MAX + 1)]
    assert [stream.status for stream in streams] == [200] * STREAMS_MAX + [503]
    for stream in streams:
        stream.close()

    def free() -> bool:
        stream = Stream(page)
        stream.close()
        return stream.status == 200

    soon(free)
    idle = []
    for _ in range(CONNECTIONS_MAX + 8):
        connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=PATIENCE_S)
        connection.connect()
        idle.append(connection)
    soon(lambda: page.connections <= CONNECTIONS_MAX)
    for connection in idle:
        connection.close()
    soon(free)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium: install Debian's package of that name")
    with Browser(tmp_path / "profile") as browser:
        yield browser


@pytest.mark.slow
def test_in_a_browser_it_shows_and_is_played(pads: Stand, page: Page, browser: Browser) -> None:
    pads.light({11: (127, 0, 0), 88: (0, 127, 0)})
    browser.open(page.url)
    browser.until("document.querySelectorAll('#pads button').length === 106")
    browser.until("document.querySelector('[data-index=\"88\"]').dataset.colour === '#00ff00'")
    assert (
        browser.value(
            "getComputedStyle(document.querySelector('[data-index=\"11\"]')).backgroundColor"
        )
        == "rgb(255, 0, 0)"
    )
    assert browser.value("performance.getEntriesByType('resource').length") >= 2
    assert browser.value(
        "performance.getEntriesByType('resource').every((e) => e.name.startsWith(location.origin)"
        " || e.name.startsWith('data:'))"
    )
    boxes = browser.value(
        "[...document.querySelectorAll('#pads button')].map((b) => b.getBoundingClientRect())"
        ".map((b) => [b.x, b.y, b.right, b.bottom])"
    )
    assert len({(round(b[0]), round(b[1])) for b in boxes}) == len(CELLS)  # none on another
    assert all(0 <= b[0] < b[2] <= 900 and 0 <= b[1] < b[3] for b in boxes)
    # The mouse: the right button holds; the left goes down, harder, up.
    shift, at = browser.middle('[data-index="90"]'), browser.middle('[data-index="55"]')
    browser.mouse("mousePressed", shift, "right")
    browser.mouse("mouseReleased", shift, "right")
    soon(lambda: set(pads.unit.pressed) == {90})
    browser.mouse("mousePressed", at)
    soon(lambda: set(pads.unit.pressed) == {90, 55})
    browser.mouse("mouseMoved", (at[0], at[1] - 40))
    soon(lambda: pads.unit.pressed.get(55, 0) > 64)
    browser.mouse("mouseReleased", at)
    soon(lambda: set(pads.unit.pressed) == {90})
    # Fingers: two at once, lifted one after the other.
    first, second = browser.middle('[data-index="11"]'), browser.middle('[data-index="88"]')
    browser.touch("touchStart", first, second)
    soon(lambda: set(pads.unit.pressed) == {90, 11, 88})
    browser.touch("touchEnd", first)
    soon(lambda: set(pads.unit.pressed) == {90, 88})
    # What the page holds ends with it.
    browser.close_page()
    soon(lambda: not pads.unit.pressed)
    pads.unit.hear(LIVE_MODE, 0)
