"""The shapes of the typed API: what is asked, and what is answered."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from crossmodal.core.settings import MAX_OFFSET, MAX_TOP_K

MAX_TEXT = 10_000
MAX_AVOIDED = 20

DATA_URI = "data:image/png;base64,iVBORw0KGgo..."
WHERE = "tags.filename like 'test-0%'"


class _Asked(BaseModel):
    """A name that is not known is refused: it is most likely misspelt."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class SearchRequest(_Asked):
    """What is searched for: words, a picture, a document of the collection, or several of these together."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": "two hearts -red", "top_k": 20},
                {"text": "at night", "image": DATA_URI, "mix": 0.7, "where": WHERE},
                {"like": "8f14e45fceea167a5a36dedd4bea2543c6c8d1b3", "offset": 20},
            ]
        }
    )

    text: str | None = Field(None, max_length=MAX_TEXT, description='words; `-dog` or `-"at night"` is avoided')
    image: str | None = Field(
        None, description="a picture as a data URI; a URL only where these are fetched, a path never"
    )
    like: str | None = Field(None, max_length=200, description="the id of a document: what is similar to it")
    exclude: list[str] = Field(default_factory=list, max_length=MAX_AVOIDED, description="words to avoid")
    mix: float = Field(0.5, ge=0, le=1, description="with words and a picture: 0 words only, 1 the picture only")
    where: str | None = Field(None, description=f"a condition on the results: {WHERE}")
    top_k: int = Field(20, ge=1, le=MAX_TOP_K, description="how many results, of each modality")
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="how many of the best to leave out, of each modality")
    min_score: float | None = Field(None, ge=-1, description="leaves out what scores less")
    min_relevance: float | None = Field(None, ge=0, le=1, description="leaves out what is less likely to fit")
    fusion: str | None = Field(
        None,
        max_length=100,
        description="of a sparse collection, how words find pictures: `dense`, `sparse`, `bm25`, `rrf`, or "
        "`weighted:A,B,C`, a weight for each of the three",
    )
    target: Literal["image", "text", "both"] | None = Field(
        None, description="what is looked for; by default pictures, and for a picture alone its captions, too"
    )
    collection: str | None = Field(None, max_length=200, description="must be the one that is served")
    vectors: bool = Field(False, description="whether each result comes with its vector")


class Took(BaseModel):
    """Milliseconds; `total` is all of it, with the way between the parts of the service."""

    encode: float
    search: float
    rank: float
    total: float


class Word(BaseModel):
    """A word, and how much it counts."""

    word: str
    weight: float


class Result(BaseModel):
    """A picture, or a caption with what there is of its picture."""

    id: str
    modality: Literal["image", "text"]
    score: float = Field(
        description="cosine with the query, or what the `fusion` says; of pictures and captions not comparable"
    )
    scores: dict[str, float] | None = Field(
        None, description="of a search by words: its `cosine`, `sparse` and `bm25`, of those that have found it"
    )
    why: list[Word] | None = Field(
        None,
        description="the words it was found by: they sum to the `sparse` score, or to `bm25` where words "
        "of captions alone are searched",
    )
    relevance: float | None = Field(None, description="0 to 1: how likely it fits, where the collection is calibrated")
    text: str
    captions: list[str] = Field(description="all captions of the picture")
    image_id: str
    image: str = Field(description="where the picture is")
    thumbnail: str = Field(description="where it is small")
    filename: str
    width: int
    height: int
    tags: dict[str, Any]
    vector: list[float] | None = None


class Asked(BaseModel):
    """How the request was understood."""

    text: str | None = None
    exclude: list[str] = []
    has_image: bool = False
    like: str | None = None
    mix: float | None = None
    where: str | None = None
    target: Literal["image", "text", "both"]
    top_k: int
    offset: int
    min_score: float | None = None
    fusion: str | None = Field(None, description="of a sparse collection: how the pictures were found")
    min_relevance: float | None = None


class SearchAnswer(BaseModel):
    """What was found: pictures first, then captions, each in falling order of their scores."""

    model: str
    collection: str
    took_ms: Took
    n: int = Field(description="how many results are in the answer")
    more: bool = Field(description="whether there are others behind these; ask with a larger `offset`")
    fits: bool | None = Field(
        None, description="whether the best result has `min_relevance`, or 0.5; absent where results have no relevance"
    )
    results: list[Result]
    query: Asked
    note: str | None = Field(
        None, description="What the answer leaves out: words that are not known here, or that the model does not read."
    )


class EncodeRequest(_Asked):
    """What is turned into vectors."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": ["two hearts", "a red ring"]}]})

    texts: list[str] = Field(default_factory=list, max_length=256)
    images: list[str] = Field(default_factory=list, max_length=64, description="pictures, as `image` of a search")


