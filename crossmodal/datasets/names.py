"""Resolution of the picture names in a caption file to the pictures of a folder.

A name resolves to the picture whose path has the longest matching end. Separators, `./`, surrounding blanks, the
Unicode form and the case may differ; if several pictures match, the most similar spelling wins, and if that is not
unique, the name is ambiguous.

A name may be shorter than the picture's path (`a.jpg` for `cats/a.jpg`) if only one picture matches. An absolute path,
perhaps from another machine, may be longer (`/home/me/pictures/a.jpg`): it resolves if the matching part is the end of
no other picture's path, or if the next folder matches as well. A relative path with an unknown folder resolves to
nothing. A missing file extension is not guessed.
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
    """The folders and the file of a path with either separator, normalised; `a/./b/../c.jpg` is a, c.jpg."""
    parts: list[str] = []
    for part in name.replace("\\", "/").split("/"):
        part = part.strip()
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def fold(name: str) -> str:
    """A key that is equal for all spellings of a path.

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


def difference(name: str, path: str) -> int:
    """How the spellings of two paths differ, one of which is the end of the other.

    0 is the same text, 1 other separators or blanks, 2 another Unicode form, 3 other case; 4 if neither is the other's
    end.
    """
    for level, form in enumerate(_FORMS):
        name_form, path_form = "/" + form(name), "/" + form(path)
        if name_form.endswith(path_form) or path_form.endswith(name_form):
            return level
    return len(_FORMS)


def listed(names: Sequence[str], at_most: int = 3) -> str:
    """The first names, comma-separated, and the number of further ones."""
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more


@dataclass(frozen=True)
class _Candidate:
    """A picture that a name may resolve to.

    Attributes:
        picture: Index of the picture.
        length: Number of matching path parts.
        is_whole: Whether the name is the whole path relative to the pictures' or the captions' folder.
        beyond: Leading parts of the name that match no folder.
    """

    picture: int
    length: int
    is_whole: bool
    beyond: tuple[str, ...] = ()


class PictureNames:
    """The pictures of a folder, searchable by every spelling of their names.

    Args:
        paths: Paths of the pictures relative to `root`, with `/` between folders.
        root: The folder of the pictures.
        base: The folder of the captions: `root` or one of its parents.
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
        """The index in `paths` of each resolved name, and the reason for each unresolved one.

        Args:
            names: Picture names as the caption file spells them.
            loose: Relative names whose leading folders need not exist.
        """
        resolved: dict[str, int] = {}
        unresolved: dict[str, str] = {}
        claims: dict[tuple[int, str], dict[str, tuple[str, ...]]] = defaultdict(dict)
        for name in names:
            candidates = self._candidates(name, may_be_longer=bool(_machine(name)) or name in loose)
            if not candidates:
                unresolved[name] = f"there is no such picture in {self._root}{self._same_file_name(name)}"
            elif len(candidates) > 1:
                paths = listed([self._paths[candidate.picture] for candidate in candidates])
                unresolved[name] = f"it fits several pictures ({paths}): write more of its path"
            else:
                [candidate] = candidates
                resolved[name] = candidate.picture
                if candidate.is_whole or candidate.beyond:
                    claims[candidate.picture, _machine(name)][name] = candidate.beyond
        # Names in different folders of one machine are different pictures; at most one of them can be this picture.
        for (picture, _), by_name in claims.items():
            if len(set(by_name.values())) > 1:
                for name in [name for name, beyond in by_name.items() if beyond]:
                    others = listed([other for other, beyond in by_name.items() if beyond != by_name[name]])
                    unresolved[name] = f"only its end fits {self._paths[picture]}, as does the end of {others}"
                    del resolved[name]
        return resolved, unresolved

    def _same_file_name(self, name: str) -> str:
        """The end of an error message that lists pictures of the same file name in other folders."""
        same = self._by_end.get(fold(name).rpartition("/")[2], [])
        return f"; pictures of this file name: {listed([self._paths[picture] for picture in same])}" if same else ""

    def _candidates(self, name: str, *, may_be_longer: bool) -> list[_Candidate]:
        """The pictures that match a name best; several if the name is ambiguous.

        `may_be_longer`: whether the name may start with folders that don't exist here.
        """
        parts = fold(name).split("/")
        candidates = [
            _Candidate(picture, len(parts), is_whole=self._paths[picture].count("/") + 1 == len(parts))
            for picture in self._by_end.get("/".join(parts), ())
        ]
        for start in range(1, len(parts)):
            end = "/".join(parts[start:])
            pictures = self._by_path.get(end, [])
            above = _same_end(parts[:start], self._root_parts)
            if above or len(self._by_end.get(end, ())) == len(pictures):
                is_whole, beyond = parts[:start] == self._from_base, tuple(parts[: start - above])
                if beyond and not may_be_longer:
                    continue
                candidates += [_Candidate(p, len(parts) - start + above, is_whole, beyond) for p in pictures]
        longest = max((candidate.length for candidate in candidates), default=0)
        candidates = [candidate for candidate in candidates if candidate.length == longest]
        if len(candidates) < 2:
            return candidates
        differences = {candidate: difference(name, self._paths[candidate.picture]) for candidate in candidates}
        least = min(differences.values())
        whole = [candidate for candidate in candidates if candidate.is_whole] or candidates
        best = [candidate for candidate in whole if differences[candidate] == least]
        return best or candidates


def _same_end(first: Sequence[str], second: Sequence[str]) -> int:
    """The number of trailing parts that are equal."""
    n = 0
    while n < min(len(first), len(second)) and first[-1 - n] == second[-1 - n]:
        n += 1
    return n


def _machine(name: str) -> str:
    """The first part of an absolute path, which distinguishes machines; empty for a relative path."""
    is_absolute = name.startswith(("/", "\\")) or _DRIVE.match(name)
    return next(iter(parts_of(name)), "").lower() if is_absolute else ""
