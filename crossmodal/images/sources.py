"""The encoded bytes of a picture from a data URI, a regular file, or a record of a data set."""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote_to_bytes

from crossmodal.core.errors import PictureError, TooLargeError
from crossmodal.core.types import ImageRecord, image_id
from crossmodal.images.decode import MAX_BYTES

_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*)(;base64)?,", re.ASCII | re.IGNORECASE)


def is_data_uri(uri: str) -> bool:
    """Whether a text starts like a data URI; it may be malformed."""
    return uri[:5].lower() == "data:"


def is_object_url(uri: str) -> bool:
    """Whether a text is the address of an object, or of a prefix, in an object store."""
    return uri.startswith("s3://")


def from_data_uri(uri: str) -> bytes:
    """The bytes of a data URI (RFC 2397).

    Raises:
        PictureError: The MIME type is not a picture's, or the URI or its base64 is malformed.
    """
    match = _DATA_URI.match(uri[:300])
    if match is None:
        raise PictureError("not a data URI: expected data:image/...;base64,...")
    mime_type = (match[1] or "text/plain").lower()
    if not mime_type.startswith("image/") and mime_type != "application/octet-stream":
        raise PictureError(f"a data URI of type {mime_type}: expected image/...")
    payload = uri[match.end() :]
    try:
        if not match[3]:
            return unquote_to_bytes(payload)
        return base64.b64decode("".join(payload.split()), validate=True)
    except ValueError as error:  # binascii.Error, or text that is not ASCII
        raise PictureError(f"invalid {'base64' if match[3] else 'data URI'}: {error}") from error


def to_data_uri(content: bytes) -> str:
    """The data URI of encoded bytes whose type is found out by decoding them."""
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


def of_record(record: ImageRecord) -> bytes:
    """The encoded bytes of a record's picture, from its own file or from the file that embeds it.

    Raises:
        PictureError: The picture can't be read or is too large.
    """
    if record.content is None:
        return from_file(record.path)
    content = record.content()
    if len(content) > MAX_BYTES:
        raise PictureError(f"{len(content):,} bytes; the limit is {MAX_BYTES:,}")
    return content


def of_document(document_id: str, paths: Iterable[str]) -> bytes:
    """The encoded bytes of a stored picture from the first of its files that still has it.

    Raises:
        PictureError: None has it; the message is about the first one.
    """
    errors = []
    for path in dict.fromkeys(paths):
        try:
            content = from_uri(path)
            if image_id(content) == document_id:
                return content
            errors.append(PictureError("now contains another picture: index it again"))
        except PictureError as error:
            errors.append(error)
    raise errors[0]


def from_uri(uri: str) -> bytes:
    """The bytes of the file of a stored picture.

    Raises:
        PictureError: As `from_file`, or it is in an object store.
    """
    if is_object_url(uri):
        raise PictureError("is in an object store, which is not read here")
    return from_file(Path(uri))


def from_file(path: Path) -> bytes:
    """The bytes of a regular file; rejects a FIFO or a device without blocking.

    Raises:
        PictureError: The file can't be read, is not a regular file, or is too large.
    """
    descriptor = -1
    try:
        # Non-blocking: opening a FIFO without a writer would block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PictureError("not a regular file")
        if status.st_size > MAX_BYTES:
            raise TooLargeError(f"{status.st_size:,} bytes; the limit is {MAX_BYTES:,}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    except FileNotFoundError as error:
        found = "the file that it links to does not exist" if os.path.islink(path) else error.strerror
        if str(path).startswith(("http:/", "https:/")):
            found = "it is a URL; download the picture and give its file"
        raise PictureError(f"can't be read: {found}") from error
    except OSError as error:
        raise PictureError(f"can't be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        raise PictureError(f"can't be read: {error}") from error
    finally:
        if descriptor >= 0:
            os.close(descriptor)
