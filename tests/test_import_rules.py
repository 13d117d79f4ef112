"""Risk: a library or a layer creeps in where it must not be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The command line and the conductor's process put a performance together; benchmarks, the gig and
# the demo play and judge the world around a whole one. All else in engine is its core.
PROGRAMS = re.compile(r"engine/(cli(_\w+)?|conductor_process|demo|bench/.+|gig/.+)\.py")
# A patch's models, and benchmarks, are loaded by name in these alone.
BY_NAME = {
    "engine/bench/performance.py",
    "engine/listener_host.py",
    "engine/player_host.py",
    "engine/worker.py",
}
LAYERS = ("engine", "devices", "models")
MODEL_LIBRARIES = {
    "torch",
    "notochord",
    "aubio",
    "x_transformers",
    "pandas",
    "librosa",
    "tinysoundfont",
}


def imports(path: Path, top_level_only: bool = False) -> set[str]:
    """Modules (and what is taken from them) a file names in import statements; top level: what
    runs at import."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            found.update(a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{a.name}" for a in node.names)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        inner = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if not (top_level_only and (inner or typing_only)):
            for child in ast.iter_child_nodes(node):
                visit(child)

    visit(tree)
    return found


def layer(module: str) -> str:
    return module.partition(".")[0]


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_program(module: str) -> bool:
    path = ROOT / module.replace(".", "/")
    file = path / "module.py" if path.is_dir() else path.with_suffix(".py")
    return bool(PROGRAMS.fullmatch(name(file)))


def core() -> list[Path]:
    return [p for p in sources("engine") if not PROGRAMS.fullmatch(name(p))]


@pytest.mark.parametrize("path", core(), ids=name)
def test_the_core_knows_neither_devices_nor_models_nor_the_programs_around_it(path: Path) -> None:
    known = imports(path)
    assert not {m for m in known if layer(m) in ("devices", "models", "tests")}
    assert not {m for m in known if is_program(m)}


def test_programs_and_core_are_what_they_are_called() -> None:
    outside = {name(p) for p in sources("engine")} - {name(p) for p in core()}
    assert {"engine/cli.py", "engine/bench/hands.py", "engine/gig/stage.py"} <= outside
    assert {"engine/performance.py", "engine/conductor.py", "engine/supervisor.py"} <= {
        name(p) for p in core()
    }
    assert is_program("engine.gig")
    assert is_program("engine.gig.judge")
    assert not is_program("engine.conductor")
    assert not is_program("numpy")
    assert {name(p) for p in core()} >= BY_NAME - {"engine/bench/performance.py"}


@pytest.mark.parametrize("path", sources("engine"), ids=name)
def test_engine_needs_no_test(path: Path) -> None:
    assert "tests" not in {layer(m) for m in imports(path)}


@pytest.mark.parametrize("path", [p for d in LAYERS for p in sources(d)], ids=name)
def test_modules_are_loaded_by_name_only_where_a_patch_names_them(path: Path) -> None:
    loads = "import_module(" in path.read_text() or "__import__(" in path.read_text()
    assert loads == (name(path) in BY_NAME)


@pytest.mark.parametrize("path", sources("devices"), ids=name)
def test_devices_know_no_model(path: Path) -> None:
    assert not {layer(m) for m in imports(path)} & {"models", "tests"}


@pytest.mark.parametrize("path", sources("models"), ids=name)
def test_models_know_no_device(path: Path) -> None:
    assert not {layer(m) for m in imports(path)} & {"devices", "tests"}


ADAPTERS = [*(ROOT / "models").glob("*/__init__.py"), *(ROOT / "models").glob("*/adapter.py")]


@pytest.mark.parametrize("path", ADAPTERS, ids=name)
def test_adapters_import_no_model_library(path: Path) -> None:
    assert not {layer(m) for m in imports(path, top_level_only=True)} & MODEL_LIBRARIES


def loaded_after(statement: str) -> set[str]:
    """Top-level names in sys.modules of a fresh process."""
    code = f"{statement}\nimport sys\nsys.stdout.write(' '.join(sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return {layer(m) for m in out.split()}


def test_audio_process_loads_nothing_heavy() -> None:
    loaded = loaded_after("import devices.audio.process")
    heavy = MODEL_LIBRARIES - {"tinysoundfont"} | {"models", "scipy", "matplotlib", "rtmidi"}
    assert not loaded & heavy
    assert {"numpy", "tinysoundfont"} <= loaded  # it does what it is there for


@pytest.mark.parametrize(
    "module", ["engine.supervisor", "engine.conductor_process", "devices.midi.process"]
)
def test_root_conductor_and_midi_load_no_model_library(module: str) -> None:
    assert not loaded_after(f"import {module}") & (MODEL_LIBRARIES - {"tinysoundfont"})


def test_every_adapter_loads_without_its_libraries() -> None:
    names = [p.parent.name for p in (ROOT / "models").glob("*/adapter.py")]
    assert len(names) >= 5
    statement = ";".join(f"import models.{n}.adapter" for n in names)
    assert not loaded_after(statement) & {"torch", "aubio", "notochord", "x_transformers"}
