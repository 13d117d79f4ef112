"""Notochord 0.8 answers notes with notes; see card.md. Imports nothing heavy."""

ADAPTER = "models.notochord.adapter:NotochordPlayer"
KIND = "notes"
