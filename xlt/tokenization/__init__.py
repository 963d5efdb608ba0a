"""From text to ids: training tokenizers, loading them, and measuring how fairly they treat each language."""
