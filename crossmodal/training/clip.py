"""Trains the small CLIP on scenes.

The loss has these parts: captions against pictures with hard negatives, short queries with all their
positives, and one linear reading of attributes ("a heart on the left", "three stars") that must succeed
on the embedding of a picture and on the embedding of its caption alike; and the same reading must tell a
caption from its false twin. The last two teach both towers where things are: without them, a caption is
told from its mirror image by chance.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossmodal.encoders.torchvision_guard import prepare_torchvision

prepare_torchvision()

import torch  # noqa: E402
from open_clip.model import CLIP  # noqa: E402
from open_clip.tokenizer import SimpleTokenizer  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from crossmodal.core.errors import StateError  # noqa: E402
from crossmodal.encoders.clip import CONFIG_NAME, MERGES_NAME, WEIGHTS_NAME  # noqa: E402
from crossmodal.training.losses import contrastive_with_negatives, multi_positive, told_apart  # noqa: E402
from crossmodal.training.merges import scene_words, write_merges  # noqa: E402
from crossmodal.training.scene_batches import (  # noqa: E402
    N_ATTRIBUTES,
    NEGATIVES,
    SceneBatch,
    SceneBatches,
    draw_pool,
)

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
MAX_SCALE = 100.0

MODEL_CONFIG: dict[str, Any] = {
    "embed_dim": 192,
    "vision_cfg": {"image_size": 96, "layers": [1, 1, 1, 1], "width": 16, "head_width": 32},
    "text_cfg": {"context_length": 48, "vocab_size": 0, "width": 128, "heads": 4, "layers": 3},
}


@dataclass(frozen=True)
class ClipTraining:
    """The settings of a run; they are saved beside its weights."""

    steps: int = 1400
    batch_size: int = 192
    learning_rate: float = 1.5e-3
    warmup_steps: int = 100
    weight_decay: float = 0.05
    short_weight: float = 0.5
    attribute_weight: float = 0.5
    pair_weight: float = 1.0
    n_scenes: int = 30_000
    seed: int = 0
    checkpoint_every: int = 250


def train(settings: ClipTraining, out: Path, report: Callable[[str], None]) -> None:
    """Trains and writes a folder that open_clip and this program load.

    A run that was stopped goes on from its last checkpoint in `out` with the same result as if it had
    not been: batch i depends on the seed and i only, and the optimiser's state is in the checkpoint. Only
    the number of steps may be another, and with it the learning rate's curve from there on.

    Args:
        settings: What to do.
        out: The folder to write.
        report: Called with a line of progress now and then.

    Raises:
        StateError: The loss is not finite, and the last checkpoint stays; or `out` has a run of other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_merges(scene_words(), out / MERGES_NAME)
    tokenizer = SimpleTokenizer(str(out / MERGES_NAME), context_length=MODEL_CONFIG["text_cfg"]["context_length"])
    config = {**MODEL_CONFIG, "text_cfg": {**MODEL_CONFIG["text_cfg"], "vocab_size": tokenizer.vocab_size}}
    torch.manual_seed(settings.seed)
    model = CLIP(**config).to(memory_format=torch.channels_last)
    run = _Run(settings, model)
    start = run.resume(out / "checkpoint.pt")
    loader = DataLoader(
        _batches(settings, tokenizer, out), batch_size=None, num_workers=1, sampler=range(start, settings.steps)
    )
    began = time.monotonic()
    for step, batch in enumerate(loader, start):
        losses = run.step(step, batch)
        if not math.isfinite(sum(losses.values())):
            raise StateError(f"the loss is not finite at step {step}: the checkpoint before it is in {out}")
        if step % 50 == 0:
            rate = (step - start + 1) * settings.batch_size / (time.monotonic() - began)
            told = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
            report(f"step {step}/{settings.steps}  {told}  {rate:.0f} images/s")
        if (step + 1) % settings.checkpoint_every == 0:
            run.checkpoint(step + 1, out / "checkpoint.pt")
            export(model, config, settings, out)
    export(model, config, settings, out)


def export(model: CLIP, config: dict[str, Any], settings: ClipTraining, out: Path) -> None:
    """Writes weights in 16 bits and the configuration, in the layout open_clip calls `local-dir`."""
    half = {name: value.half().contiguous() for name, value in model.state_dict().items() if value.is_floating_point()}
    whole = {name: value for name, value in model.state_dict().items() if not value.is_floating_point()}
    save_file({**half, **whole}, out / WEIGHTS_NAME)
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    (out / CONFIG_NAME).write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=2) + "\n")
    (out / "training.json").write_text(json.dumps(asdict(settings), indent=2) + "\n")


