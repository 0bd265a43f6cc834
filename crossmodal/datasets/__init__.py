"""Readers of data sets: each yields records lazily and opens no picture."""
