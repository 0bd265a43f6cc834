"""Thin Jina adapters, one Executor a file: a DocList to arrays, a call of the library, the answer back.

An Executor declares the endpoints that it has work for. The gateway does not send it others (`serving/jina/router.py`);
Jina passes documents through where one comes all the same.

No module here imports `annotations` from `__future__`: Jina reads the types of the endpoints as they stand, and takes
a type given as a string for its legacy document.
"""
