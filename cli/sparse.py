"""train, evaluate, analyse and tune of learned sparse vectors: pictures as weighted words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from cli.evaluation_set import read_set
from cli.progress import Meter
from cli.train import _with as with_given
from cli.train import splits
from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.os_errors import why_not_writable
from crossmodal.core.protocols import Encoder
from crossmodal.core.settings import Settings
from crossmodal.core.types import ImageRecord, Pixels, Vectors
from crossmodal.datasets import registry as data_sets
from crossmodal.datasets.scenes import caption_seed
from crossmodal.encoders import registry as models
from crossmodal.evaluation import lexical as measures
from crossmodal.evaluation.recall import Ranks
from crossmodal.images.decode import decode
from crossmodal.images.geometry import fit
from crossmodal.images.sources import of_record
from crossmodal.lexical.bm25 import Bm25
from crossmodal.lexical.inverted import SparseIndex
from crossmodal.lexical.model import SparseModel
from crossmodal.lexical.scoring import Scoring
from crossmodal.lexical.terms import TermVocabulary
from crossmodal.scenes import language
from crossmodal.search.fusion import DEPTH, FUSION_NAME, Answer, Fusion, candidates, shares

BATCH, TEXT_BATCH = 64, 256
HISTORY, CURVES, FUSION = "history.json", "recalls.png", FUSION_NAME

Report = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    """What to train, and on which words.

    `recipe` is `thesis` or `dense-to-sparse`. `n_scenes` are drawn where `-d scenes` is trained on. A word is
    kept that is in at least `min_df` captions and at most the share `max_df` of them.
    """

    recipe: str = "dense-to-sparse"
    n_scenes: int = 8000
    min_df: int = 2
    max_df: float = 1.0


def train(settings: Settings, out: Path | None, given: Sequence[str], report: Report) -> Path:
    """Trains heads on an encoder and returns the folder, which `-m sparse --weights FOLDER` loads.

    Args:
        settings: `data_set`; `weights` names the encoder, FAMILY:WEIGHTS, by default the data set's CLIP;
            `vocabulary` is a file with the words, which by default are those of the training captions.
        out: The folder to write; by default one in the workspace.
        given: `NAME=VALUE` of `Choice`, and of `ThesisTraining` or `DenseToSparseTraining`.
        report: Called with a line of progress now and then.

    Raises:
        InputError: An unknown recipe or setting, or a data set without captions or splits.
    """
    from crossmodal.training import sparse_heads as training

    choice, rest = _choice(given)
    recipes = {"thesis": training.ThesisTraining, "dense-to-sparse": training.DenseToSparseTraining}
    if choice.recipe not in recipes:
        raise InputError(f"there is no recipe {choice.recipe!r}: choose one of {', '.join(recipes)}")
    own = with_given(recipes[choice.recipe](), rest)
    name = data_sets.canonical(settings.data_set)
    folder = out or settings.workspace / "training" / f"sparse-{data_sets.collection_name(name)}"
    encoder = base_encoder(settings)
    training_set, dev = training_features(encoder, settings, choice.n_scenes, folder.parent / "pool")
    if settings.vocabulary:
        vocabulary = TermVocabulary.load(settings.vocabulary)
    else:
        vocabulary = TermVocabulary.fit(training_set.captions, choice.min_df, choice.max_df)
    report(f"{len(training_set.images)} pictures, {len(training_set.captions)} captions, {len(vocabulary)} words")
    began = time.monotonic()
    model, history = fit_heads(own, encoder, vocabulary, training_set, dev, report)
    model.save(folder)
    (folder / HISTORY).write_text(json.dumps(history, indent=2) + "\n", "utf8")
    best = max(history, key=lambda entry: float(entry["MRR"]))
    report(f"best: epoch {best['epoch']} with MRR {best['MRR']} on dev, {time.monotonic() - began:.0f} s")
    return folder


def fit_heads(
    own: Any, encoder: Encoder, vocabulary: TermVocabulary, train: Any, dev: Any, report: Report
) -> tuple[SparseModel, list[dict[str, Any]]]:
    """The model of a recipe's settings and its history, measured on dev after each epoch."""
    from crossmodal.training import sparse_heads as training

    if isinstance(own, training.ThesisTraining):
        return training.train_thesis(own, encoder.spec, vocabulary, train, dev, measure, report)
    return training.train_dense_to_sparse(own, encoder.spec, vocabulary, train, dev, measure, report)


def measure(model: SparseModel, features: Any) -> dict[str, Any]:
    """The figures of an epoch: recalls, MRR, words a picture; by the dot product."""
    images = model.image_weights(features.images)
    queries = model.text_weights(features.captions, features.texts)
    found = measures.figures(measures.sparse_ranks(images, queries, features.image_of))
    posted = measures.posting_figures(images, queries).to_dict()
    return found | {name: posted[name] for name in ("terms_per_image", "terms_per_query")}


