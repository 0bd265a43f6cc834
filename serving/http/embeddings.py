"""POST /v1/embeddings and GET /v1/models, in the shape of OpenAI's API, for programs that have a client of it.

A picture is a data URI among the texts, or `{"image": ...}` as in Jina's embeddings API.

Source: OpenAI, API reference, "Embeddings"; Jina AI, embeddings API, `input` of its multimodal models.
"""

from __future__ import annotations

import base64
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.types import ModelSpec, Vectors
from crossmodal.images.sources import is_data_uri
from executors.schema import MediaDoc
from serving.http.errors import ProblemRoute, RefusedError, problem_of
from serving.http.openai_errors import openai_failure
from serving.http.schemas import DATA_URI
from serving.http.search import Searcher, picture_doc
from serving.http.url_pictures import Fetched, UrlPictures, is_url, picture_of

MAX_INPUTS, MAX_PICTURES = 2_048, 64


class TextInput(BaseModel):
    """A text, as Jina's API names it."""

    model_config = ConfigDict(extra="forbid")
    text: str


class ImageInput(BaseModel):
    """A picture, as Jina's API names it."""

    model_config = ConfigDict(extra="forbid")
    image: str = Field(description="a data URI, base64, or a URL if the service fetches these")


Input = str | TextInput | ImageInput


class EmbeddingsRequest(BaseModel):
    """Texts and pictures to encode."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"model": "clip/photos", "input": ["two hearts", "a red ring"]},
                {"input": [{"text": "a dog"}, {"image": DATA_URI}], "encoding_format": "base64"},
            ]
        },
    )

    input: Input | list[Input] = Field(
        description=f"a text, or up to {MAX_INPUTS:,}; up to {MAX_PICTURES} of them pictures as data:image/... URIs"
    )
    model: str | None = Field(None, description="the name in GET /v1/models; the served model by default")
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="base64 is of the float32 numbers, little-endian"
    )
    dimensions: int | None = Field(None, description="must be the dimension of the model")
    user: str | None = Field(None, description="not used")

    @field_validator("input", mode="before")
    @classmethod
    def _has_no_tokens(cls, value: Any) -> Any:
        if isinstance(value, list) and any(isinstance(item, int | list) for item in value):
            raise PydanticCustomError(
                "tokens", "arrays of tokens are not read, because each model has its own: send texts"
            )
        return value

    def inputs(self) -> list[Input]:
        """The inputs, in order."""
        return self.input if isinstance(self.input, list) else [self.input]


class Embedding(BaseModel):
    """The unit vector of an input."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """The number of words, because tokens differ from model to model; pictures count none."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """The vectors, in the order of `input`."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class OpenAIModel(BaseModel):
    """A model as OpenAI's API lists it."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(default=0, description="always 0")
    owned_by: str = "crossmodal"


class OpenAIModels(BaseModel):
    """The model that is served."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]


class OpenAIErrorBody(BaseModel):
    """The reason of a refusal."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorAnswer(BaseModel):
    """An error in the shape of OpenAI's API."""

    error: OpenAIErrorBody


class RefusedInputError(RefusedError):
    """A refusal that names the field of the request and has a code for programs."""

    def __init__(self, status: int, detail: str, param: str, code: str | None = None) -> None:
        super().__init__(status, detail)
        self.param, self.code = param, code


class OpenAIRoute(ProblemRoute):
    """A route whose errors have the shape of OpenAI's."""

    def failure(self, request: Request, error: Exception) -> Response:
        """As `ProblemRoute.failure`."""
        if isinstance(error, RefusedInputError):
            return openai_failure(error.problem, error.param, error.code)
        fault = next(iter(error.errors())) if isinstance(error, RequestValidationError) else {"loc": ()}
        names = [str(part) for part in fault["loc"] if part != "body"]
        return openai_failure(problem_of(error), names[0] if names else None)


_FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "model": OpenAIErrorAnswer}
    for status, description in (
        (400, "The request is not valid; `error.message` says why"),
        (404, "Another model than the one that is served"),
        (503, "A part of the service does not answer"),
    )
}


