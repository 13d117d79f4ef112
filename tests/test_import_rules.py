"""Risk: a library or a layer creeps in where it must not be."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Where the parts are assembled, and what from: nowhere else does engine import devices or models.
ASSEMBLING = {
    "engine/cli.py": {"devices.audio.bypass", "devices.audio_devices"},
    "engine/cli_cv.py": {"devices.audio.cv_sweep", "devices.audio.interface"},
    "engine/cli_demo.py": {
        "devices.audio.bypass",
        "devices.audio_devices",
        "devices.keyboard",
    },
    "engine/cli_launchpad.py": {
        "devices.launchpad.drawing",
        "devices.launchpad.emulated",
        "devices.launchpad.emulator",
        "devices.launchpad.emulator_page",
        "devices.launchpad.restore",
        "devices.launchpad.sheet",
    },
    "engine/cli_learn.py": {"devices.launchpad.units"},
    "engine/cli_rig.py": {"devices.audio.probe", "devices.midi.ears", "models.aubio.tuning"},
    "engine/conductor_process.py": {
        "devices.launchpad.surface_driver",
        "devices.midi.controls",
        "devices.midi.process",
    },
    "engine/doctor.py": {"devices.audio_devices"},
    # presses and lights over JACK, with the whole of `segue run` between
    "engine/bench/hands.py": {
        "devices.launchpad.emulated",
        "devices.launchpad.emulator",
        "devices.launchpad.layout",
        "devices.launchpad.mk3",
    },
    # the gig is a whole night: players, hands and sound servers around `segue run`
    "engine/gig/hands.py": {
        "devices.launchpad.emulated",
        "devices.launchpad.layout",
        "devices.launchpad.mk3",
    },
    "engine/gig/stage.py": {"devices.audio.jack_clock"},
}
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
    """Modules a file names in import statements; top level: what runs at import."""
    tree = ast.parse(path.read_text())
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            found.update(a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
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


@pytest.mark.parametrize("path", sources("engine"), ids=name)
def test_engine_knows_devices_and_models_only_where_it_is_assembled(path: Path) -> None:
    known = {m for m in imports(path) if layer(m) in ("devices", "models", "tests")}
    allowed = ASSEMBLING.get(name(path), set())
    assert known == allowed, f"{name(path)} is no place of assembly for {known ^ allowed}"


def test_what_assembles_is_there() -> None:
    assert {*ASSEMBLING, *BY_NAME} <= {name(p) for p in sources("engine")}


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
