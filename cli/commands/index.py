"""crossmodal index."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cli.commands import Command
from cli.options import (
    EncoderOptions,
    ExcludeOptions,
    IndexKindOptions,
    JsonOptions,
    LocationOptions,
    ModelOptions,
    NewCollectionOptions,
    ReplicaOptions,
    RequestOptions,
    SplitOptions,
    VocabularyOptions,
)
from cli.parameters import FILE, flag, option
from cli.printing import say, say_json
from cli.wording import with_commands

if TYPE_CHECKING:
    from crossmodal.collection.collection import Collection
    from crossmodal.core.types import ModelSpec
    from crossmodal.ocr.job import OcrReport


@dataclass(frozen=True, kw_only=True)
class IndexOptions(
    SplitOptions,
    ExcludeOptions,
    NewCollectionOptions,
    ModelOptions,
    VocabularyOptions,
    IndexKindOptions,
    EncoderOptions,
    RequestOptions,
    LocationOptions,
    JsonOptions,
):
    """Options of `index`."""

    by_flow: ClassVar[bool] = False
    """Whether to index through a Flow."""

    prune: bool = flag("--prune", help="Remove pictures and captions that are no longer in the data set.")
    confirmed: bool = flag("--yes", help="With --prune: confirm the removal of more than a quarter of the collection.")
    report: Path | None = option("--report", type=FILE, help="Write the outcome of every record, as JSON.")
    ocr: bool = flag("--ocr", help="Also read the text in new pictures, as `ocr` does; takes many times as long.")
    strict: bool = flag("--strict", help="Exit with 1 if any record failed.")


@dataclass(frozen=True, kw_only=True)
class IndexTaskOptions(IndexOptions, ReplicaOptions):
    """Options of `app.py -t index`, which indexes through a Flow."""

    by_flow: ClassVar[bool] = True


def run(options: IndexOptions) -> int:
    """Prints the outcome of every record; returns 1 if nothing was indexed, or with `strict` if a record failed."""
    from cli.index import run as index
    from crossmodal.collection.encoder import engine_of
    from crossmodal.collection.lifecycle import describe_indexes

    settings = options.settings()
    if options.ocr:
        from crossmodal.ocr.reader import engine_name

        engine_name()  # an error before indexing rather than after it
    collection, report = index(
        settings,
        by_flow=options.by_flow,
        prune=options.prune,
        confirmed=options.confirmed,
        index_config=options.index_config(),
    )
    read = _read_text(collection, settings.threads) if options.ocr else None
    engine = engine_of(collection, settings.engine, lambda _: None)  # indexing has said it
    if options.as_json:
        of_text = {} if read is None else {"text": read.to_dict()}
        say_json({**report.to_dict(), "engine": asdict(engine), **of_text})
    else:
        say(with_commands(_model_and_terms(collection.model)), f"engine: {engine}", *report.lines())
        if read is not None:
            say(*read.lines())
        elif report.counts["image"]["indexed"]:
            _say_not_read(collection)
        for name, index_of in describe_indexes(collection).items():
            say(f"index: {index_of.vectors} {name} vectors, {index_of.kind}: {index_of.why}")
        say(f"collection: {collection.root}")
    if options.report:
        report.write(options.report)
    if report.refusal:
        say(*f"error: {report.refusal}".split("\n"), err=True)
        return 1
    return 0 if report.anything_indexed and not (options.strict and report.failures) else 1


def _read_text(collection: Collection, threads: int) -> OcrReport:
    from cli.ocr import run as read_text
    from crossmodal.ocr.worker import LIMIT_S

    return read_text(collection, threads=threads, limit_s=LIMIT_S)


def _say_not_read(collection: Collection) -> None:
    from cli.ocr import say_not_read

    say_not_read(collection)


def _model_and_terms(model: ModelSpec) -> str:
    """The model of a collection, its terms, and the command that changes to a larger one."""
    from crossmodal.core.families import FAMILIES
    from crossmodal.encoders.catalogue import terms_of
    from crossmodal.encoders.registry import PHOTOS

    larger = f"-m {model.family} --weights {FAMILIES[model.family].larger_weights}" if model.weights == PHOTOS else ""
    hint = f"; for a larger model, -t reindex {larger}" if larger else ""
    return f"model: {model}; terms: {terms_of(model)}{hint}"


COMMAND = Command(
    IndexOptions,
    run,
    "Add the pictures and captions of a data set to a collection.\n\n"
    "DATA_SET is a folder of pictures, a caption file, or one of toy-data, scenes, f8k, f30k and coco. "
    "Documents that are already indexed are not encoded again.",
    (
        ("", "the toy data that comes with the program"),
        ("~/Pictures", "a folder"),
        ("~/Pictures --prune", "also remove what is no longer in the folder"),
        ("~/pets -m timm --weights resnet101", "for similar pictures, with any timm backbone"),
    ),
    IndexTaskOptions,
)
