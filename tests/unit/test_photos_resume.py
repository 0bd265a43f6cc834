"""A stopped training of the `photos` weights goes on as if it had never stopped; small data, the real towers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import first_of_toy_data
from PIL import Image

from crossmodal.core.errors import InputError
from crossmodal.core.types import ImageRecord
from crossmodal.encoders import conversion, registry
from crossmodal.encoders.photo_model import load_folder
from crossmodal.encoders.photos import BUNDLED_FOLDER, PhotoShape
from crossmodal.engines import quantization
from crossmodal.engines.quantization import measured
from crossmodal.images.sources import of_record
from crossmodal.training import photos_run, photos_views
from crossmodal.training.photos import PhotoTraining, train
from crossmodal.training.photos_batches import Batch, Batches
from crossmodal.training.photos_texts import ClassWords
from crossmodal.training.photos_views import Views, make_views
from crossmodal.training.trainer import HISTORY, SETTINGS

RECIPE = PhotoTraining(n_views=2, epochs=2, image_from=1, batch_size=2, class_pairs=2, hard_share=0.5, measure_every=2)


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ImageRecord]:
    """Five pictures of noise; all classes are called `thing`, so that there are few texts to encode."""
    words = ClassWords(["thing"], torch.ones(1, 1000), [[0]] * 1000, [[]] * 1000)
    monkeypatch.setattr(ClassWords, "read", lambda: words)
    monkeypatch.setattr(photos_run, "SHARES", (1.0,))
    (tmp_path / "few").mkdir()
    few = first_of_toy_data(tmp_path / "few", 8)
    monkeypatch.setattr(conversion, "data_folder", lambda _: few)
    monkeypatch.setattr(conversion, "N_IMAGES", 4)
    monkeypatch.setattr(conversion, "N_TEXTS", 4)
    monkeypatch.setattr(quantization, "chosen", lambda network, batches: measured(network, islice(batches, 1)))
    made = []
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 255, (32, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        made.append(ImageRecord(tmp_path / f"{number}.png", (f"picture {number}",)))
    return made


def test_a_resumed_run_ends_as_an_uninterrupted_one(
    records: list[ImageRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    epoch = Batches.epoch

    def copied_after_the_first(self: Batches, number: int, *args: Any) -> Iterator[Batch]:
        if number == 1001:  # what a run leaves that is stopped here
            shutil.copytree(whole, parts)
        return epoch(self, number, *args)

    monkeypatch.setattr(Batches, "epoch", copied_after_the_first)
    damaged = ImageRecord(tmp_path / "damaged.png", ("damaged",))
    damaged.path.write_bytes(records[0].path.read_bytes()[:300])
    pictures = [damaged, *records[:4]]
    train(RECIPE, pictures, records[4:], whole, lambda line: None)
    monkeypatch.setattr(Batches, "epoch", epoch)
    torch.rand(7)  # another process has another random state
    decoded = []
    monkeypatch.setattr(photos_views, "of_record", lambda record: decoded.append(record) or of_record(record))
    lines: list[str] = []
    stages = train(RECIPE, pictures, records[4:], parts, lines.append)
    assert decoded == [damaged], "the others have their views already"
    assert lines[0].startswith(f"left out: {damaged.path}: damaged or truncated")
    assert [failure["path"] for failure in json.loads((parts / SETTINGS).read_text())["left_out"]] == [
        str(damaged.path)
    ]
    assert [line.split(":")[0] for line in lines if line.startswith("epoch")] == ["epoch 1"]
    assert set(stages) == {"locked", "fine_tuned", "averaged"}
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()
    assert len(json.loads((parts / HISTORY).read_text())) == 2
    assert registry.resolve("clip", str(parts)).dim == 640


def test_a_picture_that_was_repaired_is_used(records: list[ImageRecord], tmp_path: Path) -> None:
    def made() -> Views:
        return make_views(records, tower, PhotoShape().preprocessing, 2, 0, tmp_path / "views", lambda line: None)

    tower = load_folder(BUNDLED_FOLDER).image_tower
    whole, content = np.array(made().front), records[1].path.read_bytes()
    records[1].path.write_bytes(content[:300])
    (tmp_path / "views.done").unlink()
    rest = made()
    assert [failure.path for failure in rest.failures] == [str(records[1].path)]
    assert list(rest.records) == [records[0], *records[2:]]
    assert (rest.front.shape[0], len(rest.features)) == (4, 4)
    assert np.array_equal(rest.front, whole[[0, 2, 3, 4]])
    records[1].path.write_bytes(content)
    again = made()
    assert not again.failures
    assert np.array_equal(again.front, whole)


def test_fewer_pictures_than_a_batch_are_refused(records: list[ImageRecord], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="4 pictures are fewer than a batch of 384: give a smaller one"):
        train(PhotoTraining(), records[:4], records[4:], tmp_path / "out", print)
    assert not (tmp_path / "out").exists()
