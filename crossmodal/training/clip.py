"""Trains the small CLIP on scenes. Training counts steps, not epochs, so it does not use `Trainer`.

The image tower is pretrained first: a linear layer predicts the shape, colour, count, size and texture in each cell of
the last feature map, each attribute separately. Three hundred of these steps are worth more than thousands of
contrastive ones, and the result generalises to held-out pairs of attributes, because pairs are never predicted.

Both towers are then trained on a weighted sum of losses:

- captions: contrastive, each caption against all images and against a false twin that differs in one respect;
- queries: multi-positive contrastive, short queries and their false twins against whole images;
- things: the same queries against single things, each the attention pool's output for one cell;
- facts: one linear layer predicts shape, colour, count, size and texture from a thing and from a short query;
- attributes: one linear layer predicts attributes ("a heart on the left", "three stars") from image and caption;
- pairs: the same layer must separate a caption from its false twin;
- cells: the pretraining loss.

Attributes and pairs teach both towers where things are. Without them a caption and its mirror image score alike.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crossmodal.core.files import atomic_writer
from crossmodal.encoders.torchvision_guard import prepare_torchvision

prepare_torchvision()

import torch  # noqa: E402
from open_clip.model import CLIP  # noqa: E402
from open_clip.tokenizer import SimpleTokenizer  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from crossmodal.core.errors import StateError  # noqa: E402
from crossmodal.encoders.clip import resolve  # noqa: E402
from crossmodal.encoders.clip_text import encode_alike  # noqa: E402
from crossmodal.encoders.clip_weights import MERGES_NAME, build  # noqa: E402
from crossmodal.training.clip_folder import completed, save_folder  # noqa: E402
from crossmodal.training.clip_settings import MODEL_CONFIG, PREPROCESSING, ClipTraining, learning_rate  # noqa: E402
from crossmodal.training.device import Device  # noqa: E402
from crossmodal.training.losses import (  # noqa: E402
    contrastive_with_twins,
    multi_positive,
    twin_loss,
)
from crossmodal.training.merges import scene_words, write_merges  # noqa: E402
from crossmodal.training.scene_batches import PictureBatch, SceneBatch, SceneBatches  # noqa: E402
from crossmodal.training.scene_facts import N_ATTRIBUTES  # noqa: E402
from crossmodal.training.scene_pool import draw_pool  # noqa: E402
from crossmodal.training.seeing import FactReading  # noqa: E402

Losses = dict[str, tuple[float, Tensor]]
"""Parts of a loss by name, each with its weight."""

MAX_SCALE = 100.0
TEXT_CHUNKS = 4


def train(settings: ClipTraining, out: Path, report: Callable[[str], None]) -> None:
    """Trains a CLIP and writes a folder that open_clip and this program load.

    An interrupted run resumes from its last checkpoint in `out` and gives the same weights as an uninterrupted one:
    batch i depends on the seed and i only, and the checkpoint holds the optimiser's state. Only the number of steps may
    differ from that of the interrupted run; it changes the learning rate from there on.

    Args:
        settings: The recipe.
        out: The folder to write.
        report: Called with a line of progress every 50 steps.

    Raises:
        StateError: The loss is not finite (the last checkpoint is kept), or `out` has a run with other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_merges(scene_words(), out / MERGES_NAME)
    tokenizer = SimpleTokenizer(str(out / MERGES_NAME), context_length=MODEL_CONFIG["text_cfg"]["context_length"])
    config = completed(MODEL_CONFIG, tokenizer.vocab_size, width=settings.width)
    torch.manual_seed(settings.seed)
    model = CLIP(**config)
    if settings.start:
        model.load_state_dict(build(resolve(settings.start).weights).state_dict())
    device = Device.here(True)
    run = _Run(settings, model, device)
    start = run.resume(out / "checkpoint.pt")
    steps = range(start, settings.all_steps)
    batches = _batches(settings, tokenizer, out)
    loader = DataLoader(batches, batch_size=None, num_workers=device.n_workers, sampler=steps)
    began = time.monotonic()
    for step, batch in enumerate(loader, start):
        losses = run.step(step, batch)
        if step % 50 == 0:
            rate = (step - start + 1) * settings.batch_size / (time.monotonic() - began)
            values = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
            report(f"step {step}/{settings.all_steps}  {values}  {rate:.0f} images/s")
        if (step + 1) % settings.checkpoint_every == 0:
            run.checkpoint(step + 1, out / "checkpoint.pt")
            export(model, config, settings, out)
    export(model, config, settings, out)


def export(model: CLIP, config: dict[str, Any], settings: ClipTraining, out: Path) -> None:
    """Writes the weights, and the settings of the run as `training.json`."""
    save_folder(model, config, PREPROCESSING, out)
    (out / "training.json").write_text(json.dumps(asdict(settings), indent=2) + "\n")


