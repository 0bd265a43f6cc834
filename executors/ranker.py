"""Ranker: puts the matches of each query in order and cuts them to what was asked for."""

from typing import Any

from docarray import DocList
from jina import requests

from crossmodal.core.types import MODALITIES
from crossmodal.retrieval.ranking import best
from executors.docs import MatchDoc, MediaDoc
from executors.refusal import Refusing


class Ranker(Refusing):
    """Sorts and cuts. Scores of captions and of pictures are not comparable, so each modality is ranked
    by itself: the pictures first, then the captions.
    """

    @requests(on=["/search", "/health"])
    def rank(self, docs: DocList[MediaDoc], parameters: dict[str, Any], **_: Any) -> DocList[MediaDoc]:
        """The `top_k` best matches of each modality, whatever shards and branches they came from."""
        top_k = int(parameters.get("top_k", 10))
        for doc in docs:
            ranked: list[MatchDoc] = []
            for modality in MODALITIES:
                candidates = [match for match in doc.matches if match.modality == modality]
                ranked += best(candidates, top_k, lambda m: (m.scores["cosine"], m.id or ""))
            doc.matches = DocList[MatchDoc](ranked)
        return docs
