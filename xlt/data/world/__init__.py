"""An authored multilingual world: what can be said (meaning.yaml), and how each language says it (one file a language)."""
