"""The judge: what a listener with a ruler would hold against the night. Pure functions on captures.

Each `find_*` returns Findings (kind, bus, frame); judge() counts them under the gig's keys.
The bounds, all stated here; which of the first two are of missed cycles: judge_misses.py.

dry_gap_frames         frames of a dry channel that differ from the input by more than DRY_TOLERANCE
                       (-80 dBFS) while the input is not silent (SILENCE within 1 ms)
clicks                 isolated steps: a second difference over CLICK_FLOOR (a step of -40 dBFS) and
                       over CLICK_RATIO times what nine tenths of the second differences stay
                       below, both in the 5 ms before and in the 5 ms after, leaving out the 4
                       frames next to it. A drum's attack goes on after its first sample, and so
                       raises the bound; a step does not. Steps within 10 ms are one click;
                       those that a played input has at the same place are the player's own
wrong_bar_entries      a stem bus that begins to sound, after at least a bar of silence that is no
                       rest of a stem, farther than ENTRY_SECONDS (usual for beats) from a true bar
                       line
silences_over_a_bar    stretches in a song in which the hall hears nothing over SILENCE for longer
                       than the bar they begin in
level_jumps_over_6db   changes of more than 6 dB, from one 400 ms window to the next, of an output
                       against what feeds it: each dry channel against its input, the main output
                       against the power sum of all channels that feed it. So the material's own
                       dynamics, and parts entering or leaving, do not count
ai_sound_between_songs stretches of generated sound outside songs and their tails
stuck_notes            answers sounding STUCK_SECONDS after the last note played, in each pause

and what engine/gig/judge_stems.py says of where stems play, judge_songs.py of songs, scenes and
standby, judge_hands.py of DRY, captures and fills, judge_cv.py of control voltages.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from engine.gig.judge_cv import CV_KEYS, find_cv_errors
from engine.gig.judge_hands import HAND_KEYS, find_of_hands, proofs
from engine.gig.judge_misses import OWN_KEYS, own_counts
from engine.gig.judge_songs import SONG_KEYS, find_of_songs
from engine.gig.judge_stems import STEM_KEYS, find_of_stems
from engine.gig.night import DryPath, Night, Song

SILENCE = 1e-3  # -60 dBFS
DRY_TOLERANCE = 1e-4  # -80 dBFS: far below what is heard, far above float32 rounding
CLICK_FLOOR = 0.01
CLICK_RATIO = 10.0
CLICK_SHARE = 0.9
CLICK_WINDOW = 0.005  # seconds
CLICK_GUARD = 4  # frames
CLICK_MERGE = 0.010  # seconds
ENTRY_SECONDS = 0.070
JUMP_DB = 6.0
JUMP_SECONDS = 0.4
STUCK_SECONDS = 8.0
HOP_SECONDS = 0.010  # resolution of "sounding"
GROUP_SECONDS = 1.0  # stretches of sound closer than this are one
CHUNK = 1 << 20  # frames looked at a time, so that a night fits in memory


@dataclass(frozen=True)
class Finding:
    """One thing wrong. kind: a key of judge(). frames: how many, where that is what counts."""

    kind: str
    bus: str
    frame: int
    frames: int = 1


def channels(bus: np.ndarray) -> np.ndarray:
    """A bus as (frames, channels)."""
    return bus[:, None] if bus.ndim == 1 else bus


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """(first, after the last) of every stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def sounding(bus: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    """(bool per hop of 10 ms: its peak is over SILENCE, frames in a hop)."""
    hop = max(round(HOP_SECONDS * rate), 1)
    wide = channels(bus)
    starts = np.arange(0, len(wide), hop)
    if len(wide) == 0:
        return np.zeros(0, bool), hop
    peaks = np.zeros(len(starts), np.float32)
    per_chunk = max(CHUNK // hop, 1)
    for k in range(0, len(starts), per_chunk):
        part = np.abs(wide[starts[k] : starts[k] + per_chunk * hop]).max(axis=1)
        peaks[k : k + per_chunk] = np.maximum.reduceat(part, np.arange(0, len(part), hop))
    return peaks > SILENCE, hop


def joined(stretches: list[tuple[int, int]], within: int) -> list[tuple[int, int]]:
    """Stretches with those closer than `within` made one."""
    out: list[tuple[int, int]] = []
    for first, last in stretches:
        if out and first - out[-1][1] < within:
            out[-1] = (out[-1][0], last)
        else:
            out.append((first, last))
    return out


def find_dry_gaps(path: DryPath, name: str, night: Night) -> list[Finding]:
    """Stretches in which the dry channel is not the input although the input sounds."""
    delay, near = path.delay, max(night.rate // 1000, 1)
    excused = night.excused_mask()
    wrong = np.zeros(night.frames, bool)
    for at in range(delay, night.frames, CHUNK):
        end = min(at + CHUNK, night.frames)
        begin = max(at - delay - near, 0)
        played = path.played[begin : end - delay]
        own = played[at - delay - begin :]
        off = np.abs(path.heard[at:end] - path.gain * own) > DRY_TOLERANCE
        loud = np.abs(played) > SILENCE
        # loud within the last millisecond: zero crossings are not silence
        since = np.concatenate([[0], np.cumsum(loud)])
        index = np.arange(at - delay - begin, len(played))
        recent = since[index + 1] > since[np.maximum(index + 1 - near, 0)]
        wrong[at:end] = off & recent & ~excused[at:end]
    return [Finding("dry_gap_frames", name, a, b - a) for a, b in runs(wrong)]


def _click_frames(x: np.ndarray, rate: int) -> np.ndarray:
    """Frames of one channel (float64) at which an isolated step stands."""
    width, guard = max(round(CLICK_WINDOW * rate), 8), CLICK_GUARD
    bend = np.zeros(len(x))
    bend[1:-1] = np.abs(x[2:] - 2.0 * x[1:-1] + x[:-2])
    at = np.flatnonzero(bend > CLICK_FLOOR)
    if len(at) == 0:
        return at
    total = np.concatenate([[0.0], np.cumsum(bend)])
    mean = (total[np.minimum(at + width, len(x))] - total[np.maximum(at - width, 0)]) / (2 * width)
    at = at[bend[at] > CLICK_RATIO / 2 * mean]  # cheap: leaves few for what follows
    padded = np.concatenate([np.zeros(width + guard), bend, np.zeros(width + guard + 1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    share = [CLICK_SHARE]
    keep = []
    for part in np.array_split(at, max(len(at) // 4096, 1)):
        before = np.quantile(windows[part], share, axis=1)[0]
        after = np.quantile(windows[part + width + 2 * guard + 1], share, axis=1)[0]
        keep.append(part[bend[part] > CLICK_RATIO * np.maximum(before, after)])
    return np.concatenate(keep)


def find_clicks(bus: np.ndarray, name: str, night: Night) -> list[Finding]:
    """Isolated steps in any channel of a bus, those within 10 ms taken as one."""
    margin = 4 * max(round(CLICK_WINDOW * night.rate), 8)
    wide = channels(bus)
    found: list[np.ndarray] = []
    for at in range(0, night.frames, CHUNK):
        begin, end = max(at - margin, 0), min(at + CHUNK + margin, night.frames)
        for k in range(wide.shape[1]):
            clicks = begin + _click_frames(wide[begin:end, k].astype(np.float64), night.rate)
            found.append(clicks[(clicks >= at) & (clicks < at + CHUNK)])
    frames = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
    frames = frames[~night.excused_mask(margin)[frames]]
    merge = CLICK_MERGE * night.rate
    alone = np.diff(frames, prepend=-merge - 1) > merge
    return [Finding("clicks", name, int(f)) for f in frames[alone]]


def find_main_clicks(night: Night) -> list[Finding]:
    """Clicks in what the hall hears that no player made (the same step in a played input)."""
    found = find_clicks(night.main, "main", night)
    own = [
        f.frame + path.delay
        for name, path in night.dry.items()
        for f in find_clicks(path.played, name, night)
    ]
    near = CLICK_MERGE * night.rate
    return [f for f in found if all(abs(f.frame - frame) > near for frame in own)]


def entries(bus: np.ndarray, song: Song, rate: int) -> list[int]:
    """Frames in a song at which a bus begins to sound after at least a bar of silence."""
    active, hop = sounding(bus[: song.last], rate)
    found = []
    silent_since = 0
    for first, last in runs(active):
        frame = first * hop
        if frame - silent_since >= 0.95 * song.bar_frames(frame) and frame >= song.first:
            exact = np.abs(channels(bus[frame : frame + hop])).max(axis=1) > SILENCE
            found.append(frame + int(np.argmax(exact)))
        silent_since = last * hop
    return found


def find_wrong_bars(bus: np.ndarray, name: str, night: Night) -> list[Finding]:
    """Entries of a stem bus that are not at a bar line of the drummer's. What goes on after a rest
    of its own is no entry: whether it is in its place, judge_stems.py says."""
    found, near = [], round(ENTRY_SECONDS * night.rate)
    lines = [line for loops in night.loops if loops.bus == name for line in loops.lines]
    for song in night.songs:
        for frame in entries(bus, song, night.rate):
            line = max((k for k in lines if k <= frame + near), default=frame)
            if np.abs(bus[line : frame - near]).max(initial=0.0) > SILENCE:
                continue
            if np.abs(song.bars - frame).min() > near:
                found.append(Finding("wrong_bar_entries", name, frame))
    return found


def find_silences(night: Night) -> list[Finding]:
    """Stretches of a song longer than a bar in which the hall hears nothing."""
    found = []
    for song in night.songs:
        active, hop = sounding(night.main[song.first : song.last], night.rate)
        for a, b in runs(~active):
            first = song.first + a * hop
            length = min(b * hop, song.last - song.first) - a * hop
            if length > song.bar_frames(first):
                found.append(Finding("silences_over_a_bar", "main", first, length))
    return found


def window_power(bus: np.ndarray, rate: int) -> np.ndarray:
    """Power (sum over channels of the mean square) in successive windows of 400 ms."""
    size = round(JUMP_SECONDS * rate)
    wide = channels(bus)
    count = len(wide) // size
    power = [np.square(wide[k * size : (k + 1) * size], dtype=np.float64) for k in range(count)]
    return np.array([p.mean(axis=0).sum() for p in power])


def find_gain_jumps(output: np.ndarray, feed: np.ndarray, name: str, night: Night) -> list[Finding]:
    """Changes over 6 dB of output against feed. output, feed: powers from window_power."""
    size = round(JUMP_SECONDS * night.rate)
    heard = feed > SILENCE**2
    gain_db = 10.0 * np.log10(np.maximum(output, 1e-12) / np.maximum(feed, 1e-12))
    excused = night.excused_mask()
    found = []
    for k in range(1, len(gain_db)):
        if not (heard[k] and heard[k - 1]) or excused[(k - 1) * size : (k + 1) * size].any():
            continue
        if abs(gain_db[k] - gain_db[k - 1]) > JUMP_DB:
            found.append(Finding("level_jumps_over_6db", name, k * size))
    return found


def find_level_jumps(night: Night) -> list[Finding]:
    """Gain jumps of each dry channel against its input and of main against all that feeds it."""
    found, feeds = [], [window_power(bus, night.rate) for bus in night.ai.values()]
    for name, path in night.dry.items():
        played = np.roll(path.played, path.delay)
        played[: path.delay] = 0.0
        feed = window_power(played, night.rate)
        found += find_gain_jumps(window_power(path.heard, night.rate), feed, name, night)
        feeds.append(feed)
    if feeds:
        total = np.sum(feeds, axis=0)
        found += find_gain_jumps(window_power(night.main, night.rate), total, "main", night)
    return found


def find_ai_between(night: Night) -> list[Finding]:
    """Stretches of generated sound outside every song and its tail."""
    outside = np.ones(night.frames, bool)
    for song in night.songs:
        outside[song.first : song.last + song.tail] = False
    found = []
    for name, bus in night.ai.items():
        active, hop = sounding(bus, night.rate)
        loud = np.repeat(active, hop)[: night.frames] & outside
        for first, last in joined(runs(loud), round(GROUP_SECONDS * night.rate)):
            found.append(Finding("ai_sound_between_songs", name, first, last - first))
    return found


def find_stuck_notes(bus: np.ndarray, name: str, night: Night) -> list[Finding]:
    """Pauses of the player in which an answers bus sounds for too long."""
    active, hop = sounding(bus, night.rate)
    played = np.sort(night.notes.get(name, np.zeros(0, np.int64)))
    bounds = np.concatenate([[0], played, [night.frames]])
    found = []
    for last, following in itertools.pairwise(bounds):
        begin = int(last + STUCK_SECONDS * night.rate)
        if begin < following and active[-(-begin // hop) : int(following) // hop].any():
            found.append(Finding("stuck_notes", name, begin))
    return found


def find_all(night: Night) -> list[Finding]:
    """Everything wrong with the night, by frame."""
    found = find_silences(night) + find_level_jumps(night) + find_ai_between(night)
    found += find_main_clicks(night)
    for name, path in night.dry.items():
        found += find_dry_gaps(path, name, night)
    for name, bus in night.stems.items():
        found += find_wrong_bars(bus, name, night)
    for name, bus in night.answers.items():
        found += find_stuck_notes(bus, name, night)
    others = [*find_of_songs(night), *find_of_hands(night), *find_of_stems(night)]
    others += find_cv_errors(night)
    found += [Finding(*wrong) for wrong in others]
    return sorted(found, key=lambda f: f.frame)


KEYS = (
    "dry_gap_frames",
    "clicks",
    "wrong_bar_entries",
    "silences_over_a_bar",
    "level_jumps_over_6db",
    "ai_sound_between_songs",
    "stuck_notes",
    *SONG_KEYS,
    *HAND_KEYS,
    *STEM_KEYS,
    *CV_KEYS,
    *OWN_KEYS,
)
# What no machine is to blame for: of gaps and clicks those that no missed cycle explains.
MUSICAL = tuple(key for key in KEYS if key not in ("dry_gap_frames", "clicks"))


def judge(night: Night, found: list[Finding] | None = None) -> dict[str, int | list[str]]:
    """The gig's keys: counts (frames for dry_gap_frames, else events), and what was skipped.
    found: what find_all(night) gave, where that is known."""
    counts: dict[str, int | list[str]] = {}
    found = find_all(night) if found is None else found
    for key in KEYS:
        of_kind = [f for f in found if f.kind == key]
        counts[key] = sum(f.frames for f in of_kind) if key == "dry_gap_frames" else len(of_kind)
    counts |= own_counts(night, found)
    counts["skipped"] = [*night.skipped, *proofs(night)]
    return counts
