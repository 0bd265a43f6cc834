"""evaluate --compare collection:NAME: the ranks that the indexes of a collection give, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cli.evaluate_flow import open_indexed, stored
from cli.progress import Meter
from crossmodal.collection.collection import Collection
from crossmodal.core.errors import InputError
from crossmodal.core.settings import MAX_TOP_K, Settings
from crossmodal.core.types import Modality, Vectors
from crossmodal.evaluation import recall
from crossmodal.evaluation.comparison import Compared
from crossmodal.evaluation.evaluation_set import EvaluationSet
from crossmodal.evaluation.exact import Evaluation
from crossmodal.evaluation.misses import Direction, Ranked
from crossmodal.evaluation.outcomes import of_ranks
from crossmodal.evaluation.recall import Ranks
from crossmodal.index.vector_replica import VectorReplica

BATCH = 64


def searched(settings: Settings, subject: EvaluationSet, name: str) -> Compared:
    """The evaluation of a collection: the stored vectors of the set are the queries, and its indexes are searched.

    Nothing is encoded. Documents outside the set are skipped, and a match beyond `MAX_TOP_K` results is not found.

    Raises:
        InputError: The set has no captions.
        StateError: There is no such collection, or a part of the set is not indexed.
    """
    if not subject.captions:
        raise InputError(f"collection:{name} needs a set with captions: remove it")
    any_model = replace(settings, collection=name, weights=None, model_named=False)
    collection, ids = open_indexed(any_model, subject)
    images, texts = stored(collection, "image", ids.pictures), stored(collection, "text", ids.captions)
    relevant_picture, relevant_captions = ids.relevant(subject.image_of)
    t2i = _ranks(collection, "image", texts, relevant_picture, set(ids.pictures))
    i2t = _ranks(collection, "text", images, relevant_captions, set(ids.captions))
    figures = {
        "images": len(images),
        "captions": len(texts),
        **recall.figures(recall.summarise(t2i), recall.summarise(i2t)),
    }
    outcomes = of_ranks("t2i", t2i, subject.image_of) | of_ranks("i2t", i2t, np.arange(len(images)))
    ranked = Ranked(Direction(t2i, lambda _: -1), Direction(i2t, lambda _: -1))
    precision = collection.made_with.precision
    evaluation = Evaluation(figures, ranked, outcomes, [])
    return Compared(collection.model, precision, f"indexes of the collection {name}", evaluation, collection=name)


def _ranks(
    collection: Collection, modality: Modality, queries: Vectors, relevant: Sequence[set[str]], of_set: set[str]
) -> Ranks:
    """The rank (n,) of each query's best relevant document among those of the set."""
    with collection.store() as store, Meter(f"queries for {modality}s", len(queries)) as meter:
        index: VectorReplica = collection.index(store, modality)
        depth = min(MAX_TOP_K, store.counts()[modality])
        names: dict[int, str] = {}
        ranks: list[int] = []
        for start in range(0, len(queries), BATCH):
            scores, keys = index.search(queries[start : start + BATCH], depth)
            unseen = set(keys[keys >= 0].tolist()) - names.keys()
            names |= {key: document.id for key, document in store.by_keys(unseen).items()}
            for row_scores, row_keys in zip(scores.tolist(), keys.tolist(), strict=True):
                found = ((names.get(key, ""), score) for key, score in zip(row_keys, row_scores, strict=True))
                answer = [(name, score) for name, score in found if name in of_set]
                ranks.append(recall.rank_in_answer(answer, relevant[len(ranks)]))
            meter.advance(len(scores))
    return np.array(ranks, np.int64)
