"""Rules by which users leave files out: `.crossmodalignore` files and `--exclude`, both as in `.gitignore`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pathspec import GitIgnoreSpec

from crossmodal.core.errors import InputError
from crossmodal.core.os_errors import read_failure

IGNORE_FILE = ".crossmodalignore"
EXCLUDE = "--exclude"


class _Patterns(NamedTuple):
    """The patterns of a source, `EXCLUDE` or `IGNORE_FILE`, which are relative to a folder."""

    source: str
    folder: str
    spec: GitIgnoreSpec


class IgnoreRules:
    """The rules for a folder and all folders below it.

    The last matching pattern of a file decides, a deeper file precedes a higher one, and `--exclude` precedes all
    files. A path below a folder that is left out can't be included again, because that folder is not searched.

    Source: gitignore(5).
    """

    def __init__(self, root: Path, patterns: Sequence[str] = ()) -> None:
        """Takes the patterns of `--exclude`, which are relative to `root`.

        Raises:
            InputError: A pattern is invalid.
        """
        self._root = os.path.abspath(root)
        try:
            self._excluded = [_Patterns(EXCLUDE, self._root, GitIgnoreSpec.from_lines(patterns))] if patterns else []
        except ValueError as error:
            raise InputError(f"{EXCLUDE}: {error}: write it as in a .gitignore file") from error
        self._of_folder: dict[str, list[_Patterns]] = {}

    def enter(self, folder: str) -> None:
        """Reads the file of `root` or of a folder below it, after those of the folders between.

        Args:
            folder: The absolute path.

        Raises:
            InputError: The file can't be read, is not UTF-8, or has an invalid pattern.
        """
        above = os.path.dirname(folder)
        if folder != self._root and above not in self._of_folder:
            self.enter(above)
        inherited = self._of_folder.get(above, []) if folder != self._root else []
        path = Path(folder, IGNORE_FILE)
        try:
            lines = path.read_text("utf8").removeprefix("\ufeff").splitlines()
        except FileNotFoundError:
            self._of_folder[folder] = inherited
            return
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} {read_failure(error, path)}") from error
        try:
            spec = GitIgnoreSpec.from_lines(lines)
        except ValueError as error:
            raise InputError(f"{path}: {error}: write it as in a .gitignore file") from error
        self._of_folder[folder] = [_Patterns(IGNORE_FILE, folder, spec), *inherited]

    def left_out_by(self, folder: str, name: str, *, is_folder: bool = False) -> str:
        """The source whose pattern leaves out an entry of an entered folder; empty if none does."""
        path = f"{folder}/{name}{'/' if is_folder else ''}"
        for source, base, spec in (*self._excluded, *self._of_folder[folder]):
            is_matched = spec.check_file(path[len(base) + 1 :]).include
            if is_matched is not None:
                return source if is_matched else ""
        return ""
