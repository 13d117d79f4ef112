"""The one table of what a patch and a rig may hold: for each dataclass of engine/patch.py and
engine/rig.py, each field's kind (engine/patch_kinds.py; the rig's part is engine/rig_fields.py).

The reader (engine/patch_read.py) and the JSON schema (engine/patch_schema.py) are both derived from
it; a test holds its names against the dataclasses.
"""

from __future__ import annotations

from engine.ask import CAPTURE_BARS
from engine.control_fields import CONTROL_FIELDS, CONTROLS
from engine.layout import MAX_LATENTS, MAX_PLAYERS, MAX_VOICES
from engine.patch import (
    BUSES,
    EFFECTS,
    GROUPS,
    MONITORS,
    PAGES,
    Audio,
    Capture,
    Click,
    Clock,
    Cv,
    DelaySettings,
    Ducking,
    Effects,
    Groups,
    Input,
    Insert,
    MidiIn,
    Output,
    Patch,
    Player,
    ReverbSettings,
    Role,
    Strip,
    Surface,
    Vibe,
    Voice,
)
from engine.patch_cv import CV_KINDS, IN_KINDS, MAPS, SHAPES, CvIn, Route
from engine.patch_kinds import (
    BLOCK,
    CHANNELS,
    DEVICE,
    DRY,
    FULL_SCALE,
    GAIN,
    OFFSET,
    POLARITY,
    PORT,
    RATE,
    ROUND_TRIP,
    TUNING,
    Channel,
    Choice,
    Field,
    Flag,
    Free,
    ListOf,
    MapOf,
    Named,
    Number,
    SendsTo,
    Table,
    Text,
)
from engine.rig_fields import RIG_FIELDS
from engine.song import Ending, Scene, ScenePart, SetEntry, SetList, Song
from engine.stem import VARIATIONS, Play
from engine.timeline import BPM_MAX, BPM_MIN, Boundary

SENDS = Field(SendsTo(GAIN))
PROGRAM = Number(0, 127, whole=True)
BPM = Number(BPM_MIN, BPM_MAX, "beats a minute")
BEATS_PER_BAR = Number(1, 32, "beats", whole=True)
BARS_PER_PHRASE = Number(1, 64, "bars", whole=True)
INSERT = Field(Table(Insert), optional=True)
KEY = Number(0, 11, "semitones above C", whole=True)
WRITTEN = Number(-24, 24, "semitones above what sounds", whole=True)
PEDAL_ACTIONS = (
    "next_song", "next_scene", "standby", "end", "this_is_one", "tap", "let_in", "next", "click",
    "stop_all", "reload",
)  # fmt: skip

