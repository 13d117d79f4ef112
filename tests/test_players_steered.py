"""Risk: a hand freezes a texture and nothing happens, or it stays frozen for good."""

from __future__ import annotations

import numpy as np

from engine.layout import BLOCK_FRAMES, audio_dtype
from engine.patch import Input, Output, Patch, Player
from engine.player_host import TextureHost
from engine.shm import Shared
from engine.shm_records import SWITCH

PATCH = Patch(
    inputs={"horn": Input(1)},
    players={"mist": Player("rave", "horn", to={"main": 0.0})},
    outputs={"main": Output((1, 2))},
)


class Texture:
    """Stands in for a model: says what it was told."""

    block, latency, model_delay = BLOCK_FRAMES, 10**9, 0

    def __init__(self) -> None:
        self.freeze = False
        self.seen: list[tuple[bool, float]] = []

    def load(self, checkpoint: object, rate: int, config: object) -> None:
        """Nothing to load."""

    def process(self, audio: np.ndarray, controls: np.ndarray) -> np.ndarray:
        self.seen.append((self.freeze, float(controls[0])))
        return np.zeros((2, self.block), np.float32)

    def reset(self) -> None:
        self.freeze = False


def test_a_texture_stands_still_while_a_hand_says_so() -> None:
    shared, texture = Shared.private(PATCH), Texture()
    host = TextureHost(shared, "mist", texture)
    switch, frame = np.zeros(1, SWITCH), 0

    def turn(generate: int, hold: int, control: float = 0.0) -> None:
        nonlocal frame
        switch[0]["generate"][0], switch[0]["hold"][0] = generate, hold
        switch[0]["controls"][0, 0] = control
        shared.sections["switch"].write(switch)
        record = np.zeros(1, audio_dtype(2))
        record["frame"], record["count"] = frame, BLOCK_FRAMES
        frame += BLOCK_FRAMES
        shared.ring("tap.mist").push(record)
        host.turn()

    turn(1, 0)
    turn(1, 1, 0.5)
    turn(1, 1)
    turn(1, 0)
    assert texture.seen == [(False, 0.0), (True, 0.5), (True, 0.0), (False, 0.0)]
    turn(1, 1)
    turn(0, 1)  # it falls silent and forgets ...
    turn(1, 1)  # ... and what a hand holds is held again
    assert texture.seen[-2:] == [(True, 0.0), (True, 0.0)]
