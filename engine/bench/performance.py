"""`segue bench performance`: how well the performance keeps its promises, one measurement a module.

A measurement is a module of engine/bench/measures with `measure() -> dict`: the keys it adds to
the answer, figures only, each as that module's docstring says. What cannot be measured here raises
MeasureError; the other measurements go on, and `not_measured` says which ones are missing and why.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from engine.bench.jackd import JackError
from engine.bench.measures import MeasureError
from engine.bench.native import NativeError

MEASURES = (
    "stem_onset",
    "seam",
    "cv",
    "capture",
    "session",
    "changes",
)  # modules, in the order they run


def bench_performance(names: Sequence[str] = MEASURES) -> dict[str, Any]:
    """All keys of the measurements named; `not_measured`: {module: why}, where there are any."""
    facts: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            facts.update(importlib.import_module(f"engine.bench.measures.{name}").measure())
        except (MeasureError, JackError, NativeError) as error:
            failed[name] = str(error)
    if failed:
        facts["not_measured"] = failed
    return facts
