"""Bringing two spaces together, and measuring how well they fit: Procrustes, CSLS, word translation, sentence retrieval."""
