"""Risk: a plug-in that crashes, hangs or returns rubbish is loaded by the audio process, or a good
one is refused. The plug-ins are real (tests/plugin.c), and so are the processes they take down."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from plugins import bundle, compile_plugin

from engine import plugin_proof
from engine.cli import main
from engine.plugin import PluginError, library_of
from engine.plugin_proof import known, proof_of, prove


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_good_one_is_taken_as_it_is(library: Path, tmp_path: Path) -> None:
    found = prove(bundle(library, tmp_path, "late"), parameters={"amount": 0.25})
    assert (found.channels, found.latency, found.first_sound) == (2, 96, 96)
    assert found.repeats
    assert found.name == "Test late"
    assert found.parameters["amount"].startswith("0.25")
    assert 0 < found.us <= found.worst_us
    assert "96 frames late (2.0 ms)" in found.in_words(48000, 128)


def test_one_for_a_single_channel_is_taken_for_one(library: Path, tmp_path: Path) -> None:
    assert prove(bundle(library, tmp_path, "mono")).channels == 1
    with pytest.raises(PluginError, match="does not support 2-channel"):
        prove(bundle(library, tmp_path, "mono"), channels=2)


@pytest.mark.slow
def test_one_that_makes_no_two_runs_alike_is_said_to(library: Path, tmp_path: Path) -> None:
    found = prove(bundle(library, tmp_path, "random"))
    assert not found.repeats
    assert "no two runs alike" in found.in_words(48000, 128)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crash", "crashes: a process that loaded it died of SIGSEGV"),
        ("nan", "returns NaN"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("crash-load", "died of SIGSEGV"),
                ("quad", "takes neither one channel nor two.*4 input channels"),
                ("synth", "is an instrument"),
                ("slow", "needs .* us for a block of 2667 us"),
            )
        ),
    ],
)
def test_a_bad_one_is_refused_with_its_reason(
    library: Path, tmp_path: Path, name: str, said: str
) -> None:
    path = bundle(library, tmp_path, name)
    with pytest.raises(PluginError, match=said):
        prove(path)
    assert not known(path)


@pytest.mark.parametrize("name", ["hang", pytest.param("hang-load", marks=pytest.mark.slow)])
def test_one_that_hangs_is_ended(
    library: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_proof, "PROVE_S", 2.0)
    with pytest.raises(PluginError, match="hangs: no answer within 2 s"):
        prove(bundle(library, tmp_path, name))


def test_what_is_no_plugin_needs_no_process(tmp_path: Path) -> None:
    text = tmp_path / "notes.vst3"
    text.write_text("no program")
    empty = tmp_path / "empty.vst3"
    empty.mkdir()
    for path, said in (
        (tmp_path / "gone.vst3", "is not there"),
        (text, "no plug-in for Linux"),
        (empty, "holds no program for this machine"),
    ):
        with pytest.raises(PluginError, match=said):
            prove(path)


@pytest.mark.slow
def test_a_shared_object_that_is_no_plugin_is_refused(library: Path, tmp_path: Path) -> None:
    path = bundle(library, tmp_path, "cut")
    inside = library_of(path)
    inside.write_bytes(inside.read_bytes()[:2000])
    with pytest.raises(PluginError, match=r"SIGBUS|unsupported plugin format"):
        prove(path)
    inside.write_bytes(b"\x7fELF, and no more")
    with pytest.raises(PluginError, match="unsupported plugin format or scan failure"):
        prove(path)


def test_parameters_are_checked_by_the_plugin(library: Path, tmp_path: Path) -> None:
    path = bundle(library, tmp_path, "gain")
    with pytest.raises(PluginError, match=r"no parameter 'amuont', expected one of amount"):
        prove(path, parameters={"amuont": 0.5})
    with pytest.raises(PluginError, match=r"does not take amount = 7"):
        prove(path, parameters={"amount": 7})


def test_a_verdict_is_kept_for_that_very_file(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle(library, tmp_path, "gain")
    first = prove(path)
    asked: list[object] = []
    monkeypatch.setattr(plugin_proof, "_ask_child", lambda a: asked.append(a) or first)
    assert prove(path) == first
    assert known(path)
    assert not asked
    prove(path, parameters={"amount": 0.1})
    assert len(asked) == 1  # asked otherwise
    inside = library_of(path)
    os.utime(inside, ns=(1, 1))
    assert not known(path)
    prove(path)
    assert len(asked) == 2  # another file


def test_a_cache_of_rubbish_is_no_verdict(library: Path, tmp_path: Path) -> None:
    path = bundle(library, tmp_path, "gain")
    file = plugin_proof.cache_file()
    prove(path)
    for rubbish in ("", "[]", '{"x": 3}', "{" * 5000, '{"x": {"file": 1, "proof": {}}}'):
        file.write_text(rubbish)
        assert not known(path)
        assert plugin_proof.proved_plugins() == []
    assert prove(path).channels == 2
    with pytest.raises(PluginError):
        proof_of({"channels": 3})


PATCH = """
name: inserted
inputs:
  guitar:
    channel: 1
    to: {main: 0}
    insert:
      vst3: FILE
outputs:
  main: {channels: [1, 2]}
"""


def test_a_performance_with_a_bad_one_does_not_start(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bundle(library, tmp_path, "crash")
    patch = tmp_path / "bad.yaml"
    patch.write_text(PATCH.replace("FILE", "crash.vst3"))
    with pytest.raises(SystemExit) as ended:
        main(["run", str(patch)])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"{patch}:8: inputs.guitar.insert.vst3: found {path} crashes" in said


def test_the_command_shows_what_a_patch_may_say(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugin", str(bundle(library, tmp_path, "late"))]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("96 frames late", "amount", "0.0 to 1.0"))
    assert main(["plugin", str(tmp_path / "gone.vst3")]) == 1
