"""A changed patch taken while it plays: the conductor's process asks for a check, and takes what is
sound.

However often it is asked (fifty times a second), at most one check runs and one waits, GAP_S apart;
everybody who asked before a check began gets its answer. A broken file leaves the running patch in
force; so does one that needs a restart, whole. What was taken lies in FOLDER/patch.now.json, for a
conductor that is restarted; all other processes keep the patch they were started with.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.conductor import Conductor
from engine.patch import Patch
from engine.patch_change import changed, needs_restart
from engine.patch_now import NOW
from engine.reload_check import NEXT
from engine.shm import Shared
from engine.soundfont import changed_since

GAP_S = 1.0
CHECK_S = 20.0
BUSY_S = 0.05  # while a song is changing
SHOWN = 12
log = logging.getLogger("segue.reload")

Answer = dict[str, Any]


class Reloader:
    """shared, conductor: of the process. taken: called with a patch that was taken."""

    def __init__(
        self, shared: Shared, conductor: Conductor, taken: Callable[[Patch], None]
    ) -> None:
        self._shared, self._conductor, self._taken = shared, conductor, taken
        self._lock = asyncio.Lock()
        self._waiting: asyncio.Task[Answer] | None = None
        self._ended = -GAP_S

    async def ask(self) -> Answer:
        """{"said": ...} where it was taken or nothing has changed, else {"error": ...} with what is
        wrong ("problems") or what needs a restart ("needs_restart")."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._one())
        return await asyncio.shield(self._waiting)

    async def _one(self) -> Answer:
        async with self._lock:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(max(0.0, self._ended + GAP_S - loop.time()))
            self._waiting = None  # who asks from now on may mean a newer file
            try:
                answer = await self._check()
            except (OSError, ValueError, KeyError) as error:
                answer = {"error": f"the patch could not be checked: {error}"}
            self._ended = loop.time()
        if "error" in answer:
            log.warning("reload: %s", answer["error"])
        return answer

    async def _check(self) -> Answer:
        folder = self._shared.folder
        assert folder is not None
        problems = await _checked(folder)
        if problems:
            return {"error": "\n".join(problems), "problems": problems}
        patch = Patch.from_json((folder / NEXT).read_text())
        reasons = needs_restart(self._shared.patch, patch, self._shared.slot_frames)
        if reasons:
            what = ", ".join(reasons[:SHOWN]) + (" and more" if len(reasons) > SHOWN else "")
            error = f"needs a restart, nothing was changed: {what}"
            return {"error": error, "needs_restart": reasons}
        keys = changed(self._conductor.patch, patch)
        told = changed_since(folder, self._shared.patch)
        besides = f"; {told}" if told else ""
        if not keys:
            return {"said": f"nothing has changed{besides}", "changed": []}
        while (refused := self._conductor.take(patch, self._shared.now(), keys)) is not None:
            if not self._conductor.programme.busy:
                return {"error": refused}
            await asyncio.sleep(BUSY_S)
        temporary = folder / (NOW + ".new")
        temporary.write_text(patch.to_json())
        os.replace(temporary, folder / NOW)
        self._taken(patch)
        return {"said": f"reloaded{besides}", "changed": keys}


async def _checked(folder: Path) -> list[str]:
    """What the check process says. Its death is a problem, too."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engine.reload_check", str(folder),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), CHECK_S)
    except TimeoutError:
        return [f"the check took longer than {CHECK_S:g} s"]
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        return [f"the check ended with {process.returncode}"]
    found: list[str] = json.loads(said)["problems"]
    return found
