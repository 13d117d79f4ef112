"""Sound files from outside, read where it is safe to fail: the command line, never the audio
process. Any rate, width and channel count that libsndfile knows; resampled to ours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

BYTES_MAX = 4 << 30
SECONDS_MAX = 4 * 3600.0
CHANNELS_MAX = 64


class AudioFileError(Exception):
    """A file that cannot be used: what was found, what was expected."""


def read_audio(path: Path, rate: int) -> np.ndarray:
    """float32 (frames, channels) at `rate`. Raises AudioFileError."""
    if not path.is_file():
        raise AudioFileError(f"{path}: no such file")
    if path.stat().st_size > BYTES_MAX:
        raise AudioFileError(f"{path}: {path.stat().st_size} bytes, at most {BYTES_MAX}")
    try:
        with soundfile.SoundFile(path) as file:
            if file.channels > CHANNELS_MAX:
                raise AudioFileError(f"{path}: {file.channels} channels, at most {CHANNELS_MAX}")
            if file.frames > SECONDS_MAX * file.samplerate:
                raise AudioFileError(f"{path}: longer than {SECONDS_MAX / 3600:g} hours")
            audio = file.read(dtype="float32", always_2d=True)
            found = file.samplerate
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as error:
        raise AudioFileError(
            f"{path}: not a sound file that can be read ({error}); expected WAV, FLAC, OGG or AIFF"
        ) from error
    if not len(audio):
        raise AudioFileError(f"{path}: no frames in it")
    if not np.isfinite(audio).all():
        raise AudioFileError(f"{path}: holds values that are not finite numbers")
    return audio if found == rate else _resampled(audio, found, rate)


def _resampled(audio: np.ndarray, found: int, rate: int) -> np.ndarray:
    from pedalboard.io import StreamResampler

    resampler = StreamResampler(float(found), float(rate), audio.shape[1])
    parts = [resampler.process(np.ascontiguousarray(audio.T)), resampler.process(None)]
    return np.ascontiguousarray(np.concatenate(parts, axis=1).T, dtype=np.float32)
