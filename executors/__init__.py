"""Thin Jina adapters, one Executor per file: convert a DocList to arrays, call the library, store the result.

An Executor declares the endpoints that it handles. The gateway does not send it others (`serving/jina/router.py`); if
one arrives anyway, Jina returns the documents unchanged.

No module here imports `annotations` from `__future__`: Jina reads the types of the endpoints, and treats a type given
as a string as its legacy document.
"""
