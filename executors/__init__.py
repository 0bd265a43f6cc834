"""Thin Jina adapters, one Executor a file: a DocList to arrays, the library's call, the answer back.

No module here imports `annotations` from `__future__`: Jina reads the endpoints' types as they stand, and
takes a type given as a string for its legacy document, whose fields no `when:` condition matches.
"""