class _Run:
    """Model, attribute reading and optimiser of one run."""

    def __init__(self, settings: ClipTraining, model: CLIP) -> None:
        self.settings, self.model = settings, model
        self.attributes = torch.nn.Linear(MODEL_CONFIG["embed_dim"], N_ATTRIBUTES)
        matrices = [p for p in model.parameters() if p.ndim > 1]
        others = [p for p in model.parameters() if p.ndim <= 1] + list(self.attributes.parameters())
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
            betas=(0.9, 0.98),
        )
        self._mean = torch.tensor(MEAN).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(STD).view(1, 3, 1, 1) * 255

    def step(self, step: int, batch: SceneBatch) -> dict[str, float]:
        """One update; returns the parts of the loss."""
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = _learning_rate(settings, step)
        n = len(batch.images)
        with torch.autocast("cpu", torch.bfloat16):
            image = self._image(batch.images)
            told = self._text(torch.cat([batch.captions, batch.negatives]))
            short = self._text(batch.short)
        image, told, short = image.float(), told.float(), short.float()
        scale = self.model.logit_scale.exp().clamp(max=MAX_SCALE)
        unit_image = F.normalize(image, dim=-1)
        unit_told = F.normalize(told, dim=-1)
        captions = contrastive_with_negatives(unit_image, unit_told[:n], unit_told[n:].view(n, NEGATIVES, -1), scale)
        queries = multi_positive(unit_image, F.normalize(short, dim=-1), batch.short_is_true, scale)
        facts = torch.cat([batch.attributes, batch.attributes, batch.negative_attributes])
        readings = self.attributes(torch.cat([image, told]))
        reading = F.binary_cross_entropy_with_logits(readings, facts)
        # Summed over attributes, so that each counts the same whatever their number, in units of ten.
        reading = reading * N_ATTRIBUTES / 10
        pairs = told_apart(readings[n : 2 * n], readings[2 * n :], batch.attributes, batch.negative_attributes)
        loss = captions + settings.short_weight * queries
        loss = loss + settings.attribute_weight * reading + settings.pair_weight * pairs
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return {
            "captions": captions.item(),
            "queries": queries.item(),
            "attributes": reading.item(),
            "pairs": pairs.item(),
        }

    def _image(self, images: Tensor) -> Tensor:
        pixels = (images.float() - self._mean) / self._std
        features: Tensor = self.model.encode_image(pixels.contiguous(memory_format=torch.channels_last))
        return features

    def _text(self, ids: Tensor) -> Tensor:
        """The text tower on ids cut at the longest: it is causal, so what follows the end has no effect."""
        model, length = self.model, ids.shape[1]
        x = model.token_embedding(ids) + model.positional_embedding[:length]
        x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
        x = model.ln_final(x)[torch.arange(len(ids)), ids.argmax(dim=-1)]
        features: Tensor = x @ model.text_projection
        return features

    def checkpoint(self, step: int, path: Path) -> None:
        """Saves everything `resume` needs, all or nothing."""
        partial = path.with_suffix(".partial")
        state = {
            "step": step,
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "attributes": self.attributes.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path) -> int:
        """Loads a checkpoint if there is one; returns the step to go on with."""
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=True)
        changed = {k for k, v in asdict(self.settings).items() if state["settings"].get(k) != v} - {"steps"}
        if changed:
            raise StateError(f"{path} is of a run with another {', '.join(sorted(changed))}: choose another --out")
        self.model.load_state_dict(state["model"])
        self.attributes.load_state_dict(state["attributes"])
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])


def _learning_rate(settings: ClipTraining, step: int) -> float:
    """Linear warm-up, then a cosine down to a fiftieth."""
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / settings.steps)))
    return settings.learning_rate * warm * (0.02 + 0.98 * cosine)


def _batches(settings: ClipTraining, tokenizer: SimpleTokenizer, out: Path) -> SceneBatches:
    side = MODEL_CONFIG["vision_cfg"]["image_size"]
    name = f"scenes-{settings.n_scenes}-{side}-{settings.seed}.npy"
    pool, scenes = draw_pool(out / "pool" / name, settings.n_scenes, side, settings.seed)
    return SceneBatches(
        pool,
        scenes,
        tokenizer.encode,
        (tokenizer.sot_token_id, tokenizer.eot_token_id),
        context_length=MODEL_CONFIG["text_cfg"]["context_length"],
        batch_size=settings.batch_size,
        n_batches=settings.steps,
        seed=settings.seed,
    )
