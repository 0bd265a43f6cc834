"""Compares text-to-image search by words with search by their dense vectors on held-out pictures: recall and cost.

    python benchmarks/eval_sparse.py [-d scenes] [--weights clip:scenes] [--scenes 4000] [-n N] [--split S]
                                     [--set NAME=VALUE] [--png PATH] [--json PATH]

Trains both recipes on the train split and tunes the fusion on dev; takes a few minutes on two cores, mostly for
encoding. The rows: the dense vectors; the thesis's recipe with each scoring; the distilled recipe; BM25 over the other
captions of each picture, which the other rows do not use; the tuned fusion of all; and the fusion of vectors and words
without captions.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from common import write_figures
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cli import sparse_model
from cli.recipe_settings import with_settings
from crossmodal.core.protocols import Encoder
from crossmodal.core.settings import Settings
from crossmodal.evaluation.encoding import EncodedSplit
from crossmodal.evaluation.fusion_tuning import matches_of_parts, tune
from crossmodal.evaluation.lexical import KS, figures, ranks_of_scores, recall_table
from crossmodal.evaluation.term_ranking import dense_figures, scores_of_all, sparse_figures
from crossmodal.lexical.model import SparseModel
from crossmodal.lexical.terms import TermVocabulary
from crossmodal.search.fusion import DEPTH, Fusion, fuse
from crossmodal.training.distilled_heads import DenseToSparseTraining
from crossmodal.training.term_weights import HeadRecipe, train_model
from crossmodal.training.thesis_heads import ThesisTraining

THESIS, DISTILLED = "(a) thesis", "(b) dense-to-sparse"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--data-set", default="scenes")
    parser.add_argument("--split", default="test")
    parser.add_argument("--weights", help="the dense encoder, FAMILY:WEIGHTS")
    parser.add_argument("--scenes", type=int, default=4000, help="number of training pictures with -d scenes")
    parser.add_argument("-n", "--num-docs", type=int, help="maximum number of training pictures")
    parser.add_argument("--min-df", type=int, default=2)
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="setting of the distilled recipe"
    )
    parser.add_argument("--pool", type=Path, help="folder for the drawn scenes")
    parser.add_argument("--png")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows = measure(arguments, arguments.pool or Path(temporary))
    table = recall_table(rows)
    widths = [max(map(len, column)) for column in zip(table.headings, *table.rows, strict=True)]
    for row in (table.headings, *table.rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if arguments.png:
        draw_recalls({name: row for name, row in rows.items() if not name.endswith(", dev")}, Path(arguments.png))
    best, dense = rows[DISTILLED], rows["dense"]
    result = {"r10_dense": dense["R@10"], "r10_sparse": best["R@10"]}
    result |= {"r1_sparse": best["R@1"], "mrr_sparse": best["MRR"]}
    result |= {"r10_thesis": rows[f"{THESIS}, dot"]["R@10"], "terms_per_image": best["terms_per_image"]}
    if "vectors and words" in rows:
        result["r10_vectors_and_words"] = rows["vectors and words"]["R@10"]
    result |= {"most_terms": best["most_terms_of_an_image"], "postings": best["postings"], "p50_ms": best["p50_ms"]}
    write_figures(arguments.json, result)


def measure(arguments: argparse.Namespace, pool: Path) -> dict[str, dict[str, Any]]:
    settings = Settings(
        data_set=arguments.data_set, split=arguments.split, weights=arguments.weights, num_docs=arguments.num_docs
    )
    began = time.monotonic()
    encoder = sparse_model.base_encoder(settings)
    train, dev = sparse_model.training_splits(encoder, settings, arguments.scenes, pool)
    test = sparse_model.captioned_split(encoder, Settings(data_set=arguments.data_set, split=arguments.split))
    vocabulary = TermVocabulary.fit(train.captions, arguments.min_df)
    print(f"{len(train.images)} pictures for training, {len(test.images)} for testing, {len(vocabulary)} words, "
          f"encoded in {time.monotonic() - began:.0f} s")  # fmt: skip
    rows: dict[str, dict[str, Any]] = {"dense": dense_figures(test)}
    thesis = trained(ThesisTraining(), encoder, vocabulary, train, dev)
    for scoring in ("dot", "activation-idf", "tf-idf"):
        rows[f"{THESIS}, {scoring}"] = sparse_figures(thesis, test, scoring)
    model = trained(with_settings(DenseToSparseTraining(), arguments.set), encoder, vocabulary, train, dev)
    rows[DISTILLED] = sparse_figures(model, test, "dot")
    tuned = tune(matches_of_parts(model, dev), dev.image_of, len(dev.images))
    print("chosen on dev:", tuned["best"], "of", ", ".join(tuned["parts"]))
    if arguments.split != "dev":
        rows |= {f"{name}, dev": row for name, row in tuned["rows"].items()}
    else:
        rows["rrf"] = tuned["rows"]["rrf"]
    rows |= joined(model, test, Fusion.parse(tuned["best"]))
    return rows | without_captions(model, dev, test)


def without_captions(model: SparseModel, dev: EncodedSplit, test: EncodedSplit) -> dict[str, dict[str, Any]]:
    """The fusion of vectors and learned words tuned on dev, without captions; empty if the model has only vectors."""
    parts = [{k: v for k, v in matches_of_parts(model, split).items() if k != "bm25"} for split in (dev, test)]
    if len(parts[0]) < 2:
        return {}
    chosen = tune(parts[0], dev.image_of, len(dev.images))["best"]
    print("chosen on dev without captions:", chosen, "of", ", ".join(parts[0]))
    scores, keys = fuse(list(parts[1].values()), Fusion.parse(chosen), DEPTH)
    ranks = ranks_of_scores(scores_of_all(scores, keys, len(test.images)), test.image_of)
    return {"vectors and words": figures(ranks)}


def joined(model: SparseModel, test: EncodedSplit, fusion: Fusion) -> dict[str, dict[str, Any]]:
    """BM25 alone and the fusion of all parts, on the test pictures."""
    matches = matches_of_parts(model, test)
    n_images, rows = len(test.images), {}
    wanted = {"bm25": [matches["bm25"]]} if "bm25" in matches else {}
    for name, parts, how in [*((name, part, Fusion()) for name, part in wanted.items()),
                             ("hybrid", list(matches.values()), fusion)]:  # fmt: skip
        scores, keys = fuse(parts, how, DEPTH)
        rows[name] = figures(ranks_of_scores(scores_of_all(scores, keys, n_images), test.image_of))
    return rows


def trained(
    recipe: HeadRecipe, encoder: Encoder, vocabulary: TermVocabulary, train: EncodedSplit, dev: EncodedSplit
) -> SparseModel:
    began = time.monotonic()
    model, history = train_model(recipe, encoder, vocabulary, train, dev, lambda line: None)
    print(f"{type(recipe).__name__}: {len(history)} epochs in {time.monotonic() - began:.0f} s")
    return model


def draw_recalls(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Writes a PNG with the recall of each row by k."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, row in rows.items():
        axes.plot(KS, [row[f"R@{k}"] for k in KS], marker="o", markersize=3, label=name)
    axes.set(xlabel="k", ylabel="recall@k, text to image", xscale="log", ylim=(0, 1.02))
    axes.set_xticks(KS, [str(k) for k in KS])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside right upper")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
