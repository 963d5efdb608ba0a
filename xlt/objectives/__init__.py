"""What a model learns: one file and one YAML per objective (Protocol in `xlt.types`)."""