def evaluate(settings: Settings, scoring: Scoring | None = None) -> dict[str, Any]:
    """Text to image recall of a sparse model on a data set and a split, beside its dense encoder.

    Args:
        settings: `weights` is the folder that training wrote.
        scoring: One of the inverted index; by default the one that a collection of this model is searched by.

    Returns:
        `{"data_set", "split", "rows"}`: a row for the dense vectors and one for the words, each with `R@k`,
        `MRR`, and of the words the posting figures and the latency of a search.
    """
    model, encoder = load(settings)
    features = split_features(encoder, settings)
    rows = {
        f"dense {model.config.base}": dense_figures(features),
        f"sparse {model.config.recipe}": sparse_figures(model, features, scoring or model.config.scoring),
    }
    return {"data_set": settings.data_set, "split": settings.split, "rows": rows}


def analyse(settings: Settings, n_pictures: int = 10, n_words: int = 10) -> dict[str, Any]:
    """What the posting lists look like, and the strongest words of some pictures.

    Returns:
        `{"figures", "words", "pictures"}`: the posting figures; the length of each list, the longest first;
        and the strongest words of the first `n_pictures` pictures with their weights, by the picture's path.
    """
    model, encoder = load(settings, needs_text=False)
    subject = read_set(settings)
    images = model.image_weights(encode_pictures(encoder, subject.records))
    words = model.vocabulary.words
    queries = model.vocabulary.encode(subject.captions)
    lengths = np.bincount(images.indices, minlength=len(words))
    order = np.argsort(-lengths, kind="stable")
    shown = {
        str(record.path): measures.strongest_words(images[i], words, n_words)
        for i, record in enumerate(subject.records[:n_pictures])
    }
    return {
        "figures": measures.posting_figures(images, queries).to_dict(),
        "words": {words[i]: int(lengths[i]) for i in order},
        "pictures": shown,
    }


def tune(settings: Settings, out: Path | None = None) -> dict[str, Any]:
    """Chooses on the dev split how dense, sparse, and BM25 over the captions are joined, by R@10, then MRR.

    The captions a picture is found by never include the one that is asked with: caption c of each picture
    ranks by the other captions, c left out of all pictures.

    Returns:
        `{"parts", "rows", "best"}`: the names of the parts in their order; the figures of each part, of `rrf`
        and of the best weights; and the fusion to use, also written to `fusion.json` beside the weights.
    """
    model, encoder = load(settings)
    path = (out or Path(settings.weights or ".")) / FUSION
    if why := why_not_writable(path):
        raise InputError(f"{path} can't be written: {why}")
    features = split_features(encoder, settings)
    result = tune_parts(part_answers(model, features), features.image_of, len(features.images))
    path.write_text(json.dumps({"fusion": result["best"], "parts": result["parts"]}, indent=2) + "\n", "utf8")
    return result


def tune_parts(answers: Mapping[str, Answer], image_of: Any, n_images: int) -> dict[str, Any]:
    """The best of all candidate fusions of these answers; see `tune`."""
    by_picture = {
        method: [spread(shares(answer, method), answer[1], n_images, 0.0) for answer in answers.values()]
        for method in ("rrf", "weighted")
    }
    found: list[tuple[Fusion, dict[str, float]]] = []
    for fusion in candidates(len(answers)):
        parts = zip(fusion.weights_for(len(answers)), by_picture[fusion.method], strict=True)
        total = sum((weight * part for weight, part in parts if weight), np.zeros((1, 1), np.float32))
        found.append((fusion, measures.figures(_ranks_of_found(total, image_of))))
    alone = {name: dict(found)[_alone(i, len(answers))] for i, name in enumerate(answers)}
    best, figures = max(found, key=lambda pair: (pair[1]["R@10"], pair[1]["MRR"]))
    rows = {**alone, "rrf": found[0][1], f"best: {best}": figures}
    return {"parts": list(answers), "rows": rows, "best": str(best)}


def part_answers(model: SparseModel, features: Any, depth: int = DEPTH) -> dict[str, Answer]:
    """What each part answers to every caption: dense vectors, words, and BM25 where there are other captions."""
    depth = min(depth, len(features.images))
    images, queries = model.image_weights(features.images), model.text_weights(features.captions, features.texts)
    answers: dict[str, Answer] = {}
    if features.texts is not None:
        answers["dense"] = _dense_answer(features, depth)
    answers["sparse"] = _index_of(images).search(queries, depth, scoring=model.config.scoring)
    position = _position_of_caption(features.image_of)
    if position.max() > 0:
        answers["bm25"] = _bm25_answer(features, position, depth)
    return answers


