"""Readers: each yields records, nothing is opened before it is asked for."""
