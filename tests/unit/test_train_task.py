"""-t train: settings given by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from cli import train
from cli.main import main
from crossmodal.core.errors import InputError
from crossmodal.core.settings import Settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("depth=3", r"'depth=3'.*NAME=VALUE with a name of backbone, .*loss"),
        ("epochs=many", r"'epochs=many'.*a value like 20"),
        ("loss=huber", r"'loss=huber'.*max-of-hinges, sum-of-hinges, contrastive"),
        ("augmentation=some", r"'augmentation=some'.*light, strong"),
        ("batch_size=0", r"'batch_size=0': expected more than 0"),
        ("margin=-1", r"'margin=-1': expected 0 or more"),
        ("learning_rate=nan", r"'learning_rate=nan': expected 0 or more"),
    ],
)
def test_a_setting_that_is_not_one_is_named(given: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        train.run(Settings("scenes", model="vse"), None, tmp_path, [given], print)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("chosen", [("-m", "vse"), ("-m", "sparse"), ("-m", "clip", "--weights", "photos")])
def test_steps_are_for_the_small_clip_only(chosen: tuple[str, ...], tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["train", "scenes", *chosen, "--steps", "5", "-w", str(tmp_path)])
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "--steps applies only to `-m clip -d scenes`" in done.stderr


@pytest.mark.parametrize(("model", "batch_size"), [("clip", 512), ("vse", 256)])
def test_the_number_of_pictures_is_that_of_the_scenes(model: str, batch_size: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^200 scenes are fewer than a batch of {batch_size}: "):
        train.run(Settings("scenes", model=model, num_docs=200), None, tmp_path, [], print)
    with pytest.raises(InputError, match="--num-docs and --set n_scenes both say"):
        train.run(Settings("scenes", model=model, num_docs=200), None, tmp_path, ["n_scenes=9000"], print)
    assert list(tmp_path.iterdir()) == []


def test_a_training_has_the_threads_that_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, used = torch.get_num_threads(), list[int]()
    monkeypatch.setattr("crossmodal.training.clip.train", lambda *_: used.append(torch.get_num_threads()))
    try:
        train.run(Settings("scenes", model="clip", threads=before + 1), None, tmp_path, [], print)
    finally:
        torch.set_num_threads(before)
    assert used == [before + 1]
