"""WordIndexer: a VectorIndexer that also keeps the word indexes of a sparse collection up to date."""

from typing import Any

from crossmodal.collection.collection import Collection
from crossmodal.index.replica import StoreReplica
from crossmodal.index.vector_replica import VectorReplica
from crossmodal.lexical.indexes import WordIndexes
from executors.vector_indexer import VectorIndexer


class WordIndexer(VectorIndexer):
    """The image vectors of a sparse collection in the index Flow; WordRanker searches the word indexes."""

    def _open(self, opened: Collection) -> tuple[VectorReplica, *tuple[StoreReplica[Any], ...]]:
        (vectors, *_) = super()._open(opened)
        if not opened.model.has_lexical:
            return (vectors,)
        words = WordIndexes.open(opened.index_folder, opened.model, vectors.store)
        return vectors, words.words, words.captions
