"""Pictures in an object store that speaks S3.

Each machine has its own credentials, in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), in `~/.aws`, or
from its role in the cloud.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from crossmodal.core.errors import InputError, PictureError, StateError, TooLargeError
from crossmodal.images.decode import MAX_BYTES


class StoredObject(NamedTuple):
    """An object below a prefix; `name` is relative to it, and `state` changes with the content."""

    url: str
    name: str
    size: int
    state: str


@dataclass(frozen=True)
class ObjectStore:
    """An object store, and how to reach it; `endpoint` is a URL, empty for that of AWS."""

    endpoint: str = ""

    def objects(self, url: str) -> Iterator[StoredObject]:
        """The objects below a prefix, ordered by their folders and names.

        Raises:
            InputError: The bucket or the prefix does not exist, the URL has credentials, or the endpoint is invalid.
            StateError: The object store does not answer, or refuses.
        """
        from pyarrow import fs

        place = checked_place(url).rstrip("/")
        try:
            found = _file_system(self.endpoint).get_file_info(fs.FileSelector(place, recursive=True))
        except FileNotFoundError as error:
            raise InputError(f"{url} does not exist in the object store: check the spelling") from error
        except OSError as error:
            raise StateError(f"{url} can't be listed: {error}") from error
        files = [file for file in found if file.type == fs.FileType.File]
        for file in sorted(files, key=lambda file: file.path.split("/")):
            state = f"{file.size}-{file.mtime_ns}"
            yield StoredObject(f"s3://{file.path}", file.path[len(place) + 1 :], file.size, state)

    def read(self, url: str) -> bytes:
        """The bytes of an object.

        Raises:
            PictureError: It can't be read, or is too large.
        """
        try:
            with _file_system(self.endpoint).open_input_file(checked_place(url)) as file:
                if file.size() > MAX_BYTES:
                    raise TooLargeError(f"{file.size():,} bytes; the limit is {MAX_BYTES:,}")
                content: bytes = file.read()
                return content
        except FileNotFoundError as error:
            raise PictureError("can't be read: the object does not exist") from error
        except OSError as error:
            raise PictureError(f"can't be read: {error}") from error


AWS = ObjectStore()


def checked_place(url: str) -> str:
    """BUCKET/KEY of a URL.

    Raises:
        InputError: The URL has credentials, or no bucket.
    """
    place = url.removeprefix("s3://")
    bucket = place.partition("/")[0]
    if "@" in bucket:
        raise InputError("a URL with credentials is refused, since documents keep it: set AWS_ACCESS_KEY_ID instead")
    if not bucket:
        raise InputError(f"{url} does not name a bucket: expected s3://BUCKET/PREFIX")
    return place


@cache
def _file_system(endpoint: str) -> Any:
    """The object store as a file system, opened once in a process."""
    from pyarrow import fs

    scheme, _, host = endpoint.rpartition("://")
    if scheme not in ("", "http", "https"):
        raise InputError(f"the endpoint of an object store is https://HOST or http://HOST, not {scheme}://")
    return fs.S3FileSystem(endpoint_override=host or None, scheme=scheme or "https")
