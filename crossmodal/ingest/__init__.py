"""Indexing: brings a collection in step with the records of a data set."""
