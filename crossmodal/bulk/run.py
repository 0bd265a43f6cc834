"""A bulk encoding: cuts the list of pictures into parts, encodes those that are not finished, and reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from crossmodal.bulk.encoding import PartEncoder
from crossmodal.bulk.inputs import Input
from crossmodal.bulk.parts import PART_SIZE, EncodedPart, Part, Summary, cut, write
from crossmodal.collection.parquet_file import ParquetFile
from crossmodal.collection.transfer import Origin, parts_in
from crossmodal.core.errors import StateError
from crossmodal.core.report import Report
from crossmodal.core.settings import MetadataChoice
from crossmodal.core.types import Failure, ModelSpec, Skipped

Encode = Callable[[Iterator[Part]], Iterator[tuple[Part, EncodedPart | str]]]
"""Encodes parts, in any order; the result of a part is its file, or why it could not be encoded."""


@dataclass
class Outcome:
    """The outcome of every picture, and the numbers of parts: encoded in this run, and found finished."""

    report: Report = field(default_factory=lambda: Report(outcomes=("encoded", "unchanged", "failed")))
    encoded: int = 0
    finished: int = 0


def origin_of_parts(folder: Path) -> Origin | None:
    """The origin of the vectors of a folder of parts; None if it has no part.

    Raises:
        InputError: The first file is damaged, or not a part.
    """
    for path in parts_in(folder):
        with ParquetFile(path) as file:
            return Origin.of(file)
    return None


def check_origin(folder: Path, found: Origin, model: ModelSpec) -> None:
    """Checks that the parts of a folder have vectors of `model`.

    Raises:
        StateError: They have those of another one; the message names both.
    """
    if found.model != model:
        raise StateError(
            f"{folder} has parts of {found.model}, not of {model}: "
            f"use `-m {found.model.family} --weights {found.model.weights}`, or another folder with --out"
        )


def run(
    records: Iterable[Input | Failure | Skipped],
    folder: Path,
    encode: Encode,
    *,
    part_size: int = PART_SIZE,
    metadata: MetadataChoice = "all",
    progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Encodes pictures into the parts of a folder; parts that are finished are not encoded again.

    Args:
        records: The pictures; failures and skipped files of their reader are reported.
        folder: The folder of the parts; it is created if missing.
        encode: Encodes the parts that are not finished.
        part_size: Pictures per part, on average.
        metadata: The metadata of pictures that becomes tags.
        progress: Called with the number of further pictures that are finished.

    Raises:
        StateError: A part can't be written, or encoding failed as a whole. Written parts are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = _Run(folder, progress)
    for part, result in encode(state.unfinished(cut(state.inputs(records), part_size, metadata))):
        state.finish(part, result)
    state.note_others()
    return state.outcome


def encode_here(encoder: PartEncoder) -> Encode:
    """Encodes parts in this process."""

    def encode(parts: Iterator[Part]) -> Iterator[tuple[Part, EncodedPart | str]]:
        for part in parts:
            yield part, encoder.encode(part)

    return encode


@dataclass
class _Run:
    """The state of a run; `names` are the files of its parts."""

    folder: Path
    progress: Callable[[int], None]
    outcome: Outcome = field(default_factory=Outcome)
    names: set[str] = field(default_factory=set)

    def inputs(self, records: Iterable[Input | Failure | Skipped]) -> Iterator[Input]:
        """The pictures; reports the other records."""
        for record in records:
            if isinstance(record, Input):
                yield record
            elif isinstance(record, Failure):
                self.outcome.report.fail(record)
            else:
                self.outcome.report.skipped.append(record)

    def unfinished(self, parts: Iterable[Part]) -> Iterator[Part]:
        """The parts to encode; counts the others."""
        for part in parts:
            self.names.add(part.name)
            summary = Summary.of(self.folder / part.name)
            if summary is None:
                yield part
            else:
                self.outcome.finished += 1
                self._count(summary, "unchanged")
                self.progress(len(part.inputs))

    def finish(self, part: Part, result: EncodedPart | str) -> None:
        """Writes a part, or reports why it could not be encoded."""
        if isinstance(result, str):
            for item in part.inputs:
                self.outcome.report.fail(Failure(item.uri, result))
        else:
            write(self.folder, part, result)
            self.outcome.encoded += 1
            self._count(result.summary, "encoded")
        self.progress(len(part.inputs))

    def _count(self, summary: Summary, outcome: str) -> None:
        report = self.outcome.report
        report.counts["image"][outcome] += summary.images + summary.copies
        report.counts["text"][outcome] += summary.captions
        for failure in summary.failures:
            report.fail(failure)
        report.notes += summary.notes

    def note_others(self) -> None:
        """Notes parts of other lists of pictures, since `import` adds them, too."""
        others = [path.name for path in parts_in(self.folder) if path.name not in self.names]
        if others:
            self.outcome.report.note(
                str(self.folder),
                f"{len(others)} parts are of other pictures, or of an earlier state of these, such as {others[0]}: "
                "`import` adds them, too; remove them if they are out of date",
            )
