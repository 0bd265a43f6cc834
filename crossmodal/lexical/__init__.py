"""Search by words: terms, BM25, inverted indexes, and the learned sparse model."""
