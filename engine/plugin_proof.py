"""Is a plug-in fit to be loaded by the audio process? Found out in a child that it may take down.

The child (engine/plugin_child.py) loads it twice, sends silence, noise at full scale and a quiet
tone through it, in the performance's blocks and others, and measures. What it proved is kept in
the user's cache folder, by path, time and size of the file and by how it was asked, so that the
next start does not wait; a file that changed is proved again. A verdict against it is not kept.

Not real-time safe: a second or two for each plug-in, PROVE_S at most.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.patch import Insert, Patch
from engine.plugin import PluginError, library_of

PROVE_S = 30.0
SHARE_MOST = 0.5  # of a block's time, at the 99th percentile
KEPT = 200  # verdicts
ANSWER_BYTES = 1 << 20
CACHE = "plugins.json"


@dataclass(frozen=True)
class Proof:
    """What a child found. channels: 1 or 2. latency: frames, by the plug-in's own word.
    first_sound: frames until an impulse is heard, None: never. us, worst_us: of processor time a
    block, in the middle and at the 99th percentile; waited_us: until half the blocks were done, on
    a machine that may have been busy. repeats: two of them gave the same, bit for bit. parameters:
    name -> value and range in words."""

    name: str
    version: str
    channels: int
    latency: int
    first_sound: int | None
    us: float
    worst_us: float
    waited_us: float
    repeats: bool
    parameters: dict[str, str]

    def in_words(self, rate: float, block: int) -> str:
        """For people, in one line."""
        said = f"{self.name} {self.version}".strip()
        sides = "stereo" if self.channels == 2 else "mono"
        late = f"{self.latency} frames late ({1000 * self.latency / rate:.1f} ms)"
        share = 100 * self.us * rate / (block * 1e6)
        said += f", {sides}, {late}, {self.us:g} us of a block ({share:.1f} %)"
        return said if self.repeats else said + ", no two runs alike"


def proof_of(found: Any) -> Proof:
    """A Proof from JSON that somebody else may have written. Raises PluginError."""
    try:
        made = Proof(**{f.name: found[f.name] for f in fields(Proof)})
        right = (
            made.channels in (1, 2)
            and isinstance(made.latency, int)
            and isinstance(made.name, str)
            and isinstance(made.us + made.worst_us + made.waited_us, float | int)
        )
    except (KeyError, TypeError):
        right = False
    if not right:
        raise PluginError("gave no answer that can be read")
    return made


def prove(
    path: Path,
    plugin: str | None = None,
    parameters: dict[str, Any] | None = None,
    rate: int = 48000,
    block: int = 128,
    channels: int | None = None,
) -> Proof:
    """From the cache or by a child. Raises PluginError, whose words follow the path."""
    check_file(path)
    asked = {
        "path": str(path),
        "plugin": plugin,
        "parameters": parameters or {},
        "rate": rate,
        "block": block,
        "channels": channels,
    }
    key = _key(path, asked)
    kept = _read_cache()
    with contextlib.suppress(PluginError, KeyError):
        return _fast_enough(proof_of(kept[key]["proof"]), rate, block)
    found = _fast_enough(_ask_child(asked), rate, block)
    _keep(key, path, found)
    return found


def check_file(path: Path) -> None:
    """What needs no child. Raises PluginError."""
    if not path.exists():
        raise PluginError("is not there, expected a VST3 plug-in (.vst3)")
    library = library_of(path)
    if not library.is_file():
        wanted = f"Contents/{platform.machine()}-linux/NAME.so"
        raise PluginError(f"holds no program for this machine, expected {wanted}")
    with library.open("rb") as file:
        head = file.read(4)
    if head != b"\x7fELF":
        raise PluginError("is no plug-in for Linux, expected a VST3 bundle (a folder NAME.vst3)")


def _fast_enough(found: Proof, rate: int, block: int) -> Proof:
    budget = block / rate * 1e6
    needs = max(found.worst_us, found.waited_us)
    if needs > SHARE_MOST * budget:
        raise PluginError(
            f"needs {needs:.0f} us of a block of {budget:.0f} us, at most "
            f"{SHARE_MOST * budget:.0f}; take a longer block (audio.block) or a lighter plug-in"
        )
    return found


def _ask_child(asked: dict[str, Any]) -> Proof:
    child = subprocess.Popen(
        [sys.executable, "-m", "engine.plugin_child", json.dumps(asked)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # it and whatever it starts end together
    )
    try:
        said, _ = child.communicate(timeout=PROVE_S)
    except subprocess.TimeoutExpired:
        raise PluginError(f"hangs: no answer within {PROVE_S:g} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise PluginError(f"crashes: a process that loaded it died of {name}")
    try:
        answer = json.loads(said[:ANSWER_BYTES])
    except ValueError:
        raise PluginError(f"ended the process that loaded it ({child.returncode})") from None
    if isinstance(answer, dict) and "error" in answer:
        raise PluginError(str(answer["error"]))
    return proof_of(answer)


# ---- what was proved before


def cache_file() -> Path:
    """In the user's cache folder."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "segue" / CACHE


