"""Rule-based stem maker: the fallback that always answers. Nothing to train, no weights."""

ADAPTER = "models.rules.adapter:RulesMaker"
KIND = "stems"
