"""Lexical search: terms, BM25, inverted indexes, and the learned sparse model."""
