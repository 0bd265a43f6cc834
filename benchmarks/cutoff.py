"""AUROC of telling queries that match a picture from queries that match none; relevance against the plain cosine.

    python benchmarks/cutoff.py [--pictures 300] [--collections 4] [--weights scenes] [--json PATH]
    python benchmarks/cutoff.py --photographs FOLDER [--split dev] [--weights photos] [--json PATH]

Scenes, for which the truth is known: a collection is drawn from 1,000 held-out scenes and lacks one shape, one colour
and one background, so that "hearts" can also be a query without a match. It is calibrated as `-t index` does, with five
captions a picture. Half of the queries are full captions in wordings that are not in the collection, half of them about
pictures in it and half about others. The other half are short ("red circle", "hearts", "three small green stars"), of
eleven kinds with as many true as false queries each, so that a query's kind says nothing.

- `auroc`: of all queries, by the relevance of the best result; `_captions` and `_short`: of each half;
- `cosine_...`, `z_score_...`, `no_captions_...`: the same by the greatest cosine, by its distance from the query's
  other scores, and by the relevance of a collection without captions;
- `right_...`: share of queries for which `fits` (a relevance of at least 0.5) is correct;
- `auroc_picture`: of query pictures that search for captions: redrawn scenes of the collection against other scenes.

The figures are means over the collections.

`--photographs` takes a folder of photographs. With captions, half of its pictures form the collection; the queries are
the first captions of all pictures, which the calibration does not use: `auroc_photographs` is of those whose picture is
in the collection against the others. Without captions, half of its class folders form the collection; the queries are
the names of all classes, alone, as "a X" and as "a photo of a X" (`auroc_no_captions`). The figures compare the
greatest relevance among the ten best pictures; `auroc_cosine` compares the greatest cosine.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
from common import write_figures
from cutoff_measures import Figures, Model, auroc, greatest, means, sample_of
from cutoff_scenes import on_scenes

from crossmodal.core.types import ImageRecord, Vectors
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.images.decode import decode
from crossmodal.images.sources import of_record
from crossmodal.relevance import calibration as calibrating
from crossmodal.relevance.calibration import Sample
from crossmodal.relevance.phrases import general_phrases
from crossmodal.relevance.rules import FITS_FROM, Rule


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--collections", type=int, default=4)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--weights", help="default: scenes, or photos with --photographs")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    model = Model(arguments.weights or ("photos" if arguments.photographs else models.SCENES))
    if arguments.photographs:
        figures = on_photographs(model, arguments.photographs, arguments.split, arguments.collections)
    else:
        figures = on_scenes(model, arguments.collections, arguments.pictures)
    write_figures(arguments.json, figures)


def on_photographs(model: Model, folder: Path, split: str | None, n_collections: int) -> Figures:
    records = [record for record in data_sets.read(str(folder), split) if isinstance(record, ImageRecord)]
    images = model.images([decode(of_record(record))[0] for record in records])
    captioned = [len(record.captions) > 1 for record in records]
    if any(captioned):
        kept = [record for record, is_captioned in zip(records, captioned, strict=True) if is_captioned]
        return means(with_captions(model, kept, images[captioned], n_collections))
    return means(without_captions(model, records, images, n_collections))


def with_captions(model: Model, records: list[ImageRecord], images: Vectors, n_collections: int) -> Iterator[Figures]:
    queries = model.texts([record.captions[0] for record in records])
    for number in range(n_collections):
        order = Random(f"photographs-{number}").sample(range(len(records)), len(records))
        inside = order[: len(order) // 2]
        sample = sample_of(model, images[inside], [list(records[i].captions[1:]) for i in inside])
        phrases = calibrating.phrases(sample.captions)
        vectors = model.texts(list(phrases))
        plain = calibrating.fit_text_to_image(sample, phrases, vectors)
        rule = plain and calibrating.fit_with_captions(sample, phrases, vectors, plain)
        if plain is None or rule is None:
            raise SystemExit(
                "calibration failed: the model's scores are unrelated to the captions; choose other --weights"
            )
        is_true = np.isin(np.arange(len(records)), inside)
        yield photograph_figures("photographs", sample, queries, rule, is_true)


def without_captions(
    model: Model, records: list[ImageRecord], images: Vectors, n_collections: int
) -> Iterator[Figures]:
    folders = np.array([record.path.parent.name for record in records])
    names = sorted(set(folders))
    forms = [f"{form}{name.replace('_', ' ')}" for form in ("", "a ", "a photo of a ") for name in names]
    queries, phrases = model.texts(forms), model.texts(list(general_phrases()))
    for number in range(n_collections):
        present = Random(f"classes-{number}").sample(names, len(names) // 2)
        sample = sample_of(model, images[np.isin(folders, present)], [])
        rule = calibrating.beside_phrases(sample.images, phrases, len(sample.images))
        if rule is None:
            raise SystemExit(f"{len(sample.images)} pictures are too few: calibration needs {calibrating.LEAST}")
        yield photograph_figures("no_captions", sample, queries, rule, np.isin([*names] * 3, present))


def photograph_figures(name: str, sample: Sample, queries: Vectors, rule: Rule, is_true: np.ndarray) -> Figures:
    scores = queries @ sample.images.T
    relevance = greatest(rule, sample, queries, scores)
    fits = relevance >= FITS_FROM
    cosine = auroc(scores.max(axis=1), is_true)
    return {
        f"auroc_{name}": auroc(relevance, is_true), "auroc_cosine": cosine,
        "over_cosine": auroc(relevance, is_true) - cosine, "right": float((fits == is_true).mean()),
        "fits_of_present": float(fits[is_true].mean()), "fits_of_absent": float(fits[~is_true].mean()),
        "pictures": len(sample.images), "queries": len(queries),
    }  # fmt: skip


if __name__ == "__main__":
    main()
