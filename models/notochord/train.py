"""How notochord-small.pt was made: python -m models.notochord.train --out FILE.

Writes the corpus as MIDI (models/notochord/corpus.py, and with --freedoom the music of the Debian
package of that name), prepares it with `notochord prep`, trains with Notochord's own trainer until
the time is up, measures the held-out pieces before and after, and stores a slim half-precision
checkpoint: {"kw": {"model": …}, "model_state": …}, which loads with weights_only=True.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import os
import struct
import sys
import tempfile
import time
import types
import zlib
from pathlib import Path
from typing import Any

from models.notochord.corpus import write_corpus

log = logging.getLogger("segue.notochord.train")

MODEL: dict[str, Any] = {
    "emb_size": 96,
    "rnn_hidden": 256,
    "rnn_layers": 1,
    "mlp_layers": 1,
    "dropout": 0.0,
    "time_sines": 64,
    "vel_sines": 32,
    "time_components": 16,
    "vel_components": 8,
}
LEARNING_RATE = 2e-3
WARM_UP_STEPS = 60
HELD_OUT = 24  # pieces the trainer's own split keeps for the test


class Finished(Exception):
    """The training time is up and the last epoch is saved."""


def wad_songs(wad: bytes) -> dict[str, bytes]:
    """The MIDI lumps of a Doom WAD by name. Raises ValueError when it is not a WAD."""
    if wad[:4] not in (b"IWAD", b"PWAD"):
        raise ValueError("not a WAD: it does not begin with IWAD or PWAD")
    count, directory = struct.unpack_from("<ii", wad, 4)
    songs = {}
    for k in range(count):
        at, size, name = struct.unpack_from("<ii8s", wad, directory + 16 * k)
        if wad[at : at + 4] == b"MThd":
            songs[name.split(b"\0")[0].decode("ascii")] = wad[at : at + size]
    return songs


def write_freedoom(source: Path, folder: Path) -> int:
    """Write the songs whose name has an even CRC-32; return how many.

    The others are kept for evaluation, so a song that also stands there under another name is left
    out too, and one that stands under two names is written once.
    """
    songs: dict[str, bytes] = {}
    for wad in sorted(source.glob("*.wad")):
        songs |= wad_songs(wad.read_bytes())
    kept = {hashlib.sha256(s).digest() for n, s in songs.items() if zlib.crc32(n.encode()) % 2}
    written = 0
    for name, song in sorted(songs.items()):
        digest = hashlib.sha256(song).digest()
        if digest not in kept:
            kept.add(digest)
            (folder / f"freedoom-{name}.mid").write_bytes(song)
            written += 1
    return written


def provide_writer() -> None:
    """Stand in for TensorBoard's writer, which the trainer imports and only logs to."""

    class Silent:
        def __init__(self, log_dir: Path) -> None:
            pass

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            log.debug("%s %s %d", tag, value, step)

    package = types.ModuleType("torch.utils.tensorboard")
    writer = types.ModuleType("torch.utils.tensorboard.writer")
    writer.__dict__["SummaryWriter"] = Silent
    sys.modules["torch.utils.tensorboard"] = package
    sys.modules["torch.utils.tensorboard.writer"] = writer


def train(work: Path, out: Path, minutes: float, pieces: int, seed: int, freedoom: Path) -> None:
    """Train for `minutes` on one thread; the files in between lie in `work`."""
    os.environ["OMP_NUM_THREADS"] = "1"
    provide_writer()
    import torch
    from notochord.lakh_prep import main as prep
    from notochord.train import Trainer
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    midi, data = work / "midi", work / "data"
    midi.mkdir()
    write_corpus(midi, pieces, seed)
    others = write_freedoom(freedoom, midi) if freedoom.is_dir() else 0
    prep(str(midi), str(data), n_jobs=1)

    class Timed(Trainer):
        """Cosine learning rate over the time given; stops after the epoch in which it ends."""

        began = time.monotonic()

        def process_grad(self) -> dict[str, Any]:
            done = min(1.0, (time.monotonic() - self.began) / (minutes * 60))
            warm = min(1.0, self.iteration / WARM_UP_STEPS)
            for group in self.opt.param_groups:
                group["lr"] = LEARNING_RATE * warm * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))
            return super().process_grad()

        def save(self, fname: Path) -> None:
            super().save(fname)
            if time.monotonic() - self.began >= minutes * 60:
                raise Finished

        def held_out(self) -> dict[str, float]:
            torch.manual_seed(seed)
            loader = DataLoader(self.test_dataset, 1, shuffle=False)
            logs = self._validate(loader, testing=True)["logs"]
            self.dataset.testing = False  # which _validate leaves set
            return {k: round(float(v), 4) for k, v in logs.items()}

    trainer = Timed(
        experiment="small",
        model_dir=work / "model",
        log_dir=work / "log",
        data_dir=str(data),
        results_dir=work / "results",
        model=MODEL,
        batch_size=32,
        batch_len=96,
        lr=LEARNING_RATE,
        seed=seed,
        n_jobs=0,
        epoch_size=100,
        valid_size=1,
        min_test=HELD_OUT,
    )
    before = trainer.held_out()
    try:
        trainer.train()
    except Finished:
        log.info("stopped after %d steps", trainer.iteration)
    after = trainer.held_out()
    model = trainer.model
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    torch.save({"kw": {"model": trainer.kw["model"]}, "model_state": state}, out)
    figures = {
        "pieces": pieces,
        "freedoom": others,
        "steps": trainer.iteration,
        "minutes": minutes,
        "parameters": sum(p.numel() for p in model.parameters()),
        "before": before,
        "after": after,
    }
    log.info("wrote %s: %s", out, json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m models.notochord.train")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=17.0)
    parser.add_argument("--pieces", type=int, default=700)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--freedoom", type=Path, default=Path("/usr/share/games/doom"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    with tempfile.TemporaryDirectory() as work:
        train(Path(work), args.out, args.minutes, args.pieces, args.seed, args.freedoom)


if __name__ == "__main__":
    main()
