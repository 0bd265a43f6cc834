"""Writes sidecars to a folder, or beside the pictures. Originals are only ever named, never opened for writing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from crossmodal.core.errors import InputError
from crossmodal.core.files import write_atomically
from crossmodal.core.os_errors import reason
from crossmodal.images.sources import is_object_url
from crossmodal.metadata.xmp import read_xmp
from crossmodal.saving.chosen import Chosen
from crossmodal.saving.names import UniqueNames
from crossmodal.saving.sidecar import is_own, keywords_of, sidecar, sidecar_name, with_keywords

Outcome = Literal["written", "merged", "unchanged"]


@dataclass(frozen=True)
class SidecarPlan:
    """What is written, and where.

    Attributes:
        folder: The folder of the sidecars; None for that of each picture.
        keywords: Keywords besides the picture's own.
        has_captions: Whether the captions are the description.
        merges: Whether keywords are added to sidecars of other programs, which otherwise are left as they are.
        is_dry: Whether nothing is written.
    """

    folder: Path | None
    keywords: Sequence[str] = ()
    has_captions: bool = False
    merges: bool = False
    is_dry: bool = False


@dataclass
class SidecarReport:
    """The numbers of sidecars by what was done, the paths of those written or changed, and why others were not."""

    written: int = 0
    merged: int = 0
    unchanged: int = 0
    without_keywords: int = 0
    """Pictures that have nothing to write."""
    paths: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        refused = [{"path": path, "reason": why} for path, why in self.refused]
        return {**vars(self), "refused": refused}


def write_sidecars(pictures: Sequence[Chosen], plan: SidecarPlan, advance: Callable[[], None]) -> SidecarReport:
    """Writes the sidecar of each picture that has a keyword, or a description.

    Args:
        pictures: The pictures.
        plan: What to write, and where.
        advance: Called after each picture.
    """
    report, names = SidecarReport(), UniqueNames()
    given: set[Path] = set()
    for picture in pictures:
        keywords = keywords_of(picture, plan.keywords)
        description = "\n".join(picture.captions) if plan.has_captions else ""
        has_any = bool(keywords or description)
        report.without_keywords += not has_any
        for path in _targets(picture, plan, names, report) if has_any else ():
            if path in given:  # of a RAW file with the same name, but for the ending
                path = path.with_name(f"{picture.filename}.xmp")
            given.add(path)
            try:
                outcome = _write(path, keywords, description, plan)
            except (InputError, OSError) as error:
                report.refused.append((str(path), reason(error, path) if isinstance(error, OSError) else str(error)))
                continue
            setattr(report, outcome, getattr(report, outcome) + 1)
            if outcome != "unchanged":
                report.paths.append(str(path))
        advance()
    return report


def _targets(picture: Chosen, plan: SidecarPlan, names: UniqueNames, report: SidecarReport) -> Iterator[Path]:
    """The path of a picture's sidecar, if it can have one."""
    if plan.folder is not None:
        yield plan.folder / sidecar_name(names.of(picture.filename))
        return
    original = Path(picture.document.uri)
    if not picture.document.uri or is_object_url(picture.document.uri):
        report.refused.append((picture.filename, "it has no file here: write its sidecar to a folder with --out"))
    elif not original.is_file():
        report.refused.append((str(original), "the file is gone"))
    else:
        yield original.with_name(sidecar_name(original.name))


def _write(path: Path, keywords: Sequence[str], description: str, plan: SidecarPlan) -> Outcome:
    """Writes a sidecar, and returns what was done; keywords that one has already stay in it.

    Raises:
        InputError: There is a sidecar of another program, which may not be changed or is no XMP.
        OSError: It can't be written.
    """
    outcome: Outcome = "written"
    content = sidecar(keywords, description)
    if os.path.lexists(path):
        if path.is_symlink():
            raise InputError("it is a symbolic link, which is not followed")
        found = path.read_bytes()
        if is_own(found):
            known = read_xmp(found).properties
            kept = dict.fromkeys([*known.get("dc:subject", ()), *keywords])
            content = sidecar(list(kept), description or known.get("dc:description", ("",))[0])
        else:
            if not plan.merges:
                raise InputError("another program wrote it: add the keywords to it with --merge")
            content, outcome = with_keywords(found, keywords), "merged"
        if content == found:
            return "unchanged"
    if not plan.is_dry:
        write_atomically(path, content)
    return outcome
