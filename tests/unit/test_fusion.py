"""Joining answers: what each rank and score is worth, and that nothing is invented or lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossmodal.core.errors import InputError, StateError
from crossmodal.core.settings import MAX_MATCHES
from crossmodal.search.fusion import (
    DEPTH,
    RRF_K,
    Fusion,
    ScoredKeys,
    candidates,
    depth_for,
    fuse,
    fusion_of_parts,
    name_of,
    part_alone,
    read_fusion,
    shares,
)


@pytest.mark.parametrize(
    ("asked", "name", "alone"),
    [
        ("dense", "dense", "dense"), ("sparse", "sparse", "sparse"), ("bm25", "bm25", "bm25"), ("rrf", "rrf", None),
        ("weighted:0.5,0.3,0.2", "weighted:0.5,0.3,0.2", None), ("weighted:0,2,0", "sparse", "sparse"),
        ("rrf:1,0,1", "rrf:1,0,1", None),
    ],
)  # fmt: skip
def test_a_search_names_its_parts(asked: str, name: str, alone: str | None) -> None:
    fusion = fusion_of_parts(asked)
    assert (name_of(fusion), part_alone(fusion)) == (name, alone)
    assert fusion_of_parts(name_of(fusion)) == fusion or alone


@pytest.mark.parametrize(
    "asked", ["", "Dense", "weighted:1,2", "rrf:1", "weighted:0,0,0", "weighted:1,-1,0", "x" * 500]
)
def test_what_is_no_fusion_is_refused(asked: str) -> None:
    with pytest.raises(InputError, match="give dense, sparse, bm25, rrf, or weighted:A,B,C"):
        fusion_of_parts(asked)


def test_what_was_tuned_is_read(tmp_path: Path) -> None:
    path = tmp_path / "fusion.json"
    assert name_of(read_fusion(path)) == "rrf"
    path.write_text('{"fusion": "weighted:0.9,0.1", "parts": ["dense", "sparse"]}')
    assert read_fusion(path).weights == (0.9, 0.1, 0.0)
    path.write_text('{"fusion": "rrf", "parts": ["dense", "sparse", "bm25"]}')
    assert name_of(read_fusion(path)) == "rrf"
    for broken in ("{", "[]", '{"fusion": "loud", "parts": []}', '{"fusion": "rrf", "parts": ["dense", "smell"]}'):
        path.write_text(broken)
        with pytest.raises(StateError, match=r"fusion\.json is damaged"):
            read_fusion(path)


def answer(scores: list[list[float]], keys: list[list[int]]) -> ScoredKeys:
    return np.array(scores, np.float32), np.array(keys, np.int64)


def test_reciprocal_ranks_are_as_in_the_paper() -> None:
    parts = [answer([[9, 8, 7]], [[1, 2, 3]]), answer([[5, 4, -np.inf]], [[3, 1, -1]])]
    scores, keys = fuse(parts, Fusion("rrf"), 4)
    wanted = {1: 1 / 61 + 1 / 62, 3: 1 / 63 + 1 / 61, 2: 1 / 62}
    assert RRF_K == 60
    assert keys.tolist() == [[1, 3, 2, -1]]
    assert scores[0, :3].tolist() == pytest.approx([wanted[1], wanted[3], wanted[2]])
    assert scores[0, 3] == -np.inf


def test_weighted_scores_do_not_care_for_their_scale() -> None:
    dense, words = answer([[0.9, 0.6, 0.3]], [[1, 2, 3]]), answer([[30, 20, 10]], [[3, 2, 1]])
    scaled = answer([[300, 200, 100]], [[3, 2, 1]])
    once, again = (fuse([dense, part], Fusion("weighted", (0.7, 0.3)), 3) for part in (words, scaled))
    assert once[1].tolist() == again[1].tolist() == [[1, 2, 3]]
    np.testing.assert_allclose(once[0], again[0], rtol=1e-6)


def test_a_part_alone_keeps_its_order() -> None:
    first, second = answer([[3, 2, 1]], [[5, 4, 6]]), answer([[3, 2]], [[8, 9]])
    assert fuse([first, second], Fusion("weighted", (1, 0)), 3)[1].tolist() == [[5, 4, 6]]
    assert fuse([first, second], Fusion("rrf", (0, 2)), 3)[1].tolist() == [[8, 9, -1]]


def test_equal_scores_stand_by_key() -> None:
    assert fuse([answer([[1, 1, 1]], [[9, 3, 7]])], Fusion("weighted"), 3)[1].tolist() == [[3, 7, 9]]


def test_a_query_nobody_answers_stays_empty() -> None:
    nothing = answer([[-np.inf, -np.inf]], [[-1, -1]])
    for method in ("rrf", "weighted"):
        scores, keys = fuse([nothing, nothing], Fusion.parse(method), 2)
        assert keys.tolist() == [[-1, -1]]
        assert np.isneginf(scores).all()
        assert not shares(nothing, Fusion.parse(method).method).any()


def test_queries_do_not_mix() -> None:
    both = answer([[2, 1], [2, 1]], [[1, 2], [3, 4]])
    assert fuse([both], Fusion("rrf"), 2)[1].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("text", ["", "sum", "rrf:a", "weighted:-1,2", "weighted:0,0", "rrf:nan", "rrf:inf"])
def test_a_fusion_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="give rrf or weighted"):
        Fusion.parse(text)


def test_as_many_weights_as_parts() -> None:
    with pytest.raises(InputError, match="has 2 weights, and there are 1 parts"):
        fuse([answer([[1]], [[1]])], Fusion.parse("rrf:1,2"), 1)


def test_nothing_to_fuse_and_no_k_are_bugs() -> None:
    with pytest.raises(ValueError, match="nothing to fuse"):
        fuse([], Fusion(), 1)
    with pytest.raises(ValueError, match="at least 1"):
        fuse([answer([[1]], [[1]])], Fusion(), 0)


def test_the_candidates_have_every_part_alone() -> None:
    weights = {fusion.weights for fusion in candidates(3)}
    assert {(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)} <= weights
    assert all(sum(w) == pytest.approx(1) for w in weights if w)


def test_a_fusion_is_read_as_it_is_written() -> None:
    for fusion in candidates(3):
        assert Fusion.parse(str(fusion)) == fusion


def test_pages_of_a_search_are_cut_from_one_order() -> None:
    assert [depth_for(k) for k in (1, DEPTH, DEPTH + 1, 1_000, 1_001, MAX_MATCHES)] == [
        DEPTH, DEPTH, 1_000, 1_000, MAX_MATCHES, MAX_MATCHES,
    ]  # fmt: skip
