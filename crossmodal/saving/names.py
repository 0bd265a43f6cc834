"""Names of saved files: safe on every system, and different from each other."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_MAX_BYTES = 200
"""File systems allow 255, some endings are added."""


def safe_name(name: str) -> str:
    r"""A name without the characters that a file system may refuse, and never a path.

    >>> safe_name("../../etc/passwd"), safe_name("a:b.jpg"), safe_name("...")
    ('passwd', 'a_b.jpg', 'picture')
    """
    last = re.split(r"[/\\]", name)[-1]
    cleaned = _UNSAFE.sub("_", last).strip(" .")
    if not cleaned or _RESERVED.fullmatch(cleaned):
        cleaned = f"picture{cleaned and '-'}{cleaned}"
    path = PurePosixPath(cleaned)
    suffix = path.suffix if len(path.suffix.encode()) <= 20 else ""
    stem = cleaned.removesuffix(suffix).encode()[: _MAX_BYTES - len(suffix.encode())].decode(errors="ignore")
    return stem + suffix


class UniqueNames:
    """Gives names that differ also where upper and lower case are the same.

    >>> names = UniqueNames()
    >>> [names.of(name) for name in ("a.jpg", "A.jpg", "a (2).jpg", "a.jpg")]
    ['a.jpg', 'A (2).jpg', 'a (2) (2).jpg', 'a (3).jpg']
    """

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def of(self, name: str) -> str:
        """The safe name, with a number if it was given before."""
        name = safe_name(name)
        suffix = PurePosixPath(name).suffix
        stem, given = name.removesuffix(suffix), name
        while given.casefold() in self._next:
            number = self._next[name.casefold()] = self._next.get(name.casefold(), 1) + 1
            given = f"{stem} ({number}){suffix}"
        self._next.setdefault(given.casefold(), 1)
        return given
