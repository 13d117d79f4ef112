"""What `segue bench hands` plays: a patch of its own and a foot-switch. Not real-time safe; one
thread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rtmidi
import soundfile

from engine.bench.live import Live

RATE = 48_000
FEET = "Bench Feet"
CUE, MONITOR = 2, 4  # of the captured channels: the loop alone, the one-shot alone
CAPTURES = 6
HIT_CC = 20
LOOP_FRAMES = RATE  # four bars of one beat each, at 240 BPM
PATCH = """
name: hands
audio: {{device: stage}}
clock: {{bpm: 240, beats_per_bar: 1, bars_per_phrase: 4}}
inputs:
  line: {{channel: 1, dry: segue, to: {{main: 0}}}}
midi:
  feet:
    port: {feet}
    controls: {{cc20: {{do: pick, role: hit, variation: 1}}}}
roles:
  noise: {{maker: files, folder: {folder}/noise, bars: 4, enter: bar, ahead: 1, to: {{cue: 0}}}}
  hit: {{maker: files, folder: {folder}/hit, bars: 1, play: once, enter: now, ahead: 1,
        to: {{monitor1: 0}}}}
outputs:
  main: {{channels: [1, 2]}}
  cue: {{channels: [3, 4], limit: false}}
  monitor1: {{channels: [5, 6], limit: false}}
surfaces:
  pads: {{}}
"""


class HandsError(RuntimeError):
    """It cannot be measured here; says why."""


def write_patch(folder: Path) -> Path:
    """The patch, with its two stems: noise without a pause, so that a change is seen in the very
    frame in which it happens."""
    rng = np.random.default_rng(5)
    for name, frames in (("noise", LOOP_FRAMES), ("hit", LOOP_FRAMES // 4)):
        (folder / name).mkdir()
        sound = rng.uniform(0.05, 0.25, (frames, 2)) * rng.choice([-1.0, 1.0], (frames, 2))
        soundfile.write(folder / name / f"{name}_240bpm.wav", sound.astype(np.float32), RATE)
    path = folder / "hands.yaml"
    path.write_text(PATCH.format(folder=folder, feet=FEET))
    return path


class Feet:
    """A foot-switch on JACK."""

    def __init__(self) -> None:
        try:
            self._out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name=FEET)
            self._out.open_virtual_port("out")
        except (rtmidi.RtMidiError, TypeError) as error:
            raise HandsError(f"no MIDI through JACK: {error}") from error

    def press(self, controller: int) -> None:
        self._out.send_message([0xB0, controller, 127])
        self._out.send_message([0xB0, controller, 0])

    def close(self) -> None:
        self._out.delete()


def let_noise_in(segue: Live) -> None:
    """Wait for both stems, and let the noise sound. Raises LiveError."""
    segue.wait_sound()
    segue.wait(lambda: has_stem(segue, "noise", "ready"), "make the noise")
    segue.wait(lambda: has_stem(segue, "hit", "ready"), "make the one-shot")
    segue.act("this_is_one")
    segue.act("let_in")
    segue.act("enter", role="noise")
    segue.wait(lambda: has_stem(segue, "noise", "playing"), "play the noise")


def has_stem(segue: Live, role: str, *states: str) -> bool:
    stems = segue.ask(do="status").get("stems", [])
    return any(s["role"] == role and s["state"] in states for s in stems)
