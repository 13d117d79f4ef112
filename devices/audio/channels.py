"""Which channel of a device a patch or a rig means."""

from __future__ import annotations

import re


def channel_of(wanted: int | str | None, count: int, names: list[str]) -> int | None:
    """A channel (from 0) of so many, by its number (from 1) or by a pattern of its port's name and
    aliases; None: it is not there, or none is wanted."""
    if wanted is None:
        return None
    if isinstance(wanted, int):
        return wanted - 1 if 1 <= wanted <= count else None
    return next((i for i, name in enumerate(names) if re.search(wanted, name)), None)
