"""Risk: `segue doctor` calls a machine fit that is not, or hangs where a sound server has died."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
from pathlib import Path

import pytest

from devices import audio_devices as ad
from engine import cli_doctor as doctor
from engine.bench.jackd import JackServer
from engine.cli_doctor import Check, Status
from engine.rig_doctor import Here, rig_problems


def test_old_python_fails() -> None:
    assert doctor.check_python((3, 10)).status is Status.FAIL
    assert doctor.check_python((3, 11)).status is Status.OK


def test_missing_package_is_named() -> None:
    check = doctor.check_packages(["numpy", "no-such-package-here"])
    assert (check.status, check.found) == (Status.FAIL, "no no-such-package-here")
    assert "make setup" in check.advice


def test_soundfont(tmp_path: Path) -> None:
    font = tmp_path / "a.sf2"
    assert doctor.check_soundfont([str(font)]).status is Status.WARN
    font.touch()
    assert doctor.check_soundfont([str(font)]).found == str(font)


def test_models_without_weights(tmp_path: Path) -> None:
    for name, files in {"plain": [], "bare": ["train.py"], "full": ["train.py", "a.pt"]}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('KIND = "stems"\n')
        for file in files:
            (tmp_path / name / file).touch()
    check = doctor.check_models(tmp_path)
    assert (check.status, check.found) == (Status.WARN, "none for bare")
    (tmp_path / "bare" / "b.ts").touch()
    assert doctor.check_models(tmp_path).status is Status.OK


def test_shared_memory(tmp_path: Path) -> None:
    assert doctor.check_shm(tmp_path, least=1).status is Status.OK
    assert doctor.check_shm(tmp_path, least=1 << 60).status is Status.FAIL
    assert doctor.check_shm(tmp_path / "none").status is Status.FAIL


def test_realtime_rights() -> None:
    assert doctor.check_realtime(lambda: True).status is Status.OK
    refused = doctor.check_realtime(lambda: False)
    assert refused.status is Status.WARN
    assert "limits.d" in refused.advice


@pytest.mark.parametrize(
    ("limit", "root", "status"),
    [
        (8 << 20, False, Status.WARN),
        (8 << 20, True, Status.OK),
        (1 << 30, False, Status.OK),
        (resource.RLIM_INFINITY, False, Status.OK),
    ],
)
def test_locked_memory(limit: int, root: bool, status: Status) -> None:
    assert doctor.check_memlock(limit, root).status is status


def test_governor(tmp_path: Path) -> None:
    assert doctor.check_governor(tmp_path).status is Status.OK
    for cpu, governor in enumerate(("performance", "powersave")):
        folder = tmp_path / f"cpu{cpu}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(governor + "\n")
    check = doctor.check_governor(tmp_path)
    assert (check.status, check.found) == (Status.WARN, "performance, powersave")


def test_who_may_not_keep_cores_awake_is_told_how(tmp_path: Path) -> None:
    device = tmp_path / "cpu_dma_latency"
    assert doctor.check_wakeful(device).status is Status.OK
    device.touch()
    assert doctor.check_wakeful(device).status is Status.OK
    check = doctor.check_wakeful(tmp_path)  # a folder: nobody may write to it
    assert check.status is Status.WARN
    assert "udev" in check.advice


def test_a_rig_that_is_wrong_or_not_here_is_told(tmp_path: Path) -> None:
    here = Here([("JACK: box", 2, 4)], ["Nord Stage MIDI 1"])
    path = tmp_path / "rig.yaml"
    assert doctor.check_rig(path, here).status is Status.OK
    path.write_text(
        'audio: {device: "^JACK: box$"}\ninputs: {horn: {channel: 2}}\n'
        'outputs: {main: {channels: [3, 4]}}\nmidi: {keys: {port: "Nord"}}\n'
    )
    assert doctor.check_rig(path, here).found == f"{path}, all of it here"
    path.write_text(
        "inputs: {horn: {channel: 3, ring_out_db: {main: 2.5, monitor1: 9}}}\n"
        'audio: {device: "box"}\ncv: {pitch: {channel: 5, calibration: none.txt}}\n'
        'surfaces: {grid: {port: "LPX"}}\n'
    )
    check = doctor.check_rig(path, here)
    assert check.status is Status.WARN
    for said in (
        "input horn: channel 3, and JACK: box has 2",
        "cv pitch: channel 5, and JACK: box has 4",
        "surface grid: no MIDI port matches LPX",
        "no calibration file",
        "input horn: 2 dB before it howls in main",
    ):
        assert said in check.found
    path.write_text("audio: {device: hall}\n")
    assert "no audio device matches hall" in doctor.check_rig(path, here).found
    path.write_text("audoi: {}\n")
    assert "did you mean audio?" in str(rig_problems(path, here))


def test_a_machine_without_sound_is_told_what_to_do() -> None:
    bare = ad.Devices(midi=(ad.MidiApi("ALSA", (), (), "no sequencer"),))
    checks = [doctor.check_server(bare), doctor.check_outputs(bare), doctor.check_midi(bare)]
    assert [c.status for c in checks] == [Status.WARN] * 3
    assert all(c.advice for c in checks)


@pytest.mark.parametrize("realtime", [True, False])
def test_a_server_without_real_time_scheduling_is_told(realtime: bool) -> None:
    server = ad.JackServer("stage", 48000, 128, realtime, (), ())
    check = doctor.check_server(ad.Devices(jack=server, pipewire=True))
    assert check.found == "JACK stage, 48000 Hz, 128 frames"
    assert (check.status is Status.OK) == realtime
    assert ("jackd -R" in check.advice) != realtime


def test_what_can_be_heard_and_played_is_listed() -> None:
    found = ad.Devices(
        audio=(
            ad.AudioDevice(0, "Box", "ALSA", 4, 0, 48000.0, (0.0, 0.0), True, False),
            ad.AudioDevice(1, "Desk", "ALSA", 0, 8, 48000.0, (0.0, 0.0), False, True),
        ),
        midi=(ad.MidiApi("JACK", ("a", "b"), (), ""), ad.MidiApi("ALSA", (), (), "none")),
        pipewire=True,
    )
    assert doctor.check_outputs(found).found == "Desk"
    assert doctor.check_midi(found).found == "JACK: 2 inputs"
    assert "pw-jack" in doctor.check_server(found).advice


def test_worst_and_text() -> None:
    checks = [Check("a", Status.OK, "fine"), Check("b", Status.WARN, "less", "do this")]
    assert doctor.worst(checks) is Status.WARN
    assert doctor.worst([]) is Status.OK
    assert doctor.as_text(checks) == "ok    a: fine\nwarn  b: less\n      -> do this"
    assert json.loads(json.dumps([c.as_json() for c in checks]))[1]["status"] == "warn"


def test_the_whole_report_runs_here() -> None:
    checks = doctor.report()
    assert {"Python", "kernel", "SoundFont", "model weights", "MIDI"} <= {c.name for c in checks}
    assert all(c.advice for c in checks if c.status is not Status.OK)


def test_a_probe_that_hangs_is_killed_and_told() -> None:
    with pytest.raises(ad.ProbeTimeout, match=r"PortAudio did not answer within 0\.5 s"):
        ad.ask("PortAudio", "import signal; signal.pause()", timeout_s=0.5)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import os; os.abort()", "signal 6"),
        ("raise SystemExit('no such library')", "no such library"),
        ("print('hello')", "status 0: hello"),
    ],
)
def test_a_probe_that_ends_without_an_answer_is_told(script: str, said: str) -> None:
    with pytest.raises(ad.ProbeError, match=said):
        ad.ask("it", script)


def test_noise_does_not_spoil_the_answer() -> None:
    assert ad.ask("it", "print('noise'); import json; out(json.dumps([1])); print('@noise')") == [1]


def test_pipewire_is_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPEWIRE_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("PIPEWIRE_REMOTE", raising=False)
    (tmp_path / "pipewire-0").touch()
    assert not ad.pipewire_running()
    (tmp_path / "pipewire-0").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "pipewire-0"))
        assert ad.pipewire_running()


@pytest.mark.jack
def test_a_server_is_found_and_one_that_stands_still_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with JackServer(inputs=3, outputs=4) as server:
        monkeypatch.setenv("JACK_DEFAULT_SERVER", server.name)
        found = ad.devices()
        assert found.jack is not None
        assert (found.jack.name, found.jack.rate, found.jack.block) == (server.name, 48000, 128)
        assert len(found.jack.captures) == 3
        assert len(found.jack.playbacks) == 4
        assert any(d.api.startswith("JACK") and d.inputs == 3 for d in found.audio)
        assert server.name in found.as_text()
        assert found.as_json()["jack"]["block"] == 128
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(ad.ProbeTimeout, match="JACK did not answer"):
                ad.jack_server(timeout_s=1.0)
        finally:
            os.kill(server.pid, signal.SIGCONT)


def test_no_server_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "segue-no-such-server")
    assert ad.jack_server() is None
    assert "JACK: no server answers" in ad.Devices().as_text()
