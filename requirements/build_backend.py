"""setuptools' build backend, preceded by one step: cffi writes the glue of the kernel.

engine/kernel.h is the only description of the interface; the glue (engine/_kernel_glue.c) is made
from it at every build and never committed. An in-tree backend (PEP 517) instead of a setup.py, so
that pyproject.toml stays the only build file.
"""

import re
from pathlib import Path

from cffi import FFI
from setuptools.build_meta import *  # noqa: F403
from setuptools.build_meta import build_editable as _editable
from setuptools.build_meta import build_sdist as _sdist
from setuptools.build_meta import build_wheel as _wheel


def _glue() -> None:
    ffi = FFI()
    header = Path("engine/kernel.h").read_text()
    ffi.cdef(re.sub(r"/\*.*?\*/", "", header, flags=re.S))
    ffi.set_source("engine._kernel", '#include "kernel.h"')
    ffi.emit_c_code("engine/_kernel_glue.c")


def build_wheel(*args, **kwargs):
    _glue()
    return _wheel(*args, **kwargs)


def build_editable(*args, **kwargs):
    _glue()
    return _editable(*args, **kwargs)


def build_sdist(*args, **kwargs):
    _glue()
    return _sdist(*args, **kwargs)
