"""A patch: the music, and the stage where no rig says otherwise. Immutable, checked, complete.

engine/patch_load.py reads these from YAML and names file, line and key of what is wrong. Children
of the supervisor get the checked patch as JSON (to_json, from_json) from the shared folder, so all
of them see one and the same.

Gains are dB where the name ends in _db and linear nowhere; channels count from 1.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.patch_controls import Control
from engine.patch_cv import Cv, CvIn, Route, cv_from_json
from engine.song import Sends, Song
from engine.stem import FILES_MAKER
from engine.tuning import A4_HZ

MONITORS = tuple(f"monitor{i}" for i in range(1, 9))
PERFORMER = "performer"  # the stream that the demo's performers feed
BUSES = ("main", "cue", "click", *MONITORS)
EFFECTS = ("reverb", "delay")
GROUPS = ("dry", "ai", "stems")
AUDITION = "audition"  # the source of a stem that somebody listens to before it enters
CAPTURE_MAKER = "capture"  # of a role whose stems are captured: nothing is made for it
PAGES = ("stems", "songs", "mix", "players", "clock", "vibe", "cv")  # of a surface
NOT_MODELS = {"rules", FILES_MAKER, CAPTURE_MAKER}  # makers that have nothing to load


@dataclass(frozen=True)
class Audio:
    """device: a regular expression over sounddevice names, '' for the default. block: frames a
    period, asked of the device (JACK decides itself). round_trip_ms: from an output back to an
    input; what is heard is that much older than what is played with it."""

    device: str = ""
    rate: int = 48000
    block: int = 128
    round_trip_ms: float = 0.0


@dataclass(frozen=True)
class Strip:
    """Input strip; None leaves a stage out, and a strip without stages is bit-transparent."""

    highpass_hz: float | None = None
    gate_db: float | None = None
    low_db: float | None = None
    mid_db: float | None = None
    high_db: float | None = None
    compressor_db: float | None = None


@dataclass(frozen=True)
class Insert:
    """What stands in a strip, after all its stages. vst3: a plug-in; plugin: its name, where the
    file holds several; parameters: by the names that `segue plugin` shows. Or a pedal: send, the
    monitor that carries the strip to it and nothing else; returns, the input it comes back on."""

    vst3: str | None = None
    plugin: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    send: str | None = None
    returns: str | None = None

    @property
    def pedal(self) -> bool:
        return self.send is not None and self.returns is not None


def insert_of(given: dict[str, Any]) -> Insert | None:
    """Of a strip's JSON."""
    insert = given.get("insert")
    return None if insert is None else Insert(**insert)


@dataclass(frozen=True)
class Input:
    """channel: device input (from 1), or a regular expression over port names, or None where
    `stream` names what feeds it: "performer" (the demo's players), or a texture. dry: whose dry
    path it is. written: semitones by which the player's part lies above what sounds (B flat
    trumpet: 2). late_ms: on a pedal's return, how long the way out and back takes."""

    channel: int | str | None = None
    stream: str | None = None
    trim_db: float = 0.0
    dry: str = "segue"  # hardware | jack | segue
    written: int = 0
    strip: Strip = field(default_factory=Strip)
    to: Sends = field(default_factory=dict)
    insert: Insert | None = None
    late_ms: float | None = None


@dataclass(frozen=True)
class MidiIn:
    """port: regular expression over MIDI input ports. voice: thru to this sampler voice.

    dry_cc, master_cc: controllers that toggle DRY (67: the left foot-switch) and set the master
    level; None leaves the controller to the voice. pedals: what a hand (or foot) asks of the
    conductor -> controller. controls: any control and what it does (engine/patch_controls.py);
    foot_switches: where no voice plays, CC 64 and 66 mean something by themselves. written:
    semitones by which the player's part lies above what sounds.
    """

    port: str = ""
    voice: str | None = None
    channel: int | None = None  # 1-16, None: all
    transpose: int = 0
    dry_cc: int | None = 67
    master_cc: int | None = None
    pedals: dict[str, int] = field(default_factory=dict)
    controls: dict[str, Control] = field(default_factory=dict)
    foot_switches: bool = True
    written: int = 0


