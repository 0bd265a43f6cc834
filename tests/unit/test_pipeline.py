"""The pipeline of indexing without a Flow: the size of its batches."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ingest_world import MODEL, VECTOR, encoded

from crossmodal.collection.collection import Collection
from crossmodal.core.types import Document
from crossmodal.datasets.folder import read_path
from crossmodal.ingest import pipeline
from crossmodal.ingest.job import IndexJob
from crossmodal.ingest.pipeline import Pipeline


@pytest.mark.parametrize(
    ("device", "of_pictures", "of_captions"), [("cpu", [32, 8], [128, 72]), ("cuda:0", [40], [200])]
)
def test_batches_are_larger_on_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, of_pictures: list[int], of_captions: list[int]
) -> None:
    sizes: list[int] = []

    def encode(items: object) -> object:
        sizes.append(len(items))  # type: ignore[arg-type]
        return np.repeat(VECTOR[None], sizes[-1], axis=0)

    encoder = SimpleNamespace(encode_images=encode, encode_texts=encode, unread=lambda _: "", spec=MODEL)
    monkeypatch.setattr(pipeline, "prepared_encoder", lambda *_: encoder)
    monkeypatch.setattr(pipeline.devices, "resolve", lambda _: device)
    (tmp_path / "pictures").mkdir()
    for number in range(40):
        (tmp_path / "pictures" / f"{number}.png").write_bytes(encoded(number))
    collection = Collection.create(tmp_path / "c", MODEL)
    collection.store(writable=True).close()
    job = IndexJob(collection, str(tmp_path / "pictures"))
    captions = [Document(f"c{n}", "text", text=f"a star {n}") for n in range(200)]
    with Pipeline(collection, batch_size=32) as opened:
        done: list[str] = []
        opened.add_pictures(job.images(read_path(tmp_path / "pictures")), lambda _: done.append("image"), lambda: None)
        assert sizes == of_pictures
        sizes.clear()
        opened.add_captions(captions, lambda _: done.append("text"))
        assert sizes == of_captions
    assert (done.count("image"), done.count("text")) == (40, 200)
