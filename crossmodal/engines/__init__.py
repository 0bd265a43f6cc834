"""Engines: how a network runs, separately from what it computes."""
