"""The requests and answers of the typed API.

The file is longer than 300 lines because it has all shapes of the API.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from crossmodal.core.settings import MAX_OFFSET, MAX_TOP_K
from crossmodal.search.examples import MAX_EXAMPLES
from crossmodal.search.query import MAX_AVOIDED, N_CANDIDATES, Order
from serving.filter_fields import After, Before, Camera, Folder, Near, Where, WithinKm
from serving.http.readings import TextInPicture

MAX_TEXT = 10_000

DATA_URI = "data:image/png;base64,iVBORw0KGgo..."


class _StrictRequest(BaseModel):
    """A request whose unknown fields are refused, because they are most likely misspelt."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class SearchRequest(_StrictRequest):
    """A query: words, a picture, a document of the collection, or several of these combined."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": "two hearts -red", "top_k": 20},
                {"text": "at night", "image": DATA_URI, "mix": 0.7, "where": "tags.filename like 'test-0%'"},
                {"like": "8f14e45fceea167a5a36dedd4bea2543c6c8d1b3", "offset": 20},
                {"text": "a heart", "likes": ["8f14e45f", DATA_URI], "unlikes": ["c9f0f895"]},
            ]
        }
    )

    text: str | None = Field(None, max_length=MAX_TEXT, description='words; `-dog` or `-"at night"` is excluded')
    image: str | None = Field(None, description="a picture as a data URI, or as a URL if the service fetches these")
    like: str | None = Field(None, max_length=200, description="the id of a document: find similar ones")
    likes: list[str] = Field(
        default_factory=list,
        max_length=MAX_EXAMPLES,
        description="examples of what to find: ids of documents, or pictures as in `image`; they stay in the results",
    )
    unlikes: list[str] = Field(
        default_factory=list,
        max_length=MAX_EXAMPLES,
        description="examples of what not to find, as in `likes`; they are not among the results. "
        f"At most {MAX_EXAMPLES} examples together",
    )
    exclude: list[str] = Field(default_factory=list, max_length=MAX_AVOIDED, description="words to exclude")
    mix: float = Field(
        0.5, ge=0, le=1, description="with words and a picture: from 0, words only, to 1, the picture only"
    )
    where: Where = None
    after: After = None
    before: Before = None
    near: Near = None
    within_km: WithinKm = None
    camera: Camera = None
    folder: Folder = None
    order: Order = Field(
        "relevance", description=f"`newest` or `oldest` first, of the {N_CANDIDATES:,} best results those that fit"
    )
    understand: bool = Field(
        False, description="find dates and places in `text`, as described in docs/when-and-where.md"
    )
    top_k: int = Field(20, ge=1, le=MAX_TOP_K, description="most results of each modality")
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="number of results of each modality to skip")
    min_score: float | None = Field(None, ge=-1, description="lowest score of a result")
    min_relevance: float | None = Field(None, ge=0, le=1, description="lowest relevance of a result")
    fusion: str | None = Field(
        None,
        max_length=100,
        description="fusion of a sparse collection: `dense`, `sparse`, `bm25`, `rrf`, or `weighted:A,B,C` of these",
    )
    target: Literal["image", "text", "both"] | None = Field(
        None, description="what to find: by default pictures, and captions if the query is a picture alone"
    )
    collection: str | None = Field(None, max_length=200, description="must be the collection that is served")
    vectors: bool = Field(False, description="add the vector of each result")
    after_seq: int | None = Field(
        None, ge=0, description="the `seq` of an answer to /index or /delete: wait until this change is searched"
    )


class Took(BaseModel):
    """Milliseconds. `total` includes the communication between the parts of the service."""

    encode: float
    search: float
    rank: float
    total: float


class Word(BaseModel):
    """A word and its weight."""

    word: str
    weight: float


class Result(BaseModel):
    """A picture, or a caption with its picture."""

    id: str
    modality: Literal["image", "text"]
    score: float = Field(
        description="the cosine with the query, or the score of the `fusion`; more if words of the query stand in the "
        "picture; not comparable between modalities"
    )
    scores: dict[str, float] | None = Field(
        None,
        description="in a search by words: its `cosine`, `sparse` and `bm25` scores, of those that returned it; if "
        "words of the query stand in the picture, also `text`",
    )
    why: list[Word] | None = Field(
        None,
        description="the words that matched: they sum to the `sparse` score, or to `bm25` if only words of "
        "captions are searched; those in double quotes stand in the picture and sum to `text`",
    )
    relevance: float | None = Field(
        None, description="the probability that it matches, if the collection is calibrated"
    )
    text: str
    captions: list[str] = Field(description="all captions of the picture")
    image_id: str
    image: str = Field(description="the path of the picture")
    thumbnail: str = Field(description="the path of the thumbnail")
    filename: str
    width: int
    height: int
    tags: dict[str, Any]
    vector: list[float] | None = None


class Asked(BaseModel):
    """The request as the service interpreted it."""

    text: str | None = None
    exclude: list[str] = []
    has_image: bool = False
    like: str | None = None
    likes: list[str] | None = Field(
        default=None, description="the ids of the examples; that of a sent picture is the one it would be stored under"
    )
    unlikes: list[str] | None = None
    mix: float | None = None
    where: str | None = None
    near: str | None = Field(None, description="the place that was found for `near`")
    order: Order | None = Field(None, description="absent for the order by relevance")
    target: Literal["image", "text", "both"]
    top_k: int
    offset: int
    min_score: float | None = None
    fusion: str | None = Field(None, description="the fusion that was used, in a sparse collection")
    min_relevance: float | None = None


class OrderedByTime(BaseModel):
    """What the order `newest` or `oldest` was made from."""

    threshold: float = Field(description="the lowest relevance of a result that fits: `min_relevance`, or 0.5")
    candidates: int = Field(description="number of best results that were compared with it")
    fitting: int = Field(description="number of these that fit; pages follow until all were returned")


class UnderstoodPart(BaseModel):
    """A phrase of the text that became a filter."""

    kind: Literal["date", "place"]
    text: str = Field(description="the phrase as it was written")
    after: str | None = Field(None, description="the first day")
    before: str | None = Field(None, description="the day after the last")
    near: str | None = Field(None, description="the full name of the place, or the name of the country or region")
    latitude: float | None = Field(None, description="absent for a country or region, as are the next two")
    longitude: float | None = None
    within_km: float | None = None


class SearchAnswer(BaseModel):
    """The results: pictures first, then captions, each with the highest score first, or in the `order`."""

    model: str
    collection: str
    took_ms: Took
    n: int = Field(description="number of results in the answer")
    more: bool = Field(description="whether there are more results; get them with a larger `offset`")
    fits: bool | None = Field(
        None, description="whether the best result reaches `min_relevance`, or 0.5; absent if results have no relevance"
    )
    ordered: OrderedByTime | None = Field(None, description="only with the order `newest` or `oldest`")
    understood: list[UnderstoodPart] | None = Field(
        None, description="with `understand`: the dates and places; `query.text` has the words that remain"
    )
    listed: bool | None = Field(
        default=None, description="true if only a time or a place was given: its pictures by date, with the score 0"
    )
    results: list[Result]
    query: Asked
    note: str | None = Field(
        None, description="parts of the query that were not used: unknown words, or text beyond the model's limit"
    )
    slice: str | None = Field(None, description="the slice that was searched, as in `2/4`; absent for all documents")
    missing: list[str] | None = Field(
        default=None, description="of a front node: the slices that did not answer, whose documents are missing"
    )


class EncodeRequest(_StrictRequest):
    """Texts and pictures to encode."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": ["two hearts", "a red ring"]}]})

    texts: list[str] = Field(default_factory=list, max_length=256)
    images: list[str] = Field(default_factory=list, max_length=64, description="pictures, like `image` of a search")


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
    """A document of the collection: a picture with its captions, or a caption with the path of its picture."""

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
        default=None, description="the strongest words of a picture, in a sparse collection"
    )
    reading: TextInPicture | None = Field(default=None, description="the text in a picture, if it was read")


class ReadyAnswer(BaseModel):
    """The latest check of encoding and search succeeded."""

    status: Literal["ready"]
    took_ms: float


class ProblemAnswer(BaseModel):
    """An error (RFC 9457)."""

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
