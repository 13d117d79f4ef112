"""What a patch or a rig may say of a control (engine/patch_controls.py), as engine/patch_fields.py
has it for the rest of a patch."""

from __future__ import annotations

from engine.ask import CAPTURE_BARS
from engine.conductor_hands import ACTIONS
from engine.layout import MAX_LATENTS
from engine.patch import BUSES, EFFECTS
from engine.patch_controls import FOR_PADS, KEY_EXPECTED, KEY_FORM, MASTER, Control
from engine.patch_kinds import Choice, Field, Named, Number, Text
from engine.stem import VARIATIONS
from engine.strip import SETTINGS

# Every action but those that pads alone can mean.
CONTROL_ACTIONS = (*sorted(ACTIONS.keys() - FOR_PADS), MASTER)
CONTROLS = Named(Control, 128, pattern=KEY_FORM, form=KEY_EXPECTED)
END = Number(-1000, 20000, "dB, or the setting's unit")
CONTROL_FIELDS: dict[type, dict[str, Field]] = {
    Control: {
        "do": Field(Choice(CONTROL_ACTIONS), required=True),
        "role": Field(Text("the name of a role"), optional=True),
        "source": Field(Text("a source of the mix, such as input.trombone"), optional=True),
        "bus": Field(Choice((*BUSES, *EFFECTS)), optional=True),
        "setting": Field(Choice(tuple(SETTINGS)), optional=True),
        "variation": Field(Number(1, VARIATIONS, whole=True), optional=True),
        "bars": Field(Choice(CAPTURE_BARS), optional=True),
        "what": Field(Text("the name of a song, scene, player, mood or route"), optional=True),
        "number": Field(Number(1, MAX_LATENTS, "(of a player's controls)", True), optional=True),
        "value": Field(Number(-1000, 1000), optional=True),
        "low": Field(END, optional=True),
        "high": Field(END, optional=True),
    }
}