def model_name(model: ModelSpec) -> str:
    """The name of a model in these routes: `clip/photos`."""
    return f"{model.family}/{model.weights}"


def add_embeddings(app: FastAPI, searcher: Searcher, opened: GenerationCache[Any], urls: UrlPictures) -> None:
    """Adds POST /v1/embeddings, GET /v1/models and GET /v1/models/{model}."""
    router = APIRouter(route_class=OpenAIRoute)

    @router.post("/v1/embeddings", summary="Vectors, in the shape of OpenAI's API", responses=_FAILURES)
    async def embeddings(request: Request, body: EmbeddingsRequest) -> EmbeddingsAnswer:
        """As POST /encode, for clients of OpenAI's API."""
        _check(body, opened.current()[1].collection.model)
        inputs = body.inputs()
        pictures = {place: uri for place, given in enumerate(inputs) if (uri := _picture_uri(given)) is not None}
        if len(pictures) > MAX_PICTURES:
            raise RefusedInputError(
                400, f"{len(pictures)} pictures in one request, at most {MAX_PICTURES} are allowed: split it", "input"
            )
        async with urls.fetched(request, pictures.values()) as fetched:
            docs = [_doc(place, given, pictures.get(place), fetched) for place, given in enumerate(inputs)]
            encoded = await searcher.encoded(docs)
        model = opened.named(encoded[0].generation).collection.model
        data = [
            Embedding(index=place, embedding=_written(np.asarray(doc.embedding, np.float32), body.encoding_format))
            for place, doc in enumerate(encoded)
        ]
        n_words = sum(len(doc.text.split()) for doc in docs)
        usage = Usage(prompt_tokens=n_words, total_tokens=n_words)
        return EmbeddingsAnswer(data=data, model=model_name(model), usage=usage)

    @router.get("/v1/models", summary="The model, in the shape of OpenAI's API")
    def models() -> OpenAIModels:
        return OpenAIModels(data=[OpenAIModel(id=model_name(opened.current()[1].collection.model))])

    @router.get("/v1/models/{model:path}", summary="The model by its name", responses={404: _FAILURES[404]})
    def model(model: str) -> OpenAIModel:
        _check_name(model, opened.current()[1].collection.model)
        return OpenAIModel(id=model)

    app.include_router(router)


def _check(body: EmbeddingsRequest, model: ModelSpec) -> None:
    if body.model:
        _check_name(body.model, model)
    if body.dimensions not in (None, model.dim):
        raise RefusedInputError(
            400, f"dimensions: the vectors have {model.dim}, and can't be shortened: remove it", "dimensions"
        )
    inputs = body.inputs()
    if not 1 <= len(inputs) <= MAX_INPUTS:
        raise RefusedInputError(400, f"input: {len(inputs)} inputs, expected 1 to {MAX_INPUTS:,}", "input")
    for place, given in enumerate(inputs):
        if not isinstance(given, ImageInput) and not _text(given).strip():
            raise RefusedInputError(400, f"input.{place}: the text is empty", "input")


def _check_name(name: str, model: ModelSpec) -> None:
    if name not in (model_name(model), str(model)):
        raise RefusedInputError(
            404, f"the model {name[:200]!r} is not served here, only {model_name(model)!r}", "model", "model_not_found"
        )


def _text(given: str | TextInput) -> str:
    return given if isinstance(given, str) else given.text


def _picture_uri(given: Input) -> str | None:
    """The URI of a picture, None for a text; plain base64 becomes a data URI."""
    if isinstance(given, ImageInput):
        is_uri = is_data_uri(given.image) or is_url(given.image)
        return given.image if is_uri else f"data:application/octet-stream;base64,{given.image}"
    if isinstance(given, str) and given[:11].lower() == "data:image/":
        return given
    return None


def _doc(place: int, given: Input, picture: str | None, fetched: Fetched) -> MediaDoc:
    if isinstance(given, ImageInput) or picture is not None:
        return picture_doc(picture_of(picture or "", f"input.{place}", fetched))
    return MediaDoc(modality="text", text=_text(given))


def _written(vector: Vectors, encoding_format: str) -> list[float] | str:
    if encoding_format == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.astype(float).tolist()
    return numbers
