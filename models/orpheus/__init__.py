"""Orpheus Music Transformer as a stem maker; a small model of the same architecture ships."""

ADAPTER = "models.orpheus.adapter:OrpheusMaker"
KIND = "stems"
