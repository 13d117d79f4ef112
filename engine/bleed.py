"""What of our own generated sound comes back through a microphone, taken away again before a
listener or a player hears it: else it answers itself.

The reference is what main has of stems and of the answers' voices: nobody's dry sound, and no
texture, which is made of a musician's sound and would take that along.

A partitioned frequency-domain adaptive filter (overlap-save, NLMS in each bin; J.-S. Soo and K. K.
Pang, IEEE Trans. ASSP 38(2), 1990) learns the way to one microphone. Two filters, after K. Ochiai,
T. Araseki and T. Ogihara (IEEE Trans. Commun. 25(6), 1977): one learns all the time, and what is
heard goes through a copy of it that was taken when it did better, so a musician who plays does not
spoil it. Where so little is left that nobody can have played, the rest is gated: an onset detector
hears drums at -50 dBFS as well as at -20.

Pure: audio in, audio out; frames are the clock. Not real-time safe; any thread.
"""

from __future__ import annotations

import math

import numpy as np

BLOCK = 512  # frames, where those asked for are a multiple
REACH = 6144  # frames, 128 ms at 48 kHz: device, air and the room's first answer
STEP = 0.4
BETTER = 0.9  # of the energy left, for the learning filter to be copied
WORSE = 2.0  # times the other's: it has gone astray, and begins again from there
MEMORY = 0.8  # of the energies compared, a block
FLOOR = 1e-8
OURS = 0.06  # of the energy is left, or less: nobody plays; the gate closes
GATE_FRAMES = 64
SOMEBODY = 0.15  # or more: it opens


class Canceller:
    """One microphone, in blocks of `frames`; no delay."""

    def __init__(self, frames: int) -> None:
        self._block = block = math.gcd(frames, BLOCK)
        bins, parts = block + 1, -(-REACH // block)
        self._past = np.zeros(block)
        self._spectra = np.zeros((parts, bins), complex)
        self._learning = np.zeros((parts, bins), complex)
        self._heard = np.zeros((parts, bins), complex)
        self._power = np.full(bins, FLOOR)
        self._gate = 1.0
        self._left = [0.0, 0.0, 0.0]  # energy: of the microphone, after learning, after heard

    def __call__(self, microphone: np.ndarray, generated: np.ndarray) -> np.ndarray:
        """float (frames,) each; the microphone without us, float64 (frames,)."""
        out = np.empty(len(microphone))
        for a in range(0, len(out), self._block):
            b = a + self._block
            out[a:b] = self._one(microphone[a:b], generated[a:b])
        return out

    def _one(self, microphone: np.ndarray, generated: np.ndarray) -> np.ndarray:
        self._spectra = np.roll(self._spectra, 1, axis=0)
        self._spectra[0] = np.fft.rfft(np.concatenate([self._past, generated]))
        self._past = generated.astype(float)
        power = (np.abs(self._spectra) ** 2).sum(axis=0)
        if power.max() < FLOOR:
            return self._gated(microphone.astype(float), 1.0)
        learning = microphone - self._through(self._learning)
        heard = microphone - self._through(self._heard)
        self._learn(learning, power)
        sounds = (microphone, learning, heard)
        self._left = [
            MEMORY * old + (1.0 - MEMORY) * float((x.astype(float) ** 2).sum())
            for old, x in zip(self._left, sounds, strict=True)
        ]
        whole, learnt, said = self._left
        if learnt < BETTER * min(said, whole):
            self._heard[:] = self._learning
            self._left[2] = learnt
        elif learnt > WORSE * min(said, whole):
            self._learning[:] = self._heard
            self._left[1] = said
        if said > whole:
            return self._gated(microphone.astype(float), 1.0)
        return self._gated(heard, self._opening(microphone, heard))

    def _opening(self, microphone: np.ndarray, heard: np.ndarray) -> float:
        """The gate after this block. A musician opens it at once."""
        whole, _, said = self._left
        now = float((heard**2).sum()) > SOMEBODY * float((microphone.astype(float) ** 2).sum())
        if now or said > SOMEBODY * whole:
            return 1.0
        return 0.0 if said < OURS * whole else self._gate

    def _gated(self, sound: np.ndarray, gate: float) -> np.ndarray:
        before, self._gate = self._gate, gate
        if before == gate == 1.0:
            return sound
        way = np.minimum(np.arange(1, len(sound) + 1) / GATE_FRAMES, 1.0)
        return sound * (before + (gate - before) * way)

    def _through(self, filters: np.ndarray) -> np.ndarray:
        return np.fft.irfft((filters * self._spectra).sum(axis=0))[self._block :]

    def _learn(self, error: np.ndarray, power: np.ndarray) -> None:
        self._power = np.maximum(power, MEMORY * self._power)
        spectrum = np.fft.rfft(np.concatenate([np.zeros(self._block), error]))
        way = np.fft.irfft(np.conj(self._spectra) * (spectrum / (self._power + FLOOR)), axis=1)
        way[:, self._block :] = 0.0
        self._learning += STEP * np.fft.rfft(way, axis=1)
