"""The C kernel (engine/kernel.c) through cffi: `lib.seg_*` and helpers to hand NumPy arrays to it.

The interface is read from engine/kernel.h, the file the compiler reads too. Real-time safe.
"""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path
from typing import Any

import cffi
import numpy as np

ffi: Any = cffi.FFI()
_HERE = Path(__file__).parent
ffi.cdef(re.sub(r"/\*.*?\*/", "", (_HERE / "kernel.h").read_text(), flags=re.S))


def _open() -> Any:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    path = _HERE / f"_kernel{suffix}"
    try:
        return ffi.dlopen(str(path))
    except OSError as error:
        raise ImportError(
            f"segue's kernel {path} cannot be opened ({error}): install again with `make setup`"
        ) from error


lib = _open()


def pointer(array: np.ndarray, kind: str = "float *") -> Any:
    """A C pointer to an array's first element. The caller keeps the array alive."""
    return ffi.cast(kind, array.ctypes.data)
