"""The stages: one file each, one function that reads like the pipeline."""