def _stamp(path: Path) -> list[Any]:
    facts = library_of(path).stat()
    return [str(path.resolve()), facts.st_mtime_ns, facts.st_size]


def _key(path: Path, asked: dict[str, Any]) -> str:
    text = json.dumps([_stamp(path), asked, metadata.version("pedalboard")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read_cache() -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        file = cache_file()
        if file.stat().st_size < ANSWER_BYTES * 8:
            found = json.loads(file.read_text())
            if isinstance(found, dict):
                return found
    return {}


def _keep(key: str, path: Path, found: Proof) -> None:
    kept = _read_cache()
    kept[key] = {"file": _stamp(path), "at": time.time(), "proof": asdict(found)}
    while len(kept) > KEPT:
        del kept[next(iter(kept))]
    file = cache_file()
    with contextlib.suppress(OSError):  # without it the next start proves again
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(kept))
        os.replace(temporary, file)


def known(path: Path) -> bool:
    """Whether this very file was proved on this machine before, in whatever way."""
    try:
        stamp = _stamp(path)
    except (OSError, ValueError):  # no file; no path either
        return False
    return any(isinstance(v, dict) and v.get("file") == stamp for v in _read_cache().values())


def proved_plugins() -> list[tuple[str, Proof]]:
    """(path, proof) of every plug-in file in the cache that is still what it was, the last one of
    each."""
    found: dict[str, Proof] = {}
    for entry in _read_cache().values():
        with contextlib.suppress(PluginError, OSError, KeyError, TypeError, IndexError):
            path = Path(entry["file"][0])
            if _stamp(path) == entry["file"]:
                found[str(path)] = proof_of(entry["proof"])
    return list(found.items())


# ---- of a patch


def inserts_of(patch: Patch) -> dict[str, Insert]:
    """Every VST3 insert by its source (engine.sources.source_names)."""
    parts: tuple[tuple[str, dict[str, Any]], ...] = (
        ("input", patch.inputs),
        ("voice", patch.voices),
        ("texture", {n: p for n, p in patch.players.items() if p.to}),
    )
    return {
        f"{kind}.{name}": given.insert
        for kind, entries in parts
        for name, given in entries.items()
        if given.insert is not None and given.insert.vst3
    }


KEYS = {"input": "inputs", "voice": "voices", "texture": "players"}


def key_of(source: str) -> str:
    """Where a source's insert stands in the patch, dotted."""
    kind, _, name = source.partition(".")
    return f"{KEYS[kind]}.{name}.insert.vst3"


class InsertError(PluginError):
    """source: whose insert it is."""

    def __init__(self, source: str, path: str, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.source = source


def prove_insert(patch: Patch, source: str, insert: Insert) -> Proof:
    """One of inserts_of, as this patch plays it. Raises PluginError."""
    channels = None if source.startswith("input.") else 2
    rate, block = patch.audio.rate, patch.audio.block
    path = Path(str(insert.vst3))
    return prove(path, insert.plugin, insert.parameters, rate, block, channels)


def prove_patch(patch: Patch) -> dict[str, Proof]:
    """Every VST3 insert of a patch, by source. Raises InsertError at the first that is not fit."""
    proofs = {}
    for source, insert in inserts_of(patch).items():
        try:
            proofs[source] = prove_insert(patch, source, insert)
        except PluginError as error:
            raise InsertError(source, str(insert.vst3), str(error)) from None
    return proofs
