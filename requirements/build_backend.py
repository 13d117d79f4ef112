"""setuptools' build backend, preceded by one step: cffi writes the glue of our two C modules.

Their headers are the only description of their interface; the glue (`_*_glue.c`) is made from them
at every build and never committed. An in-tree backend (PEP 517) instead of a setup.py, so that
pyproject.toml stays the only build file.
"""

import re
from pathlib import Path

from cffi import FFI
from setuptools.build_meta import *  # noqa: F403
from setuptools.build_meta import build_editable as _editable
from setuptools.build_meta import build_sdist as _sdist
from setuptools.build_meta import build_wheel as _wheel

MODULES = {"engine/kernel.h": "engine._kernel", "devices/audio/dry.h": "devices.audio._dry"}


def _glue() -> None:
    for header, module in MODULES.items():
        ffi = FFI()
        ffi.cdef(re.sub(r"/\*.*?\*/", "", Path(header).read_text(), flags=re.S))
        ffi.set_source(module, f'#include "{Path(header).name}"')
        ffi.emit_c_code(module.replace(".", "/") + "_glue.c")


def build_wheel(*args, **kwargs):
    _glue()
    return _wheel(*args, **kwargs)


def build_editable(*args, **kwargs):
    _glue()
    return _editable(*args, **kwargs)


def build_sdist(*args, **kwargs):
    _glue()
    return _sdist(*args, **kwargs)