class Vector(BaseModel):
    """The unit vector of a text or a picture."""

    modality: Literal["image", "text"]
    vector: list[float]


class EncodeAnswer(BaseModel):
    """The vectors: of the texts, then of the pictures, each in the order of the request."""

    model: str
    dim: int
    took_ms: float
    vectors: list[Vector]


class Caption(BaseModel):
    """A caption of a picture."""

    id: str
    text: str
    tags: dict[str, Any]


class StoredDocument(BaseModel):
    """A document of the collection; of a picture with its captions, of a caption with where its picture is."""

    id: str
    modality: Literal["image", "text"]
    text: str
    mime_type: str
    width: int
    height: int
    image_id: str
    image: str | None
    thumbnail: str | None
    filename: str
    tags: dict[str, Any]
    captions: list[Caption]
    words: list[Word] | None = Field(
        default=None, description="of a picture of a sparse collection: its strongest words"
    )


class CollectionInfo(BaseModel):
    """A collection that is served."""

    name: str
    model: str
    dim: int
    images: int
    captions: int
    generation: str
    examples: list[str] = Field(description="some of its captions, to begin with")
    fusion: str | None = Field(None, description="of a sparse collection: the fusion of who asks for none")


class OtherCollection(BaseModel):
    """Where another collection is served."""

    name: str
    url: str


class CollectionsAnswer(BaseModel):
    """What is served: one collection by one service, and the services of others that this one was told of."""

    collections: list[CollectionInfo]
    elsewhere: list[OtherCollection]


class MapGroups(BaseModel):
    """What the pictures of a map have in a tag."""

    values: list[str] = Field(description="the values, the most frequent first")
    of: list[int] = Field(description="for each picture the place of its value in `values`, or -1")


class MapAnswer(BaseModel):
    """Where the pictures lie, so that similar ones lie together; each list has one entry a picture."""

    collection: str
    method: Literal["umap", "pca"]
    outdated: bool = Field(description="whether the collection has changed since: `python app.py -t map` makes it anew")
    n: int
    ids: list[str] = Field(description="ids of the pictures: /thumbnails/ID and /images/ID show them")
    x: list[float] = Field(description="-1 to 1")
    y: list[float] = Field(description="-1 to 1, upwards")
    filenames: list[str]
    groups: dict[str, MapGroups] = Field(description="by the tag, of those with a few values")


class KnownCaption(BaseModel):
    """A caption and the id of its picture."""

    id: str
    text: str
    image_id: str


class CaptionsAnswer(BaseModel):
    """Some captions with their pictures."""

    captions: list[KnownCaption]


class ModelInfo(BaseModel):
    """A model that is served."""

    name: str
    family: str
    weights: str
    weights_hash: str
    dim: int
    size_px: int
    modalities: list[Literal["image", "text"]]


class ModelsAnswer(BaseModel):
    """The models that are served."""

    models: list[ModelInfo]


class ReadyAnswer(BaseModel):
    """An encoding and a search have just gone well."""

    status: Literal["ready"]
    took_ms: float


class ProblemAnswer(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"type": "about:blank", "title": "Unprocessable Content", "status": 422, "detail": "the text is empty"}
            ]
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str
