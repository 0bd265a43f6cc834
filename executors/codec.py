"""Reads and writes documents as docarray's protobuf messages, faster than docarray and with checks that it lacks.

Every part of a Flow reads and writes every document, and docarray looks each field up several times before it
recognizes a text or a number. Clients also send messages: the bytes of an array must match its shape (docarray fills
missing ones with zeros), and only the kinds of values of this schema are read.
"""

import math
from typing import Any

import numpy as np
from docarray import DocList
from docarray.proto import NodeProto

_PLAIN = {str: "text", bool: "boolean", int: "integer", float: "float"}
"""Types of plain values, with the name of their field in a node; `bool` precedes `int`, its base class."""
_PLAIN_NAMES = frozenset(_PLAIN.values())
_LISTS = ("list", "tuple", "set")
_NUMBERS = "biuf"
"""The kinds of numpy dtypes that can be sent: numbers, but no objects or texts."""


def write_value(node: Any, value: Any) -> None:
    """Writes a value into an empty node; None leaves it empty.

    Raises:
        TypeError: No field has values of this type.
    """
    if name := _PLAIN.get(type(value)):
        setattr(node, name, value)
    elif isinstance(value, dict):
        node.dict.SetInParent()
        for key, item in value.items():
            write_value(node.dict.data[key], item)
    elif isinstance(value, DocList):
        node.doc_array.SetInParent()
        for doc in value:
            doc.write_to(node.doc_array.docs.add())
    elif isinstance(value, np.ndarray):
        dense = node.ndarray.dense
        dense.buffer, dense.dtype = value.tobytes(), value.dtype.str
        dense.shape.extend(value.shape)
        node.type = "ndarray"
    elif isinstance(value, list | tuple | set):
        items = getattr(node, type(value).__name__)
        items.SetInParent()
        for item in value:
            write_value(items.data.add(), item)
    elif value is not None:
        _write_subclass(node, value)


def _write_subclass(node: Any, value: Any) -> None:
    """Writes a value of a subclass of a plain type, such as one of numpy's numbers."""
    name = next((name for kind, name in _PLAIN.items() if isinstance(value, kind)), None)
    if name is None:
        raise TypeError(f"a value of type {type(value).__name__} can't be sent")
    setattr(node, name, value)


def read_value(node: NodeProto, doc_list: Any = None) -> Any:
    """The value of a node, an array read-only; `doc_list` is the type of the field's nested documents, if it has any.

    Raises:
        ValueError: No field has values of this kind, or the bytes of an array don't match its shape.
    """
    kind = node.WhichOneof("content")
    if kind in _PLAIN_NAMES:
        return getattr(node, kind)
    if kind == "dict":
        data = node.dict.data
        return {key: read_value(data[key]) for key in data}
    if kind in _LISTS:
        return [read_value(item) for item in getattr(node, kind).data]
    if kind == "ndarray":
        return _read_array(node.ndarray.dense)
    if kind == "doc_array" and doc_list is not None:
        return doc_list.construct([doc_list.doc_type.from_protobuf(message) for message in node.doc_array.docs])
    if kind is None:
        return None
    raise ValueError(f"no field has values of the kind {kind!r}")


def _read_array(dense: Any) -> np.ndarray[Any, Any]:
    dtype = np.dtype(dense.dtype)
    if dtype.kind not in _NUMBERS:
        raise ValueError(f"an array of dtype {dense.dtype[:20]!r}: expected numbers")
    content, n_bytes = dense.buffer, math.prod(dense.shape) * dtype.itemsize  # each access copies the bytes
    if n_bytes != len(content):
        raise ValueError(f"an array of {len(content)} bytes: expected {n_bytes}, by its shape")
    return np.frombuffer(content, dtype).reshape(tuple(dense.shape))
