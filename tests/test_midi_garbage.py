"""Risk: bytes from outside that are not MIDI stop the process, or come out as something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.midi.parse import SYSEX_MAX, length_of, parse

channel_message = st.builds(
    lambda status, a, b: bytes((status, a, b))[: length_of(status)],
    st.integers(0x80, 0xEF),
    st.integers(0, 127),
    st.integers(0, 127),
)
sysex = st.binary(max_size=40).map(
    lambda body: b"\xf0" + bytes(b & 0x7F for b in body) + b"\xf7",
)


@given(st.binary(max_size=4096))
def test_no_bytes_at_all_raise_or_make_a_message_that_is_not_one(data: bytes) -> None:
    found = parse(data)
    for message in found.messages:
        assert message in data
        if message[0] == 0xF0:
            assert message[-1] == 0xF7
            assert len(message) <= SYSEX_MAX
        else:
            assert len(message) == length_of(message[0])
            assert all(b < 0x80 for b in message[1:])
    assert sum(map(len, found.messages)) + found.thrown == len(data)


@given(st.lists(channel_message | sysex, max_size=12))
def test_good_messages_come_through_whole_even_in_one_event(messages: list[bytes]) -> None:
    found = parse(b"".join(messages))
    assert found.messages == messages
    assert found.thrown == 0
    assert not found.broken


@pytest.mark.parametrize(
    ("data", "messages", "thrown"),
    [
        (b"", [], 0),
        (b"\x90", [], 1),  # truncated
        (b"\x90\x3c", [], 2),
        (b"\x90\xc8\x01", [b"\xc8\x01"], 1),  # C8 01 is a whole program change
        (b"\x05\x06", [], 2),  # data without a status
        (b"\xf7", [], 1),
        (b"\xf4", [], 1),
        (b"\xc0\x05\x90\x3c\x40", [b"\xc0\x05", b"\x90\x3c\x40"], 0),
        (b"\xf0" + b"\x01" * 9000 + b"\xf7", [], 9002),  # oversized
    ],
)
def test_known_bad_events(data: bytes, messages: list[bytes], thrown: int) -> None:
    found = parse(data)
    assert found.messages == messages
    assert found.thrown == thrown


def test_a_cut_off_sysex_spoils_the_rest_and_says_so() -> None:
    glued = b"\xf0\x01\x02" + b"\x90\x3d\x05" + b"\x80\x3d\x00" + b"\xf0\x7e\xf7"
    found = parse(glued)
    assert found.messages == []
    assert found.broken
    assert found.thrown == len(glued)
