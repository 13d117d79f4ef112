"""aubio as the listener: beats, onsets, pitch and level of live inputs. No weights."""

ADAPTER = "models.aubio.adapter:AubioListener"
KIND = "listener"
