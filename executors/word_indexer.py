"""WordIndexer: as VectorIndexer, and the words of pictures and captions follow the store with the vectors."""

from typing import Any

from crossmodal.hybrid.every_index import has_words
from crossmodal.hybrid.indexes import WordIndexes
from crossmodal.index.collection import Collection
from crossmodal.index.follower import Follower
from crossmodal.index.following import FollowingIndex
from executors.vector_indexer import VectorIndexer


class WordIndexer(VectorIndexer):
    """The image vectors of a sparse collection, in the Flow that writes. WordRanker is what searches for words."""

    def _open(self, opened: Collection) -> tuple[FollowingIndex, *tuple[Follower[Any], ...]]:
        (vectors, *_) = super()._open(opened)
        if not has_words(opened.model):
            return (vectors,)
        words = WordIndexes.open(opened, vectors.store)
        return vectors, words.words, words.captions
