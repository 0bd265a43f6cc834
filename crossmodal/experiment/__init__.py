"""Experiments: every layer of several models on one set of pictures, measured with several metrics."""
