"""Risk: the README sends people to commands, options, files and pictures that are not there."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.cli import _parser
from engine.patch_load import PatchError, load_patch

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```\w*\n(.*?)^```", README, re.M | re.S)
SPANS = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", README, flags=re.M | re.S))


def parsers(of: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command, `cv calibrate` too, with its parser."""
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                yield name, parser
                yield from ((f"{name} {inner}", p) for inner, p in parsers(parser))


COMMANDS = dict(parsers(_parser()))


def said() -> list[str]:
    """Every call of segue that is shown, from its command on."""
    lines = [line.partition("#")[0] for block in BLOCKS for line in block.splitlines()]
    calls = [re.findall(r"\bsegue ([a-z][^;&]*)", text) for text in (*lines, *SPANS)]
    return [call.strip() for found in calls for call in found]


def command_of(call: str) -> str | None:
    words = call.split()
    return next((c for n in (2, 1) if (c := " ".join(words[:n]).rstrip(",")) in COMMANDS), None)


def test_every_call_it_shows_is_a_command_with_these_options() -> None:
    assert len(said()) > 40
    for call in said():
        command = command_of(call)
        assert command is not None, call
        options = set(re.findall(r"(?<![\w-])--[a-z-]+", call))
        assert options <= set(COMMANDS[command]._option_string_actions), call


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_it(command: str) -> None:
    if command not in ("cv", "launchpad"):  # groups
        assert command in {command_of(call) for call in said()}


def test_files_and_pictures_are_there() -> None:
    links = [t for t in re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", README) for t in t if t]
    ours = re.compile(r"(engine|devices|models|patches|systemd|tests)/")
    paths = [s.split()[0] for s in SPANS if ours.match(s)]
    missing = [p for p in (*links, *paths) if "://" not in p and not (ROOT / p).exists()]
    assert missing == []
    assert len(links) > 8
    assert len(paths) > 8


@pytest.mark.parametrize("target", re.findall(r"^make ([\w-]+)|`make ([\w-]+)`", README, re.M))
def test_make_knows_what_it_says(target: tuple[str, str]) -> None:
    assert re.search(rf"^{''.join(target)}:", (ROOT / "Makefile").read_text(), re.M)


def test_its_error_is_the_one_that_comes(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^my\.yaml:12: (.*?), …", README, re.M)
    text = "inputs: {trombone: {channel: 1, to: {revreb: 0}}}\noutputs: {main: {channels: [1]}}\n"
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(PatchError, match=re.escape(shown)) as error:
        load_patch(tmp_path / "my.yaml")
    assert "(did you mean reverb?)" in str(error.value)