FIELDS: dict[type, dict[str, Field]] = {
    Patch: {
        "name": Field(Text("a name")),
        "soundfont": Field(Text("the path of a SoundFont (.sf2)"), optional=True),
        "armed": Field(Flag()),
        "tuning_hz": Field(TUNING),
        "audio": Field(Table(Audio)),
        "inputs": Field(Named(Input, 32)),
        "midi": Field(Named(MidiIn, 16)),
        "voices": Field(Named(Voice, MAX_VOICES)),
        "players": Field(Named(Player, MAX_PLAYERS)),
        "roles": Field(Named(Role, 16)),
        "capture": Field(Table(Capture)),
        "outputs": Field(Named(Output, len(BUSES), BUSES), required=True),
        "effects": Field(Table(Effects)),
        "groups": Field(Table(Groups)),
        "ducking": Field(Table(Ducking)),
        "click": Field(Table(Click)),
        "cv": Field(Named(Cv, 16)),
        "cv_in": Field(Named(CvIn, 8)),
        "routes": Field(Named(Route, 16)),
        "clock": Field(Table(Clock)),
        "surfaces": Field(Named(Surface, 8)),
        "vibes": Field(Named(Vibe, 8)),
        "songs": Field(Named(Song, 64)),
    },
    Audio: {
        "device": Field(DEVICE),
        "rate": Field(RATE),
        "block": Field(BLOCK),
        "round_trip_ms": Field(ROUND_TRIP),
    },
    Input: {
        "channel": Field(Channel(), optional=True),
        "stream": Field(Text("performer or the name of a player"), optional=True),
        "trim_db": Field(GAIN),
        "dry": Field(DRY),
        "written": Field(WRITTEN),
        "strip": Field(Table(Strip)),
        "to": SENDS,
        "insert": INSERT,
        "late_ms": Field(Number(0, 1000, "ms"), optional=True),
    },
    Insert: {
        "vst3": Field(Text("the path of a VST3 plug-in"), optional=True),
        "plugin": Field(Text("the name of one of the plug-ins in the file"), optional=True),
        "parameters": Field(Free("a mapping of the plug-in's parameters to values")),
        "send": Field(Choice(MONITORS), optional=True),
        "returns": Field(Text("the name of an input"), optional=True),
    },
    Strip: {
        "highpass_hz": Field(Number(10, 2000, "Hz"), optional=True),
        "gate_db": Field(Number(-100, 0, "dBFS"), optional=True),
        "low_db": Field(Number(-24, 24, "dB"), optional=True),
        "mid_db": Field(Number(-24, 24, "dB"), optional=True),
        "high_db": Field(Number(-24, 24, "dB"), optional=True),
        "compressor_db": Field(Number(-60, 0, "dBFS"), optional=True),
    },
    MidiIn: {
        "port": Field(Text(PORT.what, regex=True, empty=True)),
        "voice": Field(Text("the name of a voice"), optional=True),
        "channel": Field(Number(1, 16, whole=True), optional=True),
        "transpose": Field(Number(-48, 48, "semitones", whole=True)),
        "dry_cc": Field(Number(0, 119, whole=True), optional=True),
        "master_cc": Field(Number(0, 119, whole=True), optional=True),
        "pedals": Field(
            MapOf(
                Number(0, 119, "(a controller)", whole=True),
                "a mapping of actions to controllers, such as {next_song: 80}",
                PEDAL_ACTIONS,
            )
        ),
        "controls": Field(CONTROLS),
        "foot_switches": Field(Flag()),
        "written": Field(WRITTEN),
    },
    Voice: {
        "program": Field(PROGRAM),
        "bank": Field(Number(0, 16383, whole=True)),
        "drums": Field(Flag()),
        "gain_db": Field(GAIN),
        "to": SENDS,
        "insert": INSERT,
    },
    Player: {
        "model": Field(Text("the name of a model"), required=True),
        "listens": Field(Text("the name of an input or a MIDI input"), required=True),
        "voice": Field(Text("the name of a voice"), optional=True),
        "midi_out": Field(PORT, optional=True),
        "checkpoint": Field(Text("the path of a checkpoint"), optional=True),
        "to": SENDS,
        "config": Field(Free()),
        "insert": INSERT,
    },
    Role: {
        "maker": Field(Text("the name of a model")),
        "bars": Field(Number(1, 64, "bars", whole=True)),
        "program": Field(PROGRAM),
        "density": Field(Number(0, 1)),
        "gain_db": Field(GAIN),
        "enter": Field(Choice(tuple(b.value for b in Boundary))),
        "leave": Field(Choice(tuple(b.value for b in Boundary)), optional=True),
        "play": Field(Choice(tuple(p.value for p in Play))),
        "choke": Field(Text("the name of a choke group", empty=True)),
        "voice": Field(Text("the name of a voice", empty=True)),
        "folder": Field(Text("the path of a folder of sound files"), optional=True),
        "ahead": Field(Number(1, VARIATIONS, "stems", whole=True)),
        "to": SENDS,
        "config": Field(Free()),
    },
    Groups: {name: Field(GAIN) for name in GROUPS},
    Ducking: {
        "by": Field(ListOf(Text("the name of an input"), 0, 32)),
        "of": Field(ListOf(Choice(GROUPS[1:]), 1, 2)),
        "threshold_db": Field(Number(-90, 0, "dBFS")),
        "depth_db": Field(Number(0, 60, "dB")),
        "attack_ms": Field(Number(1, 1000, "ms")),
        "release_ms": Field(Number(1, 10000, "ms")),
    },
    Click: {"to": SENDS},
    Effects: {
        "reverb": Field(Table(ReverbSettings)),
        "delay": Field(Table(DelaySettings)),
    },
    ReverbSettings: {
        "decay_s": Field(Number(0.1, 20, "s")),
        "damping": Field(Number(0, 1)),
    },
    DelaySettings: {
        "beats": Field(Number(0.0625, 4, "beats")),
        "feedback": Field(Number(0, 0.9)),
    },
    Capture: {
        "kept": Field(Number(0, 16, "stems", whole=True)),
        "bars": Field(Choice(CAPTURE_BARS)),
        "sources": Field(ListOf(Text("input.NAME, voice.NAME or texture.NAME"), 0, 32)),
    },
    Output: {
        "channels": Field(CHANNELS),
        "limit": Field(Flag()),
        "level_db": Field(GAIN),
    },
    Cv: {
        "channel": Field(Channel()),
        "source": Field(Text("the name of what it is made from", empty=True)),
        "kind": Field(Choice(CV_KINDS)),
        "volts_full_scale": Field(FULL_SCALE),
        "offset_volts": Field(OFFSET),
        "polarity": Field(POLARITY),
        "gate_volts": Field(Number(0, 12, "V")),
        "volts": Field(Number(-12, 12, "V")),
        "centre_volts": Field(Number(-12, 12, "V")),
        "width_ms": Field(Number(0.1, 1000, "ms")),
        "attack_ms": Field(Number(0, 60000, "ms")),
        "decay_ms": Field(Number(0, 60000, "ms")),
        "sustain": Field(Number(0, 1)),
        "release_ms": Field(Number(0, 60000, "ms")),
        "shape": Field(Choice(SHAPES)),
        "hz": Field(Number(0.001, 100, "Hz")),
        "beats": Field(Number(0.0625, 256, "beats"), optional=True),
        "phase": Field(Number(0, 1, "cycles")),
        "seed": Field(Number(0, 2**31 - 1, whole=True)),
        "ppqn": Field(Number(1, 48, "pulses a beat", whole=True)),
        "every": Field(Choice(("bar", "phrase"))),
        "calibration": Field(Text("the path of a calibration file"), optional=True),
        "table": Field(ListOf(ListOf(Number(-200, 200), 2, 2), 0, 128)),
    },
    CvIn: {
        "kind": Field(Choice(IN_KINDS)),
        "channel": Field(Channel(), optional=True),
        "volts_full_scale": Field(FULL_SCALE),
        "offset_volts": Field(OFFSET),
        "polarity": Field(POLARITY),
        "low_volts": Field(Number(-12, 12, "V")),
        "high_volts": Field(Number(-12, 12, "V")),
        "smooth_ms": Field(Number(0, 10000, "ms")),
        "freeze": Field(Text("the name of a gate in cv_in"), optional=True),
        "sample": Field(Text("the name of a gate in cv_in"), optional=True),
        "map": Field(Choice(MAPS)),
        "hz": Field(Number(0.001, 20, "Hz")),
        "seed": Field(Number(0, 2**31 - 1, whole=True)),
    },
    Route: {
        "source": Field(Text("the name of a cv_in"), required=True),
        "to": Field(
            Text("send.SOURCE.BUS, latent.PLAYER.N, density.ROLE or generate.NAME"), required=True
        ),
        "low": Field(Number(-90, 24)),
        "high": Field(Number(-90, 24)),
    },
    Clock: {
        "bpm": Field(BPM),
        "beats_per_bar": Field(BEATS_PER_BAR),
        "bars_per_phrase": Field(BARS_PER_PHRASE),
        "key": Field(KEY),
        "minor": Field(Flag()),
        "source": Field(Choice(("internal", "listener"))),
        "listen": Field(ListOf(Text("the name of an input"), 0, 32)),
    },
    Song: {
        "bpm": Field(BPM, optional=True),
        "beats_per_bar": Field(BEATS_PER_BAR, optional=True),
        "bars_per_phrase": Field(BARS_PER_PHRASE, optional=True),
        "key": Field(KEY, optional=True),
        "minor": Field(Flag(), optional=True),
        "count_in": Field(Number(0, 8, "bars", whole=True)),
        "enter": Field(Choice(("bar", "phrase"))),
        "scenes": Field(Named(Scene, 16)),
        "ending": Field(Table(Ending)),
    },
    Scene: {
        "stems": Field(Named(ScenePart, 16)),
        "voices": Field(MapOf(Flag(), "a mapping of voices to true or false")),
        "players": Field(MapOf(Flag(), "a mapping of players to true or false")),
        "mix": Field(
            MapOf(
                SendsTo(GAIN),
                "a mapping of sources to buses and dB, such as {stems.bass: {main: -6}}",
            )
        ),
        "glide": Field(Number(0, 64, "beats")),
        "enter": Field(Choice(("bar", "phrase"))),
    },
    ScenePart: {
        "play": Field(Flag()),
        "density": Field(Number(0, 1), optional=True),
        "program": Field(PROGRAM, optional=True),
    },
    Ending: {
        "kind": Field(Choice(("phrase", "fill", "fade"))),
        "bars": Field(Number(1, 64, "bars", whole=True)),
        "role": Field(Text("the name of a role"), optional=True),
    },
    SetList: {
        "name": Field(Text("a name")),
        "songs": Field(ListOf(Table(SetEntry), 1, 64), required=True),
    },
    SetEntry: {
        "patch": Field(Text("the path of a patch"), required=True),
        "song": Field(Text("the name of a song"), optional=True),
    },
    Surface: {
        "kind": Field(Choice(("launchpad",))),
        "port": Field(PORT, optional=True),
        "driver": Field(Choice(("mk3", "launchpad-py", "pro"))),
        "pages": Field(ListOf(Choice(PAGES), 0, len(PAGES))),
    },
    Vibe: {
        "text": Field(Text("a few words", empty=True)),
        "density": Field(MapOf(Number(0, 1), "a mapping of roles to 0-1, such as {drums: 0.8}")),
        "players": Field(
            MapOf(
                ListOf(Number(-1, 1), 1, MAX_LATENTS),
                "a mapping of players to lists of controls, such as {mist: [0.5, -1]}",
            )
        ),
    },
    **CONTROL_FIELDS,
    **RIG_FIELDS,
}

SEND_NAMES = (*BUSES, *EFFECTS)
