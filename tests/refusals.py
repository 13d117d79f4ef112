"""What a patch, a rig or a set is refused for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.patch_load import PatchError, Problem


def problems_of(load: Callable[..., object], *given: object) -> list[Problem]:
    """load(*given) is refused: every problem, each of which its message tells."""
    with pytest.raises(PatchError) as caught:
        load(*given)
    problems = caught.value.problems
    assert [p for p in problems if str(p) not in str(caught.value)] == []
    return problems
