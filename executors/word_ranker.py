"""WordRanker: the Ranker of a sparse collection, which also searches by words and explains the matches."""

from typing import Any

from crossmodal.lexical.terms import words_of
from executors.ranker import Ranker


class WordRanker(Ranker):
    """Searches the word indexes itself, so that their results are fused with the vectors' without another Executor."""

    with_words = True

    def __init__(self, collection: str, **kwargs: Any) -> None:
        super().__init__(collection, **kwargs)
        words_of("the first call loads the list of lemmas")