def dense_figures(features: Any) -> dict[str, Any]:
    """Recall of the dense vectors, and the latency of one query against all pictures."""
    if features.texts is None:
        return {}
    ranks, texts, timed = [], features.texts, []
    for start in range(0, len(texts), 1024):
        scores = texts[start : start + 1024] @ features.images.T
        ranks.append(measures.ranks_of_scores(scores, features.image_of[start : start + 1024]))
    for text in texts[:200]:
        began = time.perf_counter()
        np.argpartition(features.images @ text, -min(10, len(features.images)))
        timed.append(time.perf_counter() - began)
    return measures.figures(np.concatenate(ranks)) | {"p50_ms": round(1000 * float(np.median(timed)), 3)}


def sparse_figures(model: SparseModel, features: Any, scoring: Scoring) -> dict[str, Any]:
    """Recall through the inverted index, the posting figures, and the latency of a search for ten."""
    images, queries = model.image_weights(features.images), model.text_weights(features.captions, features.texts)
    index = _index_of(images)
    ranks = index_ranks(index, queries, features.image_of, scoring)
    timed = []
    for row in range(min(200, queries.shape[0])):
        began = time.perf_counter()
        index.search(queries[row], 10, scoring=scoring)
        timed.append(time.perf_counter() - began)
    posted = measures.posting_figures(images, queries).to_dict()
    return measures.figures(ranks) | posted | {"p50_ms": round(1000 * float(np.median(timed)), 3)}


def index_ranks(index: SparseIndex, queries: csr_matrix, image_of: Any, scoring: Scoring) -> Ranks:
    """The rank of each query's own picture in an index whose keys are the rows of the pictures."""
    n = len(index)
    parts = []
    for start in range(0, queries.shape[0], 1024):
        scores, keys = index.search(queries[start : start + 1024], n, scoring=scoring)
        parts.append(measures.ranks_of_scores(spread(scores, keys, n), image_of[start : start + 1024]))
    return np.concatenate(parts)


def load(settings: Settings, needs_text: bool = True) -> tuple[SparseModel, Encoder]:
    """The sparse model of `settings.weights` and the encoder it stands on.

    Raises:
        InputError: No weights are named, or there is no such folder.
        StateError: The folder is damaged, or its encoder has changed.
    """
    if not settings.weights:
        raise InputError("name the folder of the sparse model with --weights; make one with `-t train -m sparse`")
    model = SparseModel.load(Path(settings.weights), settings.vocabulary)
    base = model.config.base
    both = needs_text and "text" in base.modalities
    towers: Any = ("image", "text") if both else ("image",)
    return model, models.load(base, towers, settings.threads or None)


def base_encoder(settings: Settings) -> Encoder:
    """The encoder that `settings.weights` names, FAMILY or FAMILY:WEIGHTS; by default CLIP."""
    family, _, weights = (settings.weights or "clip").partition(":")
    name = weights or models.default_weights(family, data_sets.canonical(settings.data_set))
    spec = models.resolve(family, name)
    return models.load(spec, spec.modalities, settings.threads or None)


def training_features(encoder: Encoder, settings: Settings, n_scenes: int, pool: Path) -> tuple[Any, Any]:
    """The train and dev splits, encoded; of scenes, `n_scenes` are drawn into `pool`."""
    name = data_sets.canonical(settings.data_set)
    if name == "scenes":
        dev = [record for record in data_sets.read("scenes", "dev") if isinstance(record, ImageRecord)]
        return scene_features(encoder, settings.num_docs or n_scenes, pool), record_features(encoder, dev)
    records, dev = splits(name, settings.num_docs, settings.columns)
    return record_features(encoder, records), record_features(encoder, dev)


def split_features(encoder: Encoder, settings: Settings) -> Any:
    """The pictures of a data set and a split with up to five captions each, encoded.

    Raises:
        InputError: They have no captions.
    """
    subject = read_set(settings)
    if not subject.captions:
        raise InputError(f"{settings.data_set} has no captions, and words are evaluated with captions")
    return record_features(encoder, subject.records)


def record_features(encoder: Encoder, records: Sequence[ImageRecord]) -> Any:
    """The pictures of these records and all their captions, encoded.

    Raises:
        InputError: A picture can't be read; it is named.
    """
    captions = [caption for record in records for caption in record.captions]
    image_of = np.repeat(np.arange(len(records)), [len(record.captions) for record in records])
    return _features(encode_pictures(encoder, records), encoder, captions, image_of)


def scene_features(encoder: Encoder, n_scenes: int, pool: Path, seed: int = 0) -> Any:
    """Scenes of the train split, drawn once into `pool` at the encoder's size, with five captions each."""
    from crossmodal.training.scene_batches import draw_pool

    side = encoder.spec.preprocessing.size_px
    pictures, scenes = draw_pool(pool, n_scenes, side, seed)
    told = [language.captions(s, Random(caption_seed(seed, "train", i))) for i, s in enumerate(scenes)]
    batches = (np.ascontiguousarray(pictures[i : i + BATCH]) for i in range(0, n_scenes, BATCH))
    captions = [caption for captions in told for caption in captions]
    image_of = np.repeat(np.arange(n_scenes), [len(captions) for captions in told])
    return _features(_encode(encoder, batches, n_scenes), encoder, captions, image_of)


