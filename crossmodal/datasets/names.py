"""From the name that a caption file writes to the picture it means.

A name means the picture with the longest matching end of the path. Separators, `./`, surrounding blanks, the Unicode
form and the case may differ; where several pictures fit then, the one that is written most alike is meant, and where
that is not one either, the name is ambiguous.

A name may be shorter than the picture's path (`a.jpg` for `cats/a.jpg`) where only one picture fits. An absolute path,
which may be of another machine, may be longer (`/home/me/pictures/a.jpg`): it is taken where the part that matches is
the end of no other picture, or where the next folder matches as well. A relative path with a folder that is not here
means a picture that is not here. An ending that is left out is not guessed.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

_DRIVE = re.compile(r"[A-Za-z]:")


def parts_of(name: str) -> list[str]:
    """The folders and the file of a path, however it separates them; `a/./b/../c.jpg` is a, c.jpg."""
    parts: list[str] = []
    for part in name.replace("\\", "/").split("/"):
        part = part.strip()
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def fold(name: str) -> str:
    """What two spellings of one path have in common.

    Source: Unicode 15, section 3.13, D145 (canonical caseless matching).
    """
    cleaned = "/".join(parts_of(name))
    if cleaned.isascii():
        return cleaned.lower()
    return normalize("NFC", normalize("NFD", cleaned).casefold())


_FORMS = (
    lambda name: name,
    lambda name: "/".join(parts_of(name)),
    lambda name: normalize("NFC", "/".join(parts_of(name))),
    fold,
)


def difference(written: str, path: str) -> int:
    """How far two paths, one of which is the end of the other, are from being written alike: 0 is the same text,
    1 other separators or blanks, 2 another Unicode form, 3 other case.
    """
    for level, form in enumerate(_FORMS):
        one, other = "/" + form(written), "/" + form(path)
        if one.endswith(other) or other.endswith(one):
            return level
    return len(_FORMS)


def listed(names: Sequence[str], at_most: int = 3) -> str:
    """The first few of several names, and how many more there are."""
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more


@dataclass(frozen=True)
class _Fit:
    """A picture that a name may mean.

    `length` counts the parts that match; `is_whole`: it is the whole path, from the pictures' or the captions' folder
    on; `beyond` are the leading parts of the name that nothing here matches.
    """

    picture: int
    length: int
    is_whole: bool
    beyond: tuple[str, ...] = ()


class PictureNames:
    """The pictures of a folder by every name that may be written for them.

    Args:
        paths: The pictures, relative to `root`, with `/` between folders.
        root: The folder they lie in.
        base: The folder of the captions: `root`, or one above it.
    """

    def __init__(self, paths: Sequence[str], root: Path, base: Path) -> None:
        self._paths, self._root = paths, root
        top = Path(os.path.abspath(root))
        self._root_parts = [fold(part) for part in top.parts[1:]]
        self._from_base = [fold(part) for part in top.relative_to(os.path.abspath(base)).parts]
        self._by_path: dict[str, list[int]] = defaultdict(list)
        self._by_end: dict[str, list[int]] = defaultdict(list)
        for picture, path in enumerate(paths):
            folded = fold(path)
            self._by_path[folded].append(picture)
            while folded:
                self._by_end[folded].append(picture)
                folded = folded.partition("/")[2]

    def resolve(self, names: Iterable[str], loose: Set[str] = frozenset()) -> tuple[dict[str, int], dict[str, str]]:
        """The picture of each name, as its place in `paths`; and of the other names, why they have none.

        Args:
            names: As they are written.
            loose: Relative names whose leading folders need not be here.
        """
        found: dict[str, int] = {}
        refused: dict[str, str] = {}
        claims: dict[tuple[int, str], dict[str, tuple[str, ...]]] = defaultdict(dict)
        for name in names:
            fits = self._fits(name, is_free=bool(_machine(name)) or name in loose)
            if not fits:
                refused[name] = f"there is no such picture in {self._root}{self._of_that_name(name)}"
            elif len(fits) > 1:
                several = listed([self._paths[fit.picture] for fit in fits])
                refused[name] = f"it fits several pictures ({several}): write more of its path"
            else:
                [fit] = fits
                found[name] = fit.picture
                if fit.is_whole or fit.beyond:
                    claims[fit.picture, _machine(name)][name] = fit.beyond
        # Names in different folders of one machine are different pictures, of which at most one is here.
        for (picture, _), by_name in claims.items():
            if len(set(by_name.values())) > 1:
                for name in [name for name, beyond in by_name.items() if beyond]:
                    others = listed([other for other, beyond in by_name.items() if beyond != by_name[name]])
                    refused[name] = f"only its end fits {self._paths[picture]}, and so does that of {others}"
                    del found[name]
        return found, refused

    def _of_that_name(self, name: str) -> str:
        """The pictures in other folders whose files are called so, for a message."""
        same = self._by_end.get(fold(name).rpartition("/")[2], [])
        return f"; the file name is that of {listed([self._paths[picture] for picture in same])}" if same else ""

    def _fits(self, name: str, *, is_free: bool) -> list[_Fit]:
        """The pictures that a name fits best: one, or several where that is not clear.

        `is_free`: whether the name may start with folders that are not here.
        """
        parts = fold(name).split("/")
        fits = [
            _Fit(picture, len(parts), is_whole=self._paths[picture].count("/") + 1 == len(parts))
            for picture in self._by_end.get("/".join(parts), ())
        ]
        for start in range(1, len(parts)):
            end = "/".join(parts[start:])
            pictures = self._by_path.get(end, [])
            above = _same_end(parts[:start], self._root_parts)
            if above or len(self._by_end.get(end, ())) == len(pictures):
                is_whole, beyond = parts[:start] == self._from_base, tuple(parts[: start - above])
                if beyond and not is_free:
                    continue
                fits += [_Fit(p, len(parts) - start + above, is_whole, beyond) for p in pictures]
        longest = max((fit.length for fit in fits), default=0)
        fits = [fit for fit in fits if fit.length == longest]
        if len(fits) < 2:
            return fits
        differences = {fit: difference(name, self._paths[fit.picture]) for fit in fits}
        least = min(differences.values())
        whole = [fit for fit in fits if fit.is_whole] or fits
        best = [fit for fit in whole if differences[fit] == least]
        return best or fits


def _same_end(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of the last parts are the same."""
    n = 0
    while n < min(len(one), len(other)) and one[-1 - n] == other[-1 - n]:
        n += 1
    return n


def _machine(name: str) -> str:
    """What an absolute path starts with, which tells apart machines; nothing for a relative one."""
    is_absolute = name.startswith(("/", "\\")) or _DRIVE.match(name)
    return next(iter(parts_of(name)), "").lower() if is_absolute else ""