class _Run:
    """Model, auxiliary linear layers and optimiser of one run."""

    def __init__(self, settings: ClipTraining, model: CLIP, device: Device) -> None:
        self.settings, self.device = settings, device
        self.model = model.to(device.device, memory_format=torch.channels_last)
        self.attributes = torch.nn.Linear(MODEL_CONFIG["embed_dim"], N_ATTRIBUTES).to(device.device)
        matrices = [p for p in model.parameters() if p.ndim > 1]
        channels = model.visual.layer4[-1].conv3.out_channels
        self.cells = FactReading(channels).to(device.device)
        self.facts = FactReading(MODEL_CONFIG["embed_dim"]).to(device.device)
        others = [p for p in model.parameters() if p.ndim <= 1]
        others += [*self.attributes.parameters(), *self.cells.parameters(), *self.facts.parameters()]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
            betas=(0.9, 0.98),
        )

    def step(self, step: int, batch: PictureBatch) -> dict[str, float]:
        """Updates the weights; returns the parts of the loss by name.

        Raises:
            StateError: The loss is not finite; nothing was updated.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, step)
        batch = batch.to(self.device.device)
        parts = self._text_losses(batch) if isinstance(batch, SceneBatch) else self._picture_losses(batch)
        values = {name: value.item() for name, (_, value) in parts.items()}
        if not all(map(math.isfinite, values.values())):
            raise StateError(
                f"the loss is not finite at step {step} ({values}): the last checkpoint is kept; "
                "start a new run with a lower learning_rate"
            )
        loss = torch.stack([weight * value for weight, value in parts.values()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return values

    def _picture_losses(self, batch: PictureBatch) -> Losses:
        with self.device.autocast():
            features = self._features(batch.images)
        return {"cells": (1.0, self.cells.of_cells(features, batch.cells))}

    def _text_losses(self, batch: SceneBatch) -> Losses:
        settings, m = self.settings, len(batch.captions)
        with self.device.autocast():
            features = self._features(batch.images)
            image = self.model.visual.attnpool(features)
            caption = self._encode_texts(torch.cat([batch.captions, batch.negatives]))
            query = self._encode_texts(batch.queries)
        image, caption, query = image.float(), caption.float(), query.float()
        scale = self.model.logit_scale.exp().clamp(max=MAX_SCALE)
        unit_image, unit_caption = F.normalize(image, dim=-1), F.normalize(caption, dim=-1)
        targets = torch.cat([batch.attributes, batch.attributes[:m], batch.negative_attributes])
        logits = self.attributes(torch.cat([image, caption]))
        # Summed over attributes and divided by ten, so that an attribute's weight does not depend on their number.
        attributes = F.binary_cross_entropy_with_logits(logits, targets) * N_ATTRIBUTES / 10
        n = len(image)
        pairs = twin_loss(logits[n : n + m], logits[n + m :], batch.attributes[:m], batch.negative_attributes)
        unit_query = F.normalize(query, dim=-1)
        alone = self._pooled_alone(features).flatten(0, 1)[batch.thing_cells]
        thing = F.normalize(alone, dim=-1)
        thing_facts = batch.cells.flatten(0, 1)[batch.thing_cells]
        return {
            "captions": (1.0, contrastive_with_twins(unit_image, unit_caption[:m], unit_caption[m:], scale)),
            "queries": (settings.query_weight, multi_positive(unit_image, unit_query, batch.query_is_true, scale)),
            "things": (settings.thing_weight, multi_positive(thing, unit_query, batch.query_is_true_of_thing, scale)),
            "facts": (settings.fact_weight, self.facts(alone, thing_facts) + self.facts(query, batch.query_facts)),
            "attributes": (settings.attribute_weight, attributes),
            "pairs": (settings.pair_weight, pairs),
            "cells": (settings.cell_weight, self.cells.of_cells(features, batch.cells)),
        }

    def _encode_texts(self, ids: Tensor) -> Tensor:
        """Token ids (n, length), padded with 0, to embeddings (n, dim), in groups of similar length.

        The unfused attention takes a quarter of the time of the fused one for these short texts, mostly in the
        backward pass.
        """
        with sdpa_kernel(SDPBackend.MATH):
            encoded: Tensor = encode_alike(self.model, ids, -(-len(ids) // TEXT_CHUNKS))
        return encoded

    def _features(self, images: Tensor) -> Tensor:
        """The image tower's last feature map, (n, channels, CELLS, CELLS)."""
        visual = self.model.visual
        x = visual.stem(self.device.normalised(images, PREPROCESSING))
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = layer(x)
        features: Tensor = x
        return features

    def _pooled_alone(self, features: Tensor) -> Tensor:
        """The image tower's output if it attended to a single cell, for each cell, (n, cells, dim)."""
        pool = self.model.visual.attnpool
        cells = features.float().flatten(2).transpose(1, 2) + pool.positional_embedding[1:]
        values: Tensor = pool.c_proj(pool.v_proj(cells))
        return values

    def checkpoint(self, step: int, path: Path) -> None:
        """Atomically writes everything that `resume` needs."""
        state = {
            "step": step,
            "settings": asdict(self.settings),
            "model": self.model.state_dict(),
            "attributes": self.attributes.state_dict(),
            "cells": self.cells.state_dict(),
            "facts": self.facts.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with atomic_writer(path) as file:
            torch.save(state, file)

    def resume(self, path: Path) -> int:
        """Loads the checkpoint if it exists; returns the step to start with.

        Raises:
            StateError: The checkpoint belongs to a run with other settings.
        """
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=True)
        changed = {k for k, v in asdict(self.settings).items() if state["settings"].get(k) != v} - {"steps"}
        if changed:
            raise StateError(f"{path} is of a run with another {', '.join(sorted(changed))}: choose another --out")
        self.model.load_state_dict(state["model"])
        self.attributes.load_state_dict(state["attributes"])
        self.cells.load_state_dict(state["cells"])
        self.facts.load_state_dict(state["facts"])
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])


def _batches(settings: ClipTraining, tokenizer: SimpleTokenizer, out: Path) -> SceneBatches:
    side = MODEL_CONFIG["vision_cfg"]["image_size"]
    pool, scenes = draw_pool(out / "pool", settings.n_scenes, side, settings.seed)
    return SceneBatches(
        pool,
        scenes,
        tokenizer.encode,
        (tokenizer.sot_token_id, tokenizer.eot_token_id),
        context_length=MODEL_CONFIG["text_cfg"]["context_length"],
        batch_size=settings.batch_size,
        n_captions=settings.captions_a_batch,
        n_pictures_only=settings.seeing_steps,
        n_batches=settings.all_steps,
        seed=settings.seed,
    )
