"""Our figures against those of ir-measures on random cases without ties, which the two treat differently."""

import ir_measures
import numpy as np
import pytest
from ir_measures import RR, Success

from crossmodal.core.types import Vectors
from crossmodal.evaluation.recall import image_to_text_ranks, rank_in_answer, summarise, text_to_image_ranks

MEASURES = {"R@1": Success @ 1, "R@5": Success @ 5, "R@10": Success @ 10, "MRR": RR}


def random_case(seed: int) -> tuple[Vectors, Vectors, np.ndarray]:
    """Pictures, captions near them, one to six a picture, in a shuffled order, and the picture of each.

    A case in which a query scores two candidates alike is drawn anew.
    """
    rng = np.random.default_rng(seed)
    while True:
        images, texts, image_of = drawn(rng)
        scores = images @ texts.T
        if all(len(np.unique(row)) == len(row) for table in (scores, scores.T) for row in table):
            return images, texts, image_of


def drawn(rng: np.random.Generator) -> tuple[Vectors, Vectors, np.ndarray]:
    n_images, dim = int(rng.integers(5, 60)), int(rng.integers(2, 16))
    images = rng.normal(size=(n_images, dim))
    image_of = rng.permutation(np.repeat(np.arange(n_images), rng.integers(1, 7, n_images)))
    texts = images[image_of] + rng.uniform(0.2, 2) * rng.normal(size=(len(image_of), dim))
    return images.astype(np.float32), texts.astype(np.float32), image_of


def reference(scores: np.ndarray, relevant: np.ndarray) -> dict[str, float]:
    """What ir-measures says of (queries, candidates) scores; which are relevant has the same shape."""
    run = {str(q): {str(c): float(score) for c, score in enumerate(row)} for q, row in enumerate(scores)}
    qrels = {str(q): {str(c): int(is_one) for c, is_one in enumerate(row)} for q, row in enumerate(relevant)}
    found = ir_measures.calc_aggregate(list(MEASURES.values()), qrels, run)
    return {name: found[measure] for name, measure in MEASURES.items()}


@pytest.mark.parametrize("seed", range(25))
def test_both_directions_agree(seed: int) -> None:
    images, texts, image_of = random_case(seed)
    scores, own = images @ texts.T, image_of[None, :] == np.arange(len(images))[:, None]
    t2i = summarise(text_to_image_ranks(images, texts, image_of))
    assert {f"R@{k}": r for k, r in t2i.recall.items()} | {"MRR": t2i.mrr} == pytest.approx(reference(scores.T, own.T))
    # The best of an image's own captions counts, so no others of its own stand before it: as with ir-measures.
    i2t = summarise(image_to_text_ranks(images, texts, image_of))
    assert {f"R@{k}": r for k, r in i2t.recall.items()} | {"MRR": i2t.mrr} == pytest.approx(reference(scores, own))


@pytest.mark.parametrize("seed", range(5))
def test_ranks_out_of_answers_are_those_in_memory(seed: int) -> None:
    images, texts, image_of = random_case(seed)
    names = [[(str(j), float(score)) for j, score in enumerate(row)] for row in images @ texts.T]
    own = [{str(j) for j in np.flatnonzero(image_of == i)} for i in range(len(images))]
    found = [rank_in_answer(answer, mine) for answer, mine in zip(names, own, strict=True)]
    assert found == image_to_text_ranks(images, texts, image_of).tolist()
