"""How the shipped weights were made: python -m models.orpheus.train [--minutes 15] [--out FILE]

The architecture is Orpheus's own (x-transformers), over the rows of its vocabulary that corpus.py
uses. One thread, bfloat16 where the CPU has it in hardware. Needs Debian's `freedoom` package;
leaves a slim checkpoint in half precision that checkpoint.py expands to the full vocabulary.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import time
from pathlib import Path
from typing import Any

import torch

from models.orpheus.checkpoint import SLIM_FORMAT, WEIGHTS, build
from models.orpheus.corpus import Event, freedoom, rows, sequence

DIM, DEPTH, HEADS = 256, 4, 4
LENGTH, BATCH = 384, 8
CONTEXT = 512  # tokens the sampler may look back on
LR, LR_END, WARM_STEPS = 1.5e-3, 1e-4, 40

log = logging.getLogger("orpheus.train")


def batch(
    songs: list[list[Event]], rng: random.Random, index: dict[int, int], size: int
) -> torch.Tensor:
    """(size, LENGTH) row numbers."""
    return torch.tensor([[index[t] for t in sequence(songs, rng, LENGTH)] for _ in range(size)])


@torch.no_grad()
def held_out(model: Any, index: dict[int, int]) -> float:
    """Mean loss over 64 sequences of seeds and songs never trained on."""
    songs, rng = freedoom(parity=1), random.Random("held out")
    model.eval()
    loss = sum(float(model(batch(songs, rng, index, 8))) for _ in range(8)) / 8
    model.train()
    return loss


def save(model: Any, known: list[int], out: Path) -> None:
    """Write the slim checkpoint: rows of the vocabulary, state dict in half precision."""
    state = {f"{k}": v.half().clone() for k, v in model.state_dict().items()}
    slim = {"format": SLIM_FORMAT, "rows": torch.tensor(known), "context": CONTEXT, "state": state}
    torch.save(slim, out)


def train(minutes: float, out: Path, seed: int) -> dict[str, float]:
    """Train for `minutes`; returns the figures that card.md quotes."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    known = rows()
    index = {t: i for i, t in enumerate(known)}
    rng, songs = random.Random(seed), freedoom()
    model = build(len(known), DIM, DEPTH, HEADS, LENGTH)
    optimiser = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.95), weight_decay=0.05)
    first, started, step, seen = held_out(model, index), time.monotonic(), 0, 0
    smooth = first
    while (done := (time.monotonic() - started) / (60 * minutes)) < 1:
        rate = LR_END + (LR - LR_END) * 0.5 * (1 + math.cos(math.pi * done))
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / WARM_STEPS)
        data = batch(songs, rng, index, BATCH)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(data)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step, seen = step + 1, seen + data.numel()
        smooth += (loss.item() - smooth) * 0.05
        if step % 50 == 0:
            log.info("step %d, %.0f %%, loss %.3f", step, 100 * done, smooth)
            save(model, known, out)
    save(model, known, out)
    return {
        "held_out_loss_start": round(first, 3),
        "held_out_loss_end": round(held_out(model, index), 3),
        "steps": step,
        "tokens": seen,
        "minutes": minutes,
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    log.info("%s", json.dumps(train(args.minutes, args.out, args.seed)))


if __name__ == "__main__":
    main()
