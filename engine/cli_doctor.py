"""What `segue doctor` reports: whether this machine can carry a performance, and what to do if not.

Each check looks at one thing and returns a Check: ok; warn, where segue runs with something less;
fail, where it cannot run. `report` runs all of them. Checks take what they look at as arguments, so
that tests can show them another machine. Nothing is changed and no sound device is opened. Not
real-time safe; takes a few seconds.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices.audio.realtime import CPU_LATENCY
from engine.patch_load import MODELS, known_models
from engine.plugin_proof import Proof, proved_plugins
from engine.rig_doctor import Here, rig_problems
from engine.rig_load import default_rig
from engine.soundfont import PLACES

if TYPE_CHECKING:
    from devices.audio_devices import Devices

RT_PRIORITY = 70  # leaves the sound server room: it sets the callback's, we ask for less
MEMLOCK_BYTES = 256 << 20  # the audio process and its stem arena
SHM_BYTES = 256 << 20  # arena, rings, ledger
PACKAGES = ("torch", "numpy", "sounddevice", "python-rtmidi", "notochord", "pedalboard")
WEIGHTS = (".pt", ".ts")


class Status(Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """name: what was looked at. found: what is there. advice: what to do, '' if nothing."""

    name: str
    status: Status
    found: str
    advice: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "status": self.status.value}


def report() -> list[Check]:
    """Every check, in the order a person would go through them."""
    checks: list[Callable[[], Check]] = [
        check_python,
        check_packages,
        check_kernel,
        check_soundfont,
        check_plugins,
        check_models,
        check_shm,
        check_realtime,
        check_memlock,
        check_governor,
        check_wakeful,
    ]
    return [check() for check in checks] + check_devices()


def as_text(checks: Iterable[Check]) -> str:
    """For people: one line a check, what to do under it."""
    lines = []
    for check in checks:
        lines.append(f"{check.status.value:4}  {check.name}: {check.found}")
        if check.advice:
            lines.append(f"      -> {check.advice}")
    return "\n".join(lines)


def worst(checks: Iterable[Check]) -> Status:
    """FAIL if anything fails, else WARN if anything warns."""
    order = list(Status)
    return max((check.status for check in checks), key=order.index, default=Status.OK)


def as_json(checks: list[Check]) -> dict[str, Any]:
    return {"worst": worst(checks).value, "checks": [check.as_json() for check in checks]}


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> Check:
    found = f"{version[0]}.{version[1]}"
    if version < (3, 11):
        return Check(
            "Python", Status.FAIL, found, "install Python 3.11 or newer, then `make setup`"
        )
    return Check("Python", Status.OK, found)


def check_packages(names: Iterable[str] = PACKAGES) -> Check:
    there, missing = [], []
    for name in names:
        try:
            there.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("packages", Status.FAIL, f"no {', '.join(missing)}", "run `make setup`")
    return Check("packages", Status.OK, ", ".join(there))


def check_kernel() -> Check:
    try:
        from engine import kernel
    except ImportError as error:
        return Check("kernel", Status.FAIL, str(error), "run `make setup`: it needs a C compiler")
    return Check("kernel", Status.OK, f"opened ({len(dir(kernel.lib))} functions)")


def check_soundfont(places: Iterable[str] = PLACES) -> Check:
    for place in places:
        if Path(place).is_file():
            return Check("SoundFont", Status.OK, place)
    advice = "sudo apt-get install timgm6mb-soundfont, or name one in the patch (soundfont: ...)"
    return Check("SoundFont", Status.WARN, "none in the usual places", advice)


def check_plugins(proved: Callable[[], list[tuple[str, Proof]]] = proved_plugins) -> Check:
    """The VST3 plug-ins that were proved on this machine, each with its latency."""
    found = [f"{proof.name}, {proof.latency} frames late ({path})" for path, proof in proved()]
    return Check("VST3 plug-ins", Status.OK, "; ".join(found) or "none proved (segue plugin FILE)")


def check_models(folder: Path = MODELS) -> Check:
    """Every model folder that trains weights must have some; those without training need none."""
    there, bare = [], []
    for name in known_models(folder):
        if any(file.suffix in WEIGHTS for file in (folder / name).iterdir()):
            there.append(name)
        elif (folder / name / "train.py").exists():
            bare.append(name)
        else:
            there.append(f"{name} (needs none)")
    if bare:
        advice = f"check out the repository whole, or run python -m models.{bare[0]}.train"
        return Check("model weights", Status.WARN, f"none for {', '.join(bare)}", advice)
    return Check("model weights", Status.OK, ", ".join(there) or "no models")


def check_shm(folder: Path = Path("/dev/shm"), least: int = SHM_BYTES) -> Check:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check(str(folder), Status.FAIL, f"{error.strerror}", f"mount a tmpfs at {folder}")
    found = f"{free >> 20} MB free"
    if free < least:
        advice = f"at least {least >> 20} MB: sudo mount -o remount,size=1G {folder}"
        return Check(str(folder), Status.FAIL, found, advice)
    return Check(str(folder), Status.OK, found)


def check_realtime(may: Callable[[], bool] | None = None) -> Check:
    """Asks the system itself, in a child, for SCHED_FIFO at RT_PRIORITY."""
    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    found = f"SCHED_FIFO {RT_PRIORITY}, limit rtprio {limit}"
    if (may or _may_be_realtime)():
        return Check("real-time rights", Status.OK, f"may use {found}")
    advice = (
        "sudo usermod -aG audio $USER, and in /etc/security/limits.d/audio.conf: "
        "`@audio - rtprio 95` and `@audio - memlock unlimited`; then log in again"
    )
    return Check("real-time rights", Status.WARN, f"may not use {found}", advice)


def _may_be_realtime() -> bool:
    script = f"import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param({RT_PRIORITY}))"
    command = [sys.executable, "-S", "-c", script]
    return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0


def check_memlock(limit: int | None = None, root: bool | None = None) -> Check:
    """limit: bytes, RLIM_INFINITY for no limit. root is not bound by it."""
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] if limit is None else limit
    if os.geteuid() == 0 if root is None else root:
        return Check("locked memory", Status.OK, "root, no limit")
    if limit == resource.RLIM_INFINITY:
        return Check("locked memory", Status.OK, "no limit")
    found = f"limit {limit >> 10} KB"
    if limit < MEMLOCK_BYTES:
        advice = (
            "`@audio - memlock unlimited` in /etc/security/limits.d/audio.conf, then log in again"
        )
        return Check("locked memory", Status.WARN, found, advice)
    return Check("locked memory", Status.OK, found)


def check_governor(cpus: Path = Path("/sys/devices/system/cpu")) -> Check:
    files = sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_governor"))
    governors = sorted({file.read_text().strip() for file in files})
    if not governors:
        return Check("CPU governor", Status.OK, "the system does not scale the clock")
    found = ", ".join(governors)
    if governors != ["performance"]:
        advice = "sudo cpupower frequency-set -g performance, for the time of the performance"
        return Check("CPU governor", Status.WARN, found, advice)
    return Check("CPU governor", Status.OK, found)


def check_wakeful(device: Path = CPU_LATENCY) -> Check:
    """Whether the audio process may keep cores from deep sleep (devices/audio/realtime.py)."""
    if not device.exists():
        return Check("CPU sleep", Status.OK, "this system lets nobody say how deep")
    with contextlib.suppress(OSError):  # a container may forbid what the rights allow
        os.close(os.open(device, os.O_WRONLY))
        return Check("CPU sleep", Status.OK, "kept shallow while segue plays")
    advice = (
        'KERNEL=="cpu_dma_latency", GROUP="audio", MODE="0660" in '
        "/etc/udev/rules.d/99-segue.rules, then restart the machine"
    )
    return Check("CPU sleep", Status.WARN, f"may not be kept shallow ({device})", advice)


def check_rig(path: Path, here: Here) -> Check:
    """The rig that `segue run` takes by itself, if there is one."""
    if not path.exists():
        return Check("rig", Status.OK, f"none ({path}); `segue rig` makes one")
    problems = rig_problems(path, here)
    if problems:
        advice = "plug in, or `segue rig`, `segue soundcheck`; what is missing is waited for"
        return Check("rig", Status.WARN, f"{path}: {'; '.join(problems)}", advice)
    return Check("rig", Status.OK, f"{path}, all of it here")


def check_devices() -> list[Check]:
    """Sound servers, audio devices and MIDI, as devices/audio_devices.py finds them."""
    from devices.audio_devices import devices

    found = devices()
    heard = [name for api in found.midi for name in api.inputs]
    audio = [(f"{d.api}: {d.name}", d.inputs, d.outputs) for d in found.audio]
    errors = [Check("sound", Status.FAIL, error, "restart it") for error in found.errors]
    rig = check_rig(default_rig(), Here(audio, heard))
    return [rig, *errors, check_server(found), check_outputs(found), check_midi(found)]


def check_server(found: Devices) -> Check:
    if found.jack is not None:
        server = found.jack
        text = f"JACK {server.name}, {server.rate} Hz, {server.block} frames"
        if server.realtime:
            return Check("sound server", Status.OK, text)
        advice = "start it with real-time scheduling (jackd -R)"
        return Check("sound server", Status.WARN, text, advice)
    if found.pipewire:
        return Check(
            "sound server", Status.OK, "PipeWire", "start segue with `pw-jack segue run ...`"
        )
    advice = "start one for live use: jackd -R -d alsa -r 48000 -p 128, or PipeWire"
    return Check("sound server", Status.WARN, "no JACK, no PipeWire", advice)


def check_outputs(found: Devices) -> Check:
    outputs = [device.name for device in found.audio if device.outputs]
    if outputs:
        return Check("audio outputs", Status.OK, ", ".join(outputs))
    advice = "connect an interface; `segue demo` and `segue render` work without one"
    return Check("audio outputs", Status.WARN, "none", advice)


def check_midi(found: Devices) -> Check:
    usable = [api for api in found.midi if not api.error]
    if usable:
        names, ports = ", ".join(api.name for api in usable), sum(len(a.inputs) for a in found.midi)
        return Check("MIDI", Status.OK, f"{names}: {ports} inputs")
    advice = "load ALSA's sequencer (sudo modprobe snd-seq), or start JACK"
    return Check("MIDI", Status.WARN, "no backend answers", advice)
