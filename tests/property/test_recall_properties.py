"""Ranks against a reference in plain Python, with many ties."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.evaluation.recall import image_to_text_ranks, summarise, text_to_image_ranks

Rows = list[list[int]]
ROWS = st.lists(st.lists(st.integers(-2, 2), min_size=2, max_size=2), min_size=1, max_size=8)


def score(one: list[int], other: list[int]) -> int:
    """Whole numbers, so that a tie is a tie."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def reference_text_to_image(images: Rows, texts: Rows, image_of: list[int]) -> list[int]:
    ranks = []
    for text, own in zip(texts, image_of, strict=True):
        scores = [score(text, image) for image in images]
        ranks.append(1 + sum(s >= scores[own] for i, s in enumerate(scores) if i != own))
    return ranks


def reference_image_to_text(images: Rows, texts: Rows, image_of: list[int]) -> list[int]:
    ranks = []
    for row, image in enumerate(images):
        scores = [score(image, text) for text in texts]
        own = [s for s, of in zip(scores, image_of, strict=True) if of == row]
        if own:
            ranks.append(1 + sum(s >= max(own) for s, of in zip(scores, image_of, strict=True) if of != row))
    return ranks


@given(ROWS, ROWS, st.data())
@settings(max_examples=200)
def test_ranks_equal_the_reference(images: Rows, texts: Rows, data: st.DataObject) -> None:
    owner = st.integers(0, len(images) - 1)
    image_of = data.draw(st.lists(owner, min_size=len(texts), max_size=len(texts)))
    arguments = np.array(images, np.float32), np.array(texts, np.float32), np.array(image_of)
    assert text_to_image_ranks(*arguments).tolist() == reference_text_to_image(images, texts, image_of)
    assert image_to_text_ranks(*arguments).tolist() == reference_image_to_text(images, texts, image_of)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_recalls_rise_with_k(ranks: list[int]) -> None:
    found = summarise(np.array(ranks))
    recalls = [found.recall[k] for k in (1, 5, 10)]
    assert recalls == sorted(recalls)
    assert recalls[0] <= found.mrr <= 1
    assert 1 <= found.median_rank <= max(ranks)