@dataclass(frozen=True)
class Voice:
    """A sampler voice: General MIDI program 0-127, or a drum kit."""

    program: int = 0
    bank: int = 0
    drums: bool = False
    gain_db: float = 0.0
    to: Sends = field(default_factory=dict)
    insert: Insert | None = None


@dataclass(frozen=True)
class Player:
    """A real-time model. listens: an input (texture) or a MIDI input (notes). voice, midi_out:
    where its notes go. to: where its texture goes. config: the model's own keys."""

    model: str = ""
    listens: str = ""
    voice: str | None = None
    midi_out: str | None = None
    checkpoint: str | None = None
    to: Sends = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    insert: Insert | None = None


@dataclass(frozen=True)
class Role:
    """What the pool keeps ready: `ahead` stems of this role. enter: grid of its entries; leave: of
    its retirements, None: the same. play: loop, once, fill or ending. choke: a group of roles of
    which one sounds. voice: the sampler voice that plays its stems note by note, as MIDI; empty:
    they are audio, rendered with `program`. folder: of
    sound files that become its stems, instead of a maker's."""

    maker: str = "rules"
    bars: int = 4
    program: int = 0
    density: float = 0.5
    gain_db: float = 0.0
    enter: str = "phrase"
    leave: str | None = None
    play: str = "loop"
    choke: str = ""
    voice: str = ""
    folder: str | None = None
    ahead: int = 2
    to: Sends = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def made_by(self) -> str:
        """What the pool is asked for."""
        return FILES_MAKER if self.folder else self.maker

    @property
    def maker_config(self) -> dict[str, Any]:
        return {**self.config, "folder": self.folder} if self.folder else self.config


@dataclass(frozen=True)
class ReverbSettings:
    """decay_s: until 60 dB less. damping: 0, high frequencies decay as slowly, to 1, at once."""

    decay_s: float = 1.7
    damping: float = 0.5


@dataclass(frozen=True)
class DelaySettings:
    """beats: between echoes, at whatever tempo the timeline has. feedback: linear, an echo's part
    in the next."""

    beats: float = 0.75
    feedback: float = 0.35


@dataclass(frozen=True)
class Effects:
    """The two effects that all share; what goes into them is said at each source's `to`."""

    reverb: ReverbSettings = field(default_factory=ReverbSettings)
    delay: DelaySettings = field(default_factory=DelaySettings)


@dataclass(frozen=True)
class Groups:
    """Levels in dB of what goes to main and effects: live sound, what models play, stems."""

    dry: float = 0.0
    ai: float = 0.0
    stems: float = 0.0


@dataclass(frozen=True)
class Ducking:
    """While one of the inputs `by` is above threshold_db, the groups `of` go down by depth_db, on
    all buses. Time constants; it stays down for a tenth of a second after the last sound."""

    by: tuple[str, ...] = ()
    of: tuple[str, ...] = ("ai", "stems")
    threshold_db: float = -35.0
    depth_db: float = 9.0
    attack_ms: float = 30.0
    release_ms: float = 600.0


@dataclass(frozen=True)
class Click:
    """Where the metronome and the count-in are heard."""

    to: Sends = field(default_factory=lambda: {"click": 0.0})


@dataclass(frozen=True)
class Capture:
    """What is remembered, so that its last bars can become a stem. kept: captured stems there is
    room for, 0: nothing is remembered. bars: 1, 2, 4 or 8, the most. sources: input.NAME,
    voice.NAME, texture.NAME; none: all inputs, the voices that players play, and textures."""

    kept: int = 0
    bars: int = 8
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """A bus on device channels (from 1) or port-name patterns. limit: safety limiter (speakers).
    level_db: of the whole bus, before the limiter."""

    channels: tuple[int | str, ...] = ()
    limit: bool = True
    level_db: float = 0.0


