"""A collection of every format that there was is still read, and found to be all right."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from crossmodal.collection.collection import Collection
from crossmodal.collection.shared_state import MAP
from crossmodal.collection.verification import verify_collection
from crossmodal.core.errors import StateError
from crossmodal.core.types import image_id

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
CAPTIONS = {f"{colour}.png": [f"a {colour} square", f"ein {colour} Bild, schön"] for colour in ("red", "green", "blue")}


@pytest.fixture(params=sorted(path.name for path in GOLDEN.iterdir()))
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / request.param, tmp_path / request.param))


def test_every_format_has_a_golden_collection() -> None:
    assert [path.name for path in sorted(GOLDEN.iterdir())] == ["format-1", "format-2", "format-3"]


def test_everything_is_there(golden: Path, caplog: pytest.LogCaptureFixture) -> None:
    collection = Collection.open(golden)
    with collection.store(writable=True) as store, caplog.at_level(logging.ERROR):
        assert store.counts() == {"image": 3, "text": 6}
        for _, item in store.everything(0, 100):
            found = item.document
            if found.modality == "image":
                assert image_id(item.content or b"") == found.id
                assert store.caption_texts_of([found.id])[found.id] == CAPTIONS[found.tags["filename"]]
            index = collection.index(store, found.modality)
            scores, keys = index.search(item.vector[None], 1)
            assert scores[0, 0] == pytest.approx(1, abs=1e-4)
            assert store.by_keys(keys[0].tolist())[int(keys[0, 0])] == found
        told = [problem.item for problem in verify_collection(collection, store, lambda _: None).problems]
        assert told == ([] if golden.name == "format-3" else ["image index", "text index"])
        for modality in ("image", "text"):
            collection.index(store, modality).rebuild()
        assert verify_collection(collection, store, lambda _: None).problems == []


def test_damaged_files_beside_the_store_are_named(golden: Path) -> None:
    collection = Collection.open(golden)
    collection.calibration_path.write_bytes(b"no calibration")
    (collection.folder / MAP).write_bytes(b"no map")
    with collection.store(writable=True) as store:
        told = {
            problem.item: problem.reason for problem in verify_collection(collection, store, lambda _: None).problems
        }
    assert "-t calibrate" in told[str(collection.calibration_path)]
    assert "-t map" in told[str(collection.folder / MAP)]


def test_an_old_format_is_brought_up_by_a_writer_only(golden: Path) -> None:
    collection = Collection.open(golden)
    if golden.name == "format-1":
        with pytest.raises(StateError, match="format 1"):
            collection.store()
    collection.store(writable=True).close()
    with collection.store() as store:
        vectors = [item.vector for _, item in store.everything(0, 100)]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
