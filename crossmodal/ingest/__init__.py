"""Indexing: updates a collection to the records of a data set."""