@dataclass(frozen=True)
class Clock:
    """source: internal, or listener (the tempo of the inputs named in `listen`)."""

    bpm: float = 100.0
    beats_per_bar: int = 4
    bars_per_phrase: int = 4
    key: int = 0
    minor: bool = False
    source: str = "internal"
    listen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Surface:
    """port: regular expression over MIDI ports; None: the driver's own. driver: mk3, launchpad-py
    (the same unit), or pro (the Launchpad Pro before it). pages: those of PAGES that there are, the
    first one is shown first; none: all."""

    kind: str = "launchpad"
    port: str | None = None
    driver: str = "mk3"
    pages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Vibe:
    """A mood, at its strongest; halfway is halfway to it. text: words for makers that read them.
    density: of the stems asked for from then on, by role. players: by player, its controls (-1..1)
    from the first on."""

    text: str = ""
    density: dict[str, float] = field(default_factory=dict)
    players: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Patch:
    name: str = "untitled"
    soundfont: str | None = None
    armed: bool = False  # True: stems may enter without a hand saying where the one is
    tuning_hz: float = A4_HZ  # A4, of sampler voices, rendered stems and control voltages
    audio: Audio = field(default_factory=Audio)
    inputs: dict[str, Input] = field(default_factory=dict)
    midi: dict[str, MidiIn] = field(default_factory=dict)
    voices: dict[str, Voice] = field(default_factory=dict)
    players: dict[str, Player] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    capture: Capture = field(default_factory=Capture)
    outputs: dict[str, Output] = field(default_factory=dict)
    effects: Effects = field(default_factory=Effects)
    groups: Groups = field(default_factory=Groups)
    ducking: Ducking = field(default_factory=Ducking)
    click: Click = field(default_factory=Click)
    cv: dict[str, Cv] = field(default_factory=dict)
    cv_in: dict[str, CvIn] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    surfaces: dict[str, Surface] = field(default_factory=dict)
    vibes: dict[str, Vibe] = field(default_factory=dict)
    songs: dict[str, Song] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @staticmethod
    def from_json(text: str) -> Patch:
        """Read what to_json wrote; trusts it."""
        d = json.loads(text)

        def each(key: str, make: Any) -> dict[str, Any]:
            return {name: make(v) for name, v in d[key].items()}

        return Patch(
            name=d["name"],
            soundfont=d["soundfont"],
            armed=d["armed"],
            tuning_hz=d["tuning_hz"],
            audio=Audio(**d["audio"]),
            inputs=each(
                "inputs",
                lambda v: Input(**{**v, "strip": Strip(**v["strip"]), "insert": insert_of(v)}),
            ),
            midi=each("midi", _midi_in),
            voices=each("voices", lambda v: Voice(**{**v, "insert": insert_of(v)})),
            players=each("players", lambda v: Player(**{**v, "insert": insert_of(v)})),
            roles=each("roles", lambda v: Role(**v)),
            capture=Capture(**{**d["capture"], "sources": tuple(d["capture"]["sources"])}),
            outputs=each("outputs", lambda v: Output(**{**v, "channels": tuple(v["channels"])})),
            effects=Effects(
                reverb=ReverbSettings(**d["effects"]["reverb"]),
                delay=DelaySettings(**d["effects"]["delay"]),
            ),
            cv=each("cv", cv_from_json),
            groups=Groups(**d["groups"]),
            ducking=Ducking(
                **{**d["ducking"], "by": tuple(d["ducking"]["by"]), "of": tuple(d["ducking"]["of"])}
            ),
            click=Click(**d["click"]),
            cv_in=each("cv_in", lambda v: CvIn(**v)),
            routes=each("routes", lambda v: Route(**v)),
            clock=Clock(**{**d["clock"], "listen": tuple(d["clock"]["listen"])}),
            surfaces=each("surfaces", lambda v: Surface(**{**v, "pages": tuple(v["pages"])})),
            vibes=each("vibes", _vibe),
            songs=each("songs", Song.from_dict),
        )


def _vibe(d: dict[str, Any]) -> Vibe:
    return Vibe(**{**d, "players": {n: tuple(v) for n, v in d["players"].items()}})


def _midi_in(saved: dict[str, Any]) -> MidiIn:
    controls = {key: Control(**c) for key, c in saved["controls"].items()}
    return MidiIn(**{**saved, "controls": controls})
