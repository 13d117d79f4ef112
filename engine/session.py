"""A recorded performance, read back: what engine/recording.py wrote, whole or cut off anywhere.

What cannot be read is said in `problems` and left out; SessionError is for a session of which
nothing can be used. Sessions may come from outside: sizes are bounded, records are checked where
they are used. Not real-time safe.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.admitted import AdmittedKind
from engine.layout import ADMITTED
from engine.patch import Patch
from engine.recording import ADMITTED_HEAD, FORMAT, takes_of
from engine.state import STATE
from engine.tracks import Track, TrackError, read_track, tap_dtype, tracks_of
from engine.versions import layout_hash, versions

HASH = "[0-9a-f]{64}"
ENDS_TOGETHER = 24_000  # frames: what a recorder that is killed may have written of some tracks
TEXT_MAX = 1 << 26
INT_MAX = 1 << 62
ARENA_MAX = 1 << 31  # floats


class SessionError(Exception):
    """A session that cannot be used at all: what was found, where, and what to do."""


@dataclass(frozen=True)
class Life:
    """One audio process: facts as it told them (engine/performance.py), the snapshot it resumed
    from, or None; records: what its blocks admitted; first: the place of records[0] in the file."""

    facts: dict[str, Any]
    snapshot: np.ndarray | None
    records: np.ndarray
    first: int


@dataclass(frozen=True)
class Session:
    """take: the folder. tracks: what is left of them, by name, audio big-endian float32 (frames,
    channels) from first_frame on. jumps: (frame, frames) where tracks hold nothing. again:
    records of engine.tracks.tap_dtype whose frames had been. stems: sha256 by place of the command
    in the file; stem_rows: the same with id and role. problems: what is missing, for people."""

    take: Path
    patch: Patch
    facts: dict[str, Any]
    rate: float
    first_frame: int
    arena: int
    tracks: dict[str, np.ndarray]
    jumps: list[tuple[int, int]]
    lives: list[Life]
    again: np.ndarray
    stems: dict[int, str]
    stem_rows: list[dict[str, Any]]
    problems: list[str] = field(default_factory=list)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The conductor's log of this performance; whole lines only."""
        return lines_of(read_lines(self.take.parent / "log.jsonl"), self.facts.get("performance"))

    @property
    def frames(self) -> int:
        """How many the longest track holds."""
        return max((len(a) for a in self.tracks.values()), default=0)


def find_take(folder: Path) -> Path:
    """The last performance in a session folder, or the folder itself if it is one."""
    if (folder / "session.json").exists():
        return folder
    takes = takes_of(folder)
    if not takes:
        what = "is not there" if not folder.exists() else "holds no take-01"
        raise SessionError(f"{folder} {what}: expected a folder made by `segue run --session`")
    return takes[-1][1]


