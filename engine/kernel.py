"""The C kernel (engine/{kernel,stems,strip}.c): `lib.seg_*`, and a helper to hand arrays to it.

The interface is engine/kernel.h, the file the compiler reads too. A call costs about 0.2 us;
`pointer` costs several, so callers keep pointers of arrays that live long. Real-time safe.
"""

from __future__ import annotations

from typing import Any

import numpy as np

try:
    from engine import _kernel  # type: ignore[attr-defined]
except ImportError as error:
    raise ImportError(
        f"segue's kernel is not built ({error}): install again with `make setup`"
    ) from error

ffi: Any = _kernel.ffi
lib: Any = _kernel.lib


def pointer(array: np.ndarray, kind: str = "float *") -> Any:
    """A C pointer to an array's first element. The caller keeps the array alive."""
    return ffi.cast(kind, array.ctypes.data)
