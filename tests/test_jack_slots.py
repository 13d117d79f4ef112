"""Risk: a JACK client of ours waits for the wake-ups of one that is gone, and nobody notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.jack_slots import waits_for_nobody

LIVING = "7f00-7f01 rw-s 0 00:1b 9 /dev/shm/jack_sem.0_default_segue-midi\n"
GONE = "7f02-7f03 rw-s 0 00:1b 8 /dev/shm/jack_sem.0_default_lsp (deleted)\n"
OTHER = "7f04-7f05 rw-s 0 00:1b 7 /dev/shm/segue-0/arena (deleted)\n"


@pytest.mark.parametrize(
    ("maps", "waits"), [("", False), (LIVING + OTHER, False), (LIVING + GONE, True)]
)
def test_a_wake_up_of_a_client_that_is_gone_is_told_from_all_else(
    tmp_path: Path, maps: str, waits: bool
) -> None:
    (tmp_path / "maps").write_text(maps)
    assert waits_for_nobody(tmp_path / "maps") is waits
