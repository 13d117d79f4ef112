"""Risk: the training pieces are not what the card says, or a song kept for evaluation slips in."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import mido
import pytest

from models.notochord.corpus import compose, write_corpus
from models.notochord.train import wad_songs, write_freedoom


def wad(songs: dict[str, bytes]) -> bytes:
    body, entries = b"", b""
    for name, data in songs.items():
        entries += struct.pack("<ii8s", 12 + len(body), len(data), name.encode())
        body += data
    return b"IWAD" + struct.pack("<ii", len(songs), 12 + len(body)) + body + entries


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_corpus(tmp_path / name, 4, 10)
    first = sorted((tmp_path / "a").iterdir())
    assert len(first) == 4
    assert all(f.read_bytes() == (tmp_path / "b" / f.name).read_bytes() for f in first)


@pytest.mark.parametrize("seed", range(0, 60, 5))
def test_every_on_of_a_piece_has_its_off(tmp_path: Path, seed: int) -> None:
    write_corpus(tmp_path, 1, seed)
    midi = mido.MidiFile(next(tmp_path.glob("*.mid")))
    for track in midi.tracks:
        held: set[int] = set()
        for message in track:
            if message.type == "note_on":
                assert message.note not in held
                held.add(message.note)
            elif message.type == "note_off":
                held.remove(message.note)
        assert not held


def test_most_pieces_are_duets_in_every_key() -> None:
    duets = 0
    for seed in range(48):
        parts, bpm, swing = compose(seed)
        assert 66 <= bpm <= 156
        assert 0 <= swing <= 1 / 6
        duets += len(parts) > 1
        melody = [key for _, _, key, _ in parts[0].notes]
        assert max(melody) < 100
        assert min(melody) > 30
    assert duets > 36


def test_songs_kept_for_evaluation_stay_out_under_any_name(tmp_path: Path) -> None:
    names = [f"D_{k}" for k in range(8)]
    even = [n for n in names if zlib.crc32(n.encode()) % 2 == 0]
    odd = [n for n in names if zlib.crc32(n.encode()) % 2]
    assert len(even) > 2
    assert len(odd) > 1
    songs = {n: b"MThd" + n.encode() for n in names}
    songs[even[0]] = songs[odd[0]]
    songs[even[1]] = songs[even[2]]
    (tmp_path / "x.wad").write_bytes(wad(songs | {"PLAYPAL": b"not music"}))
    out = tmp_path / "out"
    out.mkdir()
    assert write_freedoom(tmp_path, out) == len(even) - 2
    written = {f.read_bytes() for f in out.iterdir()}
    assert not written & {songs[n] for n in odd}


def test_what_is_not_a_wad_is_refused() -> None:
    with pytest.raises(ValueError, match="not a WAD"):
        wad_songs(b"RIFF" + bytes(20))
