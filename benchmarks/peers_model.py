"""Writes the random weights that all programs of `peers.py` load: `python benchmarks/peers_model.py FOLDER [TARGET]`.

Without TARGET it writes `FOLDER/model.pt`, a checkpoint of open_clip. With it, it converts that checkpoint to the files
that rclip downloads, by the exporter and with the settings of rclip's own conversion script (fp32, a free batch size),
and lays them out in TARGET as in rclip's data folder. That needs the package onnx.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import common  # noqa: F401  it puts the project on the path

from crossmodal.encoders.torchvision_guard import prepare_torchvision

ARCHITECTURE, SEED = "ViT-B-32-256", 0
CHECKPOINT = "model.pt"
ONNX_FOLDER, VOCABULARY = "ViT-B-32-256-datacomp_s34b_b86k", "tokenizer/bpe_simple_vocab_16e6.txt.gz"
"""Where rclip looks for its model, below its data folder."""


def main() -> None:
    folders = [Path(argument) for argument in sys.argv[1:]]
    if len(folders) == 1:
        write_checkpoint(*folders)
    else:
        write_onnx(folders[0] / CHECKPOINT, folders[1])


def write_checkpoint(folder: Path) -> None:
    prepare_torchvision()
    import open_clip
    import torch

    torch.manual_seed(SEED)
    model = open_clip.create_model(ARCHITECTURE, load_weights=False)
    torch.save(model.state_dict(), folder / "unfinished.pt")
    (folder / "unfinished.pt").rename(folder / CHECKPOINT)


def write_onnx(checkpoint: Path, target: Path) -> None:
    prepare_torchvision()
    import open_clip
    import torch

    class TextTower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.model.encode_text(tokens)

    model: Any = open_clip.create_model(ARCHITECTURE, pretrained=str(checkpoint)).eval()
    torch.backends.mha.set_fastpath_enabled(False)  # the exporter does not know its operators
    shutil.rmtree(target, ignore_errors=True)
    for name in (ONNX_FOLDER, str(Path(VOCABULARY).parent)):
        (target / name).mkdir(parents=True)
    shutil.copy(Path(open_clip.__file__).parent / Path(VOCABULARY).name, target / VOCABULARY)
    size = model.visual.image_size[0]
    for name, tower, example in (
        ("visual", model.visual, torch.zeros(1, 3, size, size)),
        ("textual", TextTower().eval(), torch.zeros(1, model.context_length, dtype=torch.long)),
    ):
        with warnings.catch_warnings(action="ignore"):  # the exporter is announced to be replaced
            torch.onnx.export(
                tower,
                (example,),
                str(target / ONNX_FOLDER / f"{name}.onnx"),
                input_names=["input"],
                output_names=["output"],
                dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
                opset_version=18,
                dynamo=False,
            )
    (target / "complete").touch()


if __name__ == "__main__":
    main()
