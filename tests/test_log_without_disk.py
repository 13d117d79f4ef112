"""Risk: a session's disk that takes nothing takes the conductor or the start of a night with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.journal import Journal


def test_a_log_that_cannot_be_opened_is_said_and_the_state_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = tmp_path / "session"
    session.write_text("no folder")
    journal = Journal(tmp_path, session)
    assert "no log" in caplog.text
    journal.write({"event": "stem", "frame": 1})
    journal.save({"tempo": 120})
    journal.close()
    successor = Journal(tmp_path, None)
    assert successor.load() == {"tempo": 120}
    successor.close()
