"""The unmodified client of OpenAI's API gets the vectors of POST /encode from a real service."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from conftest import TOY, RunApp, Service, started

PICTURE = (TOY / "images" / "test-00000.jpg").read_bytes()
BASE64 = base64.b64encode(PICTURE).decode()
DATA_URI = f"data:image/jpeg;base64,{BASE64}"
MODEL = "clip/scenes"


@pytest.fixture(scope="module")
def client(query_service: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{query_service.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def encoded(service: Service, **body: Any) -> np.ndarray[Any, Any]:
    answer = httpx.post(service.url + "/encode", json=body, timeout=30).json()
    return np.array([vector["vector"] for vector in answer["vectors"]])


def posted(service: Service, body: Any) -> httpx.Response:
    return httpx.post(service.url + "/v1/embeddings", json=body, timeout=30)


def test_the_client_gets_the_vectors_of_encode(client: openai.OpenAI, query_service: Service) -> None:
    texts = ["two hearts", "a red ring", "ein roter Ring"]
    expected = encoded(query_service, texts=texts, images=[DATA_URI])
    answer = client.embeddings.create(model=MODEL, input=[DATA_URI, *texts])  # the client asks for base64
    assert [one.index for one in answer.data] == [0, 1, 2, 3]
    found = np.array([one.embedding for one in answer.data])
    np.testing.assert_allclose(found, expected[[3, 0, 1, 2]], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (answer.model, answer.usage.prompt_tokens, answer.usage.total_tokens) == (MODEL, 8, 8)
    as_floats = client.embeddings.create(
        model=MODEL, input="two hearts", encoding_format="float", dimensions=expected.shape[1]
    )
    np.testing.assert_allclose(as_floats.data[0].embedding, expected[0], atol=1e-6)


def test_the_client_lists_the_model(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_inputs_as_jina_names_them(query_service: Service) -> None:
    expected = encoded(query_service, texts=["a heart"], images=[DATA_URI])
    body = {"input": [{"text": "a heart"}, {"image": BASE64}, {"image": DATA_URI}], "model": ""}
    found = np.array([one["embedding"] for one in posted(query_service, body).json()["data"]])
    np.testing.assert_allclose(found, expected[[0, 1, 1]], atol=1e-6)


def test_errors_that_the_client_reads(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="not served here, only 'clip/scenes'") as missing:
        client.embeddings.create(model="text-embedding-3-small", input="a heart")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError, match="arrays of tokens are not read") as tokens:
        client.embeddings.create(model=MODEL, input=[[1, 2], [3]])
    assert (tokens.value.type, tokens.value.param) == ("invalid_request_error", "input")
    with pytest.raises(openai.BadRequestError, match="arrays of tokens"):
        client.embeddings.create(model=MODEL, input=[1, 2])
    with pytest.raises(openai.BadRequestError, match="can't be shortened") as shortened:
        client.embeddings.create(model=MODEL, input="a heart", dimensions=3)
    assert shortened.value.param == "dimensions"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": ""}, "input.0: the text is empty"),
        ({"input": []}, "0 inputs"),
        ({"input": ["a"] * 2_049}, "2049 inputs, expected 1 to 2,048"),
        ({"input": [DATA_URI] * 65}, "65 pictures in one request"),
        ({"input": {"image": "/etc/passwd"}}, "input.0: invalid base64"),
        ({"input": {"image": "http://127.0.0.1:9/a.jpg"}}, "--allow-url-fetch"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "task": "retrieval"}, "task: Extra inputs"),
        ({}, "input: Field required"),
        ([], "valid dictionary"),
    ],
)
def test_what_is_refused(query_service: Service, body: Any, message: str) -> None:
    answer = posted(query_service, body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert message in error["message"]
    assert set(error) == {"message", "type", "param", "code"}


def test_an_unknown_path_and_a_body_that_is_not_json(query_service: Service) -> None:
    missing = httpx.post(query_service.url + "/v1/chat/completions", json={}, timeout=30)
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "invalid_request_error")
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(query_service.url + "/v1/embeddings", content=b"{", headers=headers, timeout=30)
    assert answer.status_code == 400
    assert "message" in answer.json()["error"]


def test_keys_as_the_client_sends_them(run_app: RunApp, toy_workspace: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key = run_app("-t", "keys", "--keys", keys, "read").stdout.strip()
    with started("query_restful", toy_workspace, "--keys", str(keys), key=key) as service:
        url = f"{service.url}/v1"
        with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as known:
            assert len(known.embeddings.create(model=MODEL, input=["a", "b"]).data) == 2
        with openai.OpenAI(base_url=url, api_key="wrong", max_retries=0) as unknown:
            with pytest.raises(openai.AuthenticationError, match="the key is unknown") as refused:
                unknown.embeddings.create(model=MODEL, input="a")
            assert refused.value.code == "invalid_api_key"
