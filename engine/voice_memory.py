"""What a sampler voice was told beside its notes: controllers, pitch bend, programme.

Kept in the audio process's state, so that a successor's voices sound like their predecessor's.
Real-time safe: a few assignments an event.
"""

from __future__ import annotations

import numpy as np

from engine.layout import NoteKind

UNSET = -1
BANK, BANK_FINE, DATA, DATA_FINE = 0, 32, 6, 38
NRPN_FINE, NRPN, RPN_FINE, RPN = 98, 99, 100, 101
SOUNDS_OFF, RESET, NOTES_OFF = 120, 121, 123
SUSTAIN, SUSTAINED_FROM = 64, 64  # the pedal's controller, and the value from which on it is down
BEND_MIDDLE = 8192
PARAMETERS = 3  # registered ones: bend range, fine and coarse tuning
ONES_OWN = {
    BANK, BANK_FINE, DATA, DATA_FINE, NRPN_FINE, NRPN, RPN_FINE, RPN, SOUNDS_OFF, RESET, NOTES_OFF
}  # fmt: skip
PLAIN = [c for c in range(128) if c not in ONES_OWN]

# UNSET: never told. parameters: 14 bits of each registered parameter, for players set one, and then
# choose none.
VOICE_MEMORY = np.dtype(
    [
        ("controls", "i1", (128,)),
        ("parameters", "<i2", (PARAMETERS,)),
        ("bend", "<i2"),
        ("program", "<i2"),
    ]
)

Told = tuple[int, int, int]  # kind, key, value, as in layout.NOTE


def forget(memory: np.ndarray) -> None:
    """Nothing told yet. memory: VOICE_MEMORY, any shape."""
    for name in VOICE_MEMORY.names or ():
        memory[name] = UNSET


def remember(memory: np.void, kind: int, key: int, value: int) -> None:
    """One CC, BEND or PROGRAM. memory: one voice's; key 0..127, value 0..16383."""
    if kind == NoteKind.BEND:
        memory["bend"] = value
    elif kind == NoteKind.PROGRAM:
        memory["program"] = min(value, 127)
    elif kind == NoteKind.CC and key == RESET:
        memory["controls"] = memory["parameters"] = UNSET
        memory["controls"][RESET] = 0
    elif kind == NoteKind.CC and key not in (SOUNDS_OFF, NOTES_OFF):
        controls = memory["controls"]
        controls[key] = min(value, 127)
        if key in (NRPN, NRPN_FINE):
            controls[RPN] = controls[RPN_FINE] = 127  # none
        elif (
            key in (DATA, DATA_FINE) and not controls[RPN] and 0 <= controls[RPN_FINE] < PARAMETERS
        ):
            coarse, fine = max(0, int(controls[DATA])), max(0, int(controls[DATA_FINE]))
            memory["parameters"][controls[RPN_FINE]] = coarse << 7 | fine


def told(memory: np.void) -> list[Told]:
    """What to tell a fresh voice so that it is as this one was. Not real-time safe."""
    controls = memory["controls"].tolist()

    def control(*keys: int) -> list[Told]:
        return [(NoteKind.CC, key, controls[key]) for key in keys if controls[key] != UNSET]

    again = control(RESET, BANK, BANK_FINE)
    if memory["program"] != UNSET:
        again.append((NoteKind.PROGRAM, 0, int(memory["program"])))
    for parameter, data in enumerate(memory["parameters"].tolist()):
        if data != UNSET:
            again += [(NoteKind.CC, RPN, 0), (NoteKind.CC, RPN_FINE, parameter)]
            again += [(NoteKind.CC, DATA, data >> 7), (NoteKind.CC, DATA_FINE, data & 127)]
    again += control(RPN, RPN_FINE, *PLAIN)
    if memory["bend"] != UNSET:
        again.append((NoteKind.BEND, 0, int(memory["bend"])))
    return again
