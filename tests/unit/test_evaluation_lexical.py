"""Ranks by words, the figures of posting lists, and the table."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix, random_array

from crossmodal.evaluation.lexical import (
    CHUNK,
    KS,
    figures,
    posting_figures,
    ranks_of_scores,
    recall_table,
    sparse_ranks,
)  # fmt: skip
from crossmodal.evaluation.recall import text_to_image_ranks


def test_ranks_are_those_of_the_dense_product() -> None:
    rng = np.random.default_rng(0)
    images = csr_matrix(random_array((50, 30), density=0.3, rng=rng), dtype=np.float32)
    queries = csr_matrix(random_array((CHUNK + 10, 30), density=0.2, rng=rng), dtype=np.float32)
    own = rng.integers(50, size=CHUNK + 10)
    dense = text_to_image_ranks(images.toarray(), queries.toarray(), own)
    assert np.array_equal(sparse_ranks(images, queries, own), dense)


def test_a_tie_counts_against_us_and_so_does_not_being_found() -> None:
    scores = np.array([[1, 1, 0], [-np.inf, 2, -np.inf]], np.float32)
    assert ranks_of_scores(scores, np.array([0, 0])).tolist() == [2, 3]


def test_recall_is_told_at_the_ks_of_the_thesis() -> None:
    found = figures(np.array([1, 4, 30, 101]))
    assert [found[f"R@{k}"] for k in KS] == [0.25, 0.5, 0.5, 0.5, 0.75, 0.75, 0.75, 0.75]
    assert found["MRR"] == round((1 + 1 / 4 + 1 / 30 + 1 / 101) / 4, 4)


def test_figures_of_the_posting_lists() -> None:
    images = csr_matrix(np.array([[1, 2, 0, 0], [0, 3, 0, 0], [0, 0, 0, 0]], np.float32))
    found = posting_figures(images, csr_matrix(np.array([[1, 1, 0, 0]], np.float32))).to_dict()
    assert found == {
        "images": 3, "terms": 4, "postings": 3, "empty_lists": 2, "images_without_terms": 1, "terms_per_image": 1.0,
        "most_terms_of_an_image": 2, "median_list": 1.5, "longest_list": 2, "terms_per_query": 2.0,
    }  # fmt: skip
    nothing = posting_figures(csr_matrix((2, 4), dtype=np.float32), csr_matrix((0, 4), dtype=np.float32))
    assert (nothing.list_length, nothing.terms_per_query) == ((0.0, 0), 0.0)


def test_the_table() -> None:
    row = figures(np.array([1, 2, 3]))
    rows = {"dense": row, "sparse": {**row, "terms_per_image": 20.5, "p50_ms": 0.1}}
    table = recall_table(rows)
    assert table.headings[-2:] == ("terms/image", "p50 ms")
    assert table.rows[0][-2:] == ("-", "-")
    assert table.rows[1][-2:] == ("20.5", "0.1")
