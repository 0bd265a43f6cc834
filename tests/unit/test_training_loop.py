"""Training on captioned pictures: resume, stops, what is left out; with real, tiny models."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from crossmodal.core.errors import InputError, PictureError, StateError
from crossmodal.core.types import ImageRecord
from crossmodal.encoders import registry
from crossmodal.encoders.photos import PhotoShape
from crossmodal.encoders.pixels import to_tensor
from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.encoders.vse import VseEncoder
from crossmodal.images.decode import decode
from crossmodal.images.geometry import fit as fit_picture
from crossmodal.images.sources import of_record

prepare_torchvision()

import torch  # noqa: E402

from crossmodal.evaluation.recall import measure  # noqa: E402
from crossmodal.training.clip_pairs import SMALL, ClipFineTuning, ClipLearner  # noqa: E402
from crossmodal.training.device import Device  # noqa: E402
from crossmodal.training.frozen import FrozenPictures, dev_features  # noqa: E402
from crossmodal.training.loop import CURVES, PairSource, fit  # noqa: E402
from crossmodal.training.pairs import Augmentation, CaptionedPictures, Key, PairBatch  # noqa: E402
from crossmodal.training.trainer import CHECKPOINT, HISTORY  # noqa: E402
from crossmodal.training.vse import VSE_ON_PHOTOS, VseLearner, VseTraining  # noqa: E402

SETTINGS = VseTraining(
    backbone="test_resnet", image_size=32, joint_dim=16, word_dim=8, min_count=1, epochs=3, batch_size=4,
    loss="contrastive", learning_rate=1e-3,
)  # fmt: skip
CPU = Device(torch.device("cpu"), is_bf16=False)
COLOURS = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 220), "white": (250, 250, 250)}


@pytest.fixture
def records(tmp_path: Path) -> list[ImageRecord]:
    """Twelve plain pictures with two captions each."""
    made = []
    for i in range(12):
        name, colour = list(COLOURS.items())[i % 4]
        path = tmp_path / f"picture-{i}.png"
        Image.new("RGB", (48, 40 + i), colour).save(path)
        made.append(ImageRecord(path, (f"a {name} picture", f"it is {name}")))
    return made


def captions_of(records: Iterable[ImageRecord]) -> list[str]:
    return [caption for record in records for caption in record.captions]


def train(
    records: list[ImageRecord], out: Path, settings: VseTraining = SETTINGS, source: PairSource | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    learner = VseLearner.start(settings, captions_of(records), None, CPU)
    if source is None:
        source = CaptionedPictures(records[:8], settings.image_size, settings.seed)
    said: list[str] = []
    schedule = replace(settings.schedule, n_workers=0)
    return fit(learner, source, records[8:], schedule, measure, out, said.append), said


def test_a_run_leaves_weights_history_and_curves(records: list[ImageRecord], tmp_path: Path) -> None:
    history, said = train(records, tmp_path / "out")
    assert [entry["epoch"] for entry in history] == [0, 1, 2]
    assert json.loads((tmp_path / "out" / HISTORY).read_text()) == history
    with Image.open(tmp_path / "out" / CURVES) as curves:
        assert curves.format == "PNG"
    assert any("dev rsum" in line for line in said)
    spec = registry.resolve("vse", str(tmp_path / "out"))
    vectors = registry.load(spec).encode_texts(["a red picture"])
    assert vectors.shape == (1, 16)


class StopsAfter:
    """A source whose process is stopped when an epoch begins."""

    def __init__(self, source: PairSource, epoch: int) -> None:
        self.source, self.epoch = source, epoch

    def __len__(self) -> int:
        return len(self.source)

    def batches(self, epoch: int, *args: Any) -> tuple[int, Iterable[PairBatch]]:
        if epoch == self.epoch:
            raise KeyboardInterrupt
        return self.source.batches(epoch, *args)


def state_of(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / CHECKPOINT, weights_only=True)["model"]
    return state


def test_a_resumed_run_ends_as_an_uninterrupted_one(records: list[ImageRecord], tmp_path: Path) -> None:
    settings = replace(SETTINGS, word_dropout=0.3)
    train(records, tmp_path / "whole", settings)
    source = CaptionedPictures(records[:8], 32, settings.seed)
    with pytest.raises(KeyboardInterrupt):
        train(records, tmp_path / "parts", settings, StopsAfter(source, 2))
    history, _ = train(records, tmp_path / "parts", settings)
    assert len(history) == 3
    whole, parts = state_of(tmp_path / "whole"), state_of(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_other_settings_do_not_go_on_with_a_run(records: list[ImageRecord], tmp_path: Path) -> None:
    train(records, tmp_path / "out", replace(SETTINGS, epochs=1))
    before = (tmp_path / "out" / "training.json").read_text()
    with pytest.raises(StateError, match="learning_rate"):
        train(records, tmp_path / "out", replace(SETTINGS, epochs=1, learning_rate=1.0))
    assert (tmp_path / "out" / "training.json").read_text() == before


def test_a_picture_that_is_gone_is_named_and_the_rest_goes_on(records: list[ImageRecord], tmp_path: Path) -> None:
    records[3].path.unlink()
    history, said = train(records, tmp_path / "out")
    assert {failure["path"] for failure in history[0]["failures"]} == {str(records[3].path)}
    assert any(str(records[3].path) in line for line in said)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good(
    records: list[ImageRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(records, tmp_path / "out", replace(SETTINGS, epochs=3, patience=0), None)
    before = state_of(tmp_path / "out")
    checkpoint = torch.load(tmp_path / "out" / CHECKPOINT, weights_only=True)
    checkpoint["history"] = checkpoint["history"][:1]
    torch.save(checkpoint, tmp_path / "out" / CHECKPOINT)
    monkeypatch.setattr(VseLearner, "loss", lambda *_: torch.tensor(float("nan"), requires_grad=True))
    with pytest.raises(StateError, match=r"nan in epoch 1, step 0"):
        train(records, tmp_path / "out")
    after = state_of(tmp_path / "out")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_empty_split_is_said(records: list[ImageRecord], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train split"):
        train(records, tmp_path / "out", SETTINGS, CaptionedPictures([], 32, 0))
    with pytest.raises(InputError, match="dev split"):
        train(records[:8], tmp_path / "out")


def test_a_run_that_gets_no_better_stops_early(records: list[ImageRecord], tmp_path: Path) -> None:
    rsums = iter([10.0, 9.0, 8.0, 99.0])
    figures = {"t2i": {"R@1": 0.0, "R@5": 0.0, "R@10": 0.0}, "i2t": {"R@1": 0.0, "R@5": 0.0, "R@10": 0.0}}
    learner = VseLearner.start(SETTINGS, captions_of(records), None, CPU)
    schedule = replace(SETTINGS.schedule, epochs=9, patience=2, n_workers=0)
    source = CaptionedPictures(records[:8], 32, 0)
    history = fit(
        learner, source, records[8:], schedule, lambda *_: {**figures, "rsum": next(rsums)}, tmp_path, lambda _: None
    )
    assert [entry["rsum"] for entry in history] == [10.0, 9.0, 8.0]


def test_an_epoch_is_a_function_of_its_number_and_the_seed(records: list[ImageRecord]) -> None:
    def epoch(number: int, seed: int = 0) -> list[PairBatch]:
        return list(CaptionedPictures(records, 32, seed).batches(number, 5, "all", 0)[1])

    first, again = epoch(1), epoch(1)
    assert len(first) == 4  # 24 pairs in batches of 5
    assert all(torch.equal(a.pixels, b.pixels) and a.captions == b.captions for a, b in zip(first, again, strict=True))
    for other in (epoch(2), epoch(1, seed=1)):
        assert any(a.captions != b.captions for a, b in zip(first, other, strict=True))
    pairs = [pair for batch in first for pair in batch.captions]
    assert set(pairs) <= set(captions_of(records))


def test_one_caption_an_epoch(records: list[ImageRecord]) -> None:
    pictures = CaptionedPictures(records, 32, 0)
    n_batches, batches = pictures.batches(0, 12, "one", 0)
    (batch,) = batches
    assert n_batches == 1
    assert batch.pixels.shape == (12, 3, 32, 32)
    assert batch.pixels.dtype == torch.uint8


def test_all_captions_come_in_rounds_so_that_no_picture_stands_against_itself(records: list[ImageRecord]) -> None:
    told = [replace(record, captions=(f"one of {i}", f"two of {i}")) for i, record in enumerate(records)]
    first, second = CaptionedPictures(told, 32, 0).batches(3, len(told), "all", 0)[1]
    for batch in (first, second):
        assert {caption.split()[-1] for caption in batch.captions} == {str(i) for i in range(len(told))}
    assert sorted(first.captions + second.captions) == sorted(captions_of(told))


def test_strong_augmentation_changes_more_and_follows_from_the_name_too(records: list[ImageRecord]) -> None:
    light, strong, again = (
        CaptionedPictures(records, 32, 0, augmentation)
        for augmentation in cast("tuple[Augmentation, ...]", ("light", "strong", "strong"))
    )
    keys = [Key(0, i, 0) for i in range(8)]
    drawn = [[np.asarray(source[key][0]) for key in keys] for source in (light, strong, again)]
    assert all((a == b).all() for a, b in zip(drawn[1], drawn[2], strict=True))
    assert any((a != b).any() for a, b in zip(drawn[0], drawn[1], strict=True))


def test_no_epochs_are_refused(records: list[ImageRecord], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 epochs"):
        train(records, tmp_path / "out", replace(SETTINGS, epochs=0))


def test_the_cnn_is_frozen_until_its_epoch(records: list[ImageRecord], tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=1, train_cnn_from=1)
    learner = VseLearner.start(settings, captions_of(records), None, CPU)
    before = {name: value.clone() for name, value in learner.module[0].backbone.state_dict().items()}
    schedule = replace(settings.schedule, n_workers=0)
    fit(learner, CaptionedPictures(records[:8], 32, 0), records[8:], schedule, measure, tmp_path, lambda _: None)
    after = learner.module[0].backbone.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_frozen_pretrained_tower_is_run_once_a_picture(records: list[ImageRecord], tmp_path: Path) -> None:
    settings = replace(VSE_ON_PHOTOS, joint_dim=16, word_dim=8, min_count=1, epochs=2, batch_size=4)
    records = [replace(record, path=record.path) for record in records[:6]]
    records[1] = replace(records[1], path=tmp_path / "gone.png")
    learner = VseLearner.start(settings, captions_of(records), None, CPU)
    before = {name: value.clone() for name, value in learner.module[0].backbone.state_dict().items()}
    seen: list[int] = []

    def tower(pictures: torch.Tensor) -> torch.Tensor:
        seen.append(len(pictures))
        return learner.features(pictures)

    learner.module.eval()
    dev = dev_features(records[4:], learner.preprocessing, tower, print)
    source = FrozenPictures(records[:4], learner.preprocessing, tower, 0, print)
    history = fit(learner, source, records[4:], settings.schedule, measure, tmp_path / "out", lambda _: None, dev)
    assert (len(history), seen) == (2, [4, 6])
    assert [failure["path"] for failure in history[1]["failures"]] == [str(tmp_path / "gone.png")]
    after = learner.module[0].backbone.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    encoder = cast(VseEncoder, registry.load(registry.resolve("vse", str(tmp_path / "out"))))
    assert encoder._image_tower is not None
    picture = fit_picture(decode(of_record(records[4]))[0], encoder.spec.preprocessing)
    with torch.inference_mode():
        found = encoder._image_tower.features(to_tensor(picture[None], encoder.spec.preprocessing))
    assert torch.nn.functional.cosine_similarity(found, dev[:1]).item() == pytest.approx(1, abs=1e-3)


def test_a_frozen_tower_needs_dev_pictures_that_can_be_read(records: list[ImageRecord], tmp_path: Path) -> None:
    gone = [*records[:1], replace(records[1], path=tmp_path / "gone.png")]
    with pytest.raises(PictureError, match=r"gone\.png"):
        dev_features(gone, PhotoShape(size_px=32).preprocessing, lambda pictures: pictures.float().mean((2, 3)), print)


def test_clip_from_nothing_trains_and_loads(
    records: list[ImageRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {**SMALL, "vision_cfg": {**SMALL["vision_cfg"], "head_width": 8}}
    monkeypatch.setattr("crossmodal.training.clip_pairs.SMALL", small)
    settings = ClipFineTuning(epochs=2, batch_size=4, min_count=1, word_dropout=0.2, image_size=32, width=8)
    learner = ClipLearner.start(settings, captions_of(records), tmp_path / "out", CPU)
    schedule = replace(settings.schedule, n_workers=0)
    source = CaptionedPictures(records[:8], 32, 0)
    history = fit(learner, source, records[8:], schedule, measure, tmp_path / "out", lambda _: None)
    assert len(history) == 2
    encoder = registry.load(registry.resolve("clip", str(tmp_path / "out")))
    vectors = encoder.encode_texts(["a red picture"])
    assert vectors.shape == (1, 256)
    assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-5)
