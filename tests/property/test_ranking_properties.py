"""`best` is a stable sort and a cut, whatever the order given."""

from hypothesis import given
from hypothesis import strategies as st

from crossmodal.search.ranking import best

SCORES = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(-1, 1))


@given(st.dictionaries(st.text(max_size=3), SCORES, max_size=20), st.integers(0, 25), st.randoms())
def test_permutations_give_the_same(scores: dict[str, float], k: int, rng: object) -> None:
    shuffled = list(scores.items())
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    found = best(shuffled, k, lambda item: (item[1], item[0]))
    assert found == sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]
