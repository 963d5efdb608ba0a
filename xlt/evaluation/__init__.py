"""Scoring: the one prediction loop, and what transfer means in numbers."""