def read_session(folder: Path) -> Session:
    """Raises SessionError."""
    take = find_take(folder)
    problems: list[str] = []
    facts = _json(take / "session.json")
    if facts.get("format") != FORMAT:
        raise SessionError(
            f"{take}: format {facts.get('format')!r}, this segue reads {FORMAT}; "
            f"replay it with the segue that made it ({_made_with(facts)})"
        )
    if facts.get("layout") != layout_hash():
        raise SessionError(
            f"{take}: recorded with other state records than this build's; "
            f"replay it with the segue that made it ({_made_with(facts)})"
        )
    problems += _other_versions(facts)
    try:
        patch = Patch.from_json(json.dumps(_json(take / "patch.json")))
        rate, first = float(facts["rate"]), int(facts["first_frame"])
        arena = int(facts["arena"])
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise SessionError(f"{take}: session.json or patch.json is broken ({error!r})") from None
    if not 0 <= arena <= ARENA_MAX or not 1000 <= rate <= 1_000_000:
        raise SessionError(f"{take}/session.json: arena {arena} or rate {rate:g} cannot be")
    tracks = _tracks(take, patch, first, problems)
    lives = _lives(take / "admitted.bin", problems)
    jumps = [(j["frame"], j["frames"]) for j in _facts(take / "jumps.jsonl")]
    rows = [r for r in _facts(take / "stems.jsonl") if re.fullmatch(HASH, r["sha256"])]
    stems = {r["at"]: r["sha256"] for r in rows}
    return Session(
        take,
        patch,
        facts,
        rate,
        first,
        arena,
        tracks,
        jumps,
        lives,
        _again(take, patch),
        stems,
        rows,
        problems,
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole JSON lines of a file; [] where there is none."""
    if not path.exists() or path.stat().st_size > TEXT_MAX:
        return []
    rows = []
    for line in path.read_text(errors="replace").split("\n"):
        try:
            row = _decoded(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def lines_of(lines: list[dict[str, Any]], performance: Any) -> list[dict[str, Any]]:
    """Those of one performance of several in a log: clocks may count the same frames twice. A
    conductor begins by saying which it is; None: all (nobody says, in what was rendered)."""
    if performance is None:
        return lines
    mine: list[dict[str, Any]] = []
    inside = False
    for line in lines:
        if line.get("event") == "log_opened":
            inside = line.get("performance") == performance
        elif inside:
            mine.append(line)
    return mine


def section_of(event: dict[str, Any]) -> str | None:
    """What part of a performance begins or ends with a line of the log; None: with that, none."""
    kind = event.get("event")
    if kind == "standby":
        return "standby" if event.get("on") else "standby over"
    if kind in ("song", "scene", "count_in", "ending", "ended"):
        return f"{kind} {event.get('name') or event.get('song') or ''}".strip().replace("_", "-")
    return None


WANTED: dict[str, dict[str, type]] = {
    "jumps.jsonl": {"frame": int, "frames": int},
    "stems.jsonl": {"at": int, "id": int, "role": int, "sha256": str},
}


def _decoded(text: str) -> Any:
    """JSON without halves of characters (`"\\ud83c"`), which no file's name and no stream takes.
    Raises ValueError and RecursionError."""
    value = json.loads(text)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _facts(path: Path) -> list[dict[str, Any]]:
    wanted = WANTED[path.name].items()
    rows = [r for r in read_lines(path) if all(isinstance(r.get(k), t) for k, t in wanted)]
    return [r for r in rows if all(abs(r[k]) < INT_MAX for k, t in wanted if t is int)]


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > TEXT_MAX:
            raise SessionError(f"{path}: too large")
        facts = _decoded(path.read_text())
    except OSError as error:
        raise SessionError(f"{path}: {error.strerror or error}; the session is not whole") from None
    except (ValueError, RecursionError) as error:
        raise SessionError(f"{path}: cut off or broken ({error})") from None
    if not isinstance(facts, dict):
        raise SessionError(f"{path}: not a JSON object")
    return facts


def _made_with(facts: dict[str, Any]) -> str:
    made = facts.get("versions")
    return f"segue {made.get('segue')}" if isinstance(made, dict) else "unknown"


def _other_versions(facts: dict[str, Any]) -> list[str]:
    made, here = facts.get("versions"), versions()
    if not isinstance(made, dict):
        return ["session.json does not say what it was made with"]
    return [
        f"made with {name} {made.get(name)}, here is {version}: bits may differ"
        for name, version in here.items()
        if made.get(name) != version
    ]


def _tracks(take: Path, patch: Patch, first: int, problems: list[str]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for track in tracks_of(patch):
        audio = _track(take / "tracks" / track.file, track, take.name, first, problems)
        if audio is not None:
            found[track.name] = audio
    longest = max((len(a) for a in found.values()), default=0)
    problems += [
        f"track {name} ends {longest - len(audio)} frames before the longest"
        for name, audio in found.items()
        if longest - len(audio) > ENDS_TOGETHER
    ]
    return found


def _track(
    path: Path, track: Track, take: str, first: int, problems: list[str]
) -> np.ndarray | None:
    if not path.exists():
        problems.append(f"track {track.name} is missing ({path.name})")
        return None
    try:
        read = read_track(path)
    except (TrackError, OSError) as error:
        problems.append(f"track {track.name} is missing: {error}")
        return None
    is_ = read.info.get("track"), read.info.get("first_frame"), read.audio.shape[1]
    if is_ != (track.name, first, track.channels):
        problems.append(
            f"track {track.name} is missing: {path.name} holds {is_[0]} of {read.info.get('take')} "
            f"from frame {is_[1]}, expected {track.name} of {take} from frame {first}"
        )
        return None
    return read.audio


def _again(take: Path, patch: Patch) -> np.ndarray:
    """Whole records; the rest of one that was cut off is nothing."""
    path, dtype = take / "again.bin", tap_dtype(patch)
    count = path.stat().st_size // dtype.itemsize if path.exists() else 0
    return np.memmap(path, dtype, "r", shape=(count,)) if count else np.zeros(0, dtype)


# ---- what was admitted


def _lives(path: Path, problems: list[str]) -> list[Life]:
    try:
        size = path.stat().st_size - len(ADMITTED_HEAD)
        with path.open("rb") as f:
            head = f.read(len(ADMITTED_HEAD))
    except OSError as error:
        raise SessionError(f"{path}: {error.strerror}; the session is not whole") from None
    if head != ADMITTED_HEAD:
        raise SessionError(f"{path}: not a record of what was admitted")
    count, rest = divmod(size, ADMITTED.itemsize)
    if rest:
        problems.append(f"{path.name} is cut off in record {count}")
    if not count:
        return []
    records = np.memmap(path, ADMITTED, "r", len(ADMITTED_HEAD), (count,))
    kinds = np.asarray(records["kind"])
    begins = np.flatnonzero((kinds == AdmittedKind.LIFE) & (np.asarray(records["seq"]) == 0))
    if not len(begins) or begins[0]:
        problems.append(f"{path.name} does not begin with the head of an audio process")
    ends = [*begins[1:].tolist(), count]
    lives = []
    for number, (a, b) in enumerate(zip(begins.tolist(), ends, strict=True), 1):
        life = _life(records[a:b], a, f"audio process {number}", problems)
        if life is not None:
            lives.append(life)
    return lives


def _life(records: np.ndarray, at: int, who: str, problems: list[str]) -> Life | None:
    good = _unbroken(records)
    if good < len(records):
        problems.append(f"{who}: records are lost after the first {good}")
    records = records[:good]
    kinds = np.asarray(records["kind"])
    heads = int(np.argmax(kinds != AdmittedKind.LIFE)) if len(kinds) else 0
    data = _joined(records[:heads])
    states = int(np.argmax(kinds[heads:] != AdmittedKind.STATE)) if heads < len(kinds) else 0
    state = _joined(records[heads : heads + states])
    try:
        facts = _decoded(data.decode())
        if not isinstance(facts, dict) or len(state) not in (0, STATE.itemsize):
            raise ValueError("its head is cut off")
    except (ValueError, RecursionError) as error:
        problems.append(f"{who}: {error}")
        return None
    snapshot = np.frombuffer(state, STATE).copy() if state else None
    rest = heads + states
    return Life(facts, snapshot, records[rest:], at + rest)


def _unbroken(records: np.ndarray) -> int:
    """How many from the first on follow each other; holes in the file are of kind 0."""
    wrong = (np.asarray(records["seq"]) != np.arange(len(records))) | (records["kind"] == 0)
    return int(np.argmax(wrong)) if wrong.any() else len(records)


def _joined(records: np.ndarray) -> bytes:
    return b"".join(bytes(r["data"][: int(r["size"])]) for r in records)