def encode_pictures(encoder: Encoder, records: Sequence[ImageRecord]) -> Vectors:
    """(n, dim) unit vectors of the pictures, in order."""
    parts = (records[i : i + BATCH] for i in range(0, len(records), BATCH))
    return _encode(encoder, (np.stack([_pixels(encoder, r) for r in part]) for part in parts), len(records))


def _encode(encoder: Encoder, batches: Iterable[Pixels], n: int) -> Vectors:
    found = [np.empty((0, encoder.spec.dim), np.float32)]
    with Meter("pictures", n) as meter:
        for batch in batches:
            found.append(encoder.encode_images(batch))
            meter.advance(len(batch))
    return np.concatenate(found)


def _pixels(encoder: Encoder, record: ImageRecord) -> Pixels:
    try:
        return fit(decode(of_record(record))[0], encoder.spec.preprocessing)
    except PictureError as error:
        raise InputError(f"{record.path}: {error}: mend it or take it out of the data set") from error


def _features(images: Vectors, encoder: Encoder, captions: list[str], image_of: Any) -> Any:
    from crossmodal.training.sparse_heads import Features

    if "text" not in encoder.spec.modalities:
        return Features(images, None, captions, image_of)
    parts = [encoder.encode_texts(captions[i : i + TEXT_BATCH]) for i in range(0, len(captions), TEXT_BATCH)]
    texts = np.concatenate([np.empty((0, encoder.spec.dim), np.float32), *parts])
    return Features(images, texts, captions, image_of)


def _choice(given: Sequence[str]) -> tuple[Choice, list[str]]:
    """What of `NAME=VALUE` is a setting of `Choice`, and the others."""
    names = {field.name for field in fields(Choice)}
    ours = [item for item in given if item.partition("=")[0] in names]
    return with_given(Choice(), ours), [item for item in given if item not in ours]


def _index_of(images: csr_matrix) -> SparseIndex:
    index = SparseIndex(images.shape[1])
    index.add(np.arange(images.shape[0]), images)
    return index


def _dense_answer(features: Any, depth: int) -> Answer:
    scores = np.empty((len(features.texts), depth), np.float32)
    keys = np.empty(scores.shape, np.int64)
    for start in range(0, len(keys), 1024):
        every = features.texts[start : start + 1024] @ features.images.T
        best = np.argsort(-every, axis=1, kind="stable")[:, :depth]
        keys[start : start + 1024], scores[start : start + 1024] = best, np.take_along_axis(every, best, axis=1)
    return scores, keys


def _bm25_answer(features: Any, position: Any, depth: int) -> Answer:
    scores = np.full((len(position), depth), -np.inf, np.float32)
    keys = np.full((len(position), depth), -1, np.int64)
    for left_out in range(int(position.max()) + 1):
        asked = np.flatnonzero(position == left_out)
        texts: list[list[str]] = [[] for _ in range(len(features.images))]
        for row in np.flatnonzero(position != left_out):
            texts[features.image_of[row]].append(features.captions[row])
        documents = [" ".join(told) for told in texts]
        bm25 = Bm25.fit(documents)
        queries = bm25.encode_queries([features.captions[row] for row in asked])
        scores[asked], keys[asked] = _index_of(bm25.encode(documents)).search(queries, depth)
    return scores, keys


def _position_of_caption(image_of: Any) -> Any:
    """(m,) which caption of its picture each is, from 0; the captions of a picture stand together."""
    starts = np.flatnonzero(np.diff(image_of, prepend=-1))
    return np.arange(len(image_of)) - np.repeat(starts, np.diff(np.append(starts, len(image_of))))


def spread(values: Vectors, keys: Any, n_images: int, missing: float = -np.inf) -> Vectors:
    """(q, k) values of an answer to (q, n_images), `missing` where a picture was not found."""
    every = np.full((len(keys), n_images + 1), missing, np.float32)  # a key of -1 goes to the last column
    np.put_along_axis(every, keys, values, axis=1)
    return every[:, :n_images]


def _ranks_of_found(scores: Vectors, image_of: Any) -> Ranks:
    """As `ranks_of_scores`; a picture with a score of 0 was found by no part and ranks last."""
    return measures.ranks_of_scores(np.where(scores > 0, scores, -np.inf).astype(np.float32), image_of)


def _alone(part: int, n_parts: int) -> Fusion:
    return Fusion("weighted", tuple(float(i == part) for i in range(n_parts)))
