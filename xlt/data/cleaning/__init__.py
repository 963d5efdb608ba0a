"""Cleaning of plain text: a pipeline of small filters, a verdict per row, a report per language. The open group conf/cleaning."""
