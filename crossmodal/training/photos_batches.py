"""Batches for training the `photos` weights: images with captions or phrases, and classes with their words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crossmodal.core.types import ImageRecord
from crossmodal.encoders.photo_model import PhotoModel
from crossmodal.training.photos_steps import synthetic_features
from crossmodal.training.photos_texts import TEMPLATES, ClassWords, phrases
from crossmodal.training.photos_views import Views

NAME_SHARE = 0.6
"""Share of a batch's class words that name the class itself; the others are hypernyms."""

GROUP_SIZE = 8
"""Images per group of similar images."""


@dataclass(frozen=True)
class Texts:
    """All texts, with the indices of each image's captions and phrases and of each template with each class word."""

    all: list[str]
    captions: list[list[int]]
    phrases: list[list[int]]
    first_class_text: int

    @classmethod
    def of(cls, records: Sequence[ImageRecord], words: ClassWords) -> Texts:
        """Indexes the texts of images and classes; equal texts of images share an index."""
        numbers: dict[str, int] = {}

        def number(text: str) -> int:
            return numbers.setdefault(text, len(numbers))

        captions = [[number(text) for text in record.captions] for record in records]
        cut = [sorted({number(p) for text in record.captions for p in phrases(text)}) for record in records]
        class_texts = [template.format(word) for template in TEMPLATES for word in words.words]
        return cls([*numbers, *class_texts], captions, cut, len(numbers))

    def class_text(self, template: int, n_words: int) -> range:
        """The indices of a template's texts, in the order of the class words."""
        start = self.first_class_text + template * n_words
        return range(start, start + n_words)


@dataclass(frozen=True)
class Batch:
    """Images with a text each, and synthetic features of classes with a word each.

    `text_numbers` lists the images' texts first, then the classes'. `front` loads the front's output on demand.
    """

    features: Tensor
    front: Callable[[], Tensor]
    text_numbers: list[int]
    positive: Tensor
    synthetic: Tensor
    class_positive: Tensor


class Batches:
    """Draws random batches; those of an epoch depend on the seed, its number and `look_alike` only."""

    def __init__(self, texts: Texts, views: Views, words: ClassWords, class_weights: Tensor, seed: int) -> None:
        self._texts, self._views, self._words = texts, views, words
        self._class_weights, self._seed = class_weights, seed
        self._nearest: NDArray[np.int64] | None = None
        self._texts_of = [{*captions, *cut} for captions, cut in zip(texts.captions, texts.phrases, strict=True)]

    def __len__(self) -> int:
        return len(self._texts.captions)

    @torch.no_grad()
    def look_alike(self, model: PhotoModel) -> None:
        """Makes the following batches of groups of images whose vectors are similar according to `model`."""
        was_training = model.training
        vectors = model.eval().image_vectors(self._views.features[:, 0])
        model.train(was_training)
        k = min(4 * GROUP_SIZE, len(vectors))
        rows = [(part @ vectors.T).topk(k).indices for part in torch.split(vectors, 1024)]
        self._nearest = torch.cat(rows).numpy()

    def epoch(self, number: int, batch_size: int, class_pairs: int, phrase_share: float) -> Iterator[Batch]:
        """The batches of an epoch; an incomplete last batch is dropped."""
        rng = np.random.default_rng((self._seed, number))
        order = self._order(rng)
        for start in range(0, len(order) - batch_size + 1, batch_size):
            yield self._batch(order[start : start + batch_size], class_pairs, phrase_share, rng)

    def _order(self, rng: np.random.Generator) -> NDArray[np.int64]:
        order = rng.permutation(len(self))
        if self._nearest is None:
            return order
        free, grouped = np.ones(len(self), bool), []
        for picture in order:
            if free[picture]:
                group = [i for i in self._nearest[picture] if free[i]][:GROUP_SIZE]
                group = group or [picture]  # with many equal images, an image may not be among its own nearest
                free[group] = False
                grouped.append(group)
        rng.shuffle(grouped)
        return np.concatenate(grouped)

    def _batch(
        self, pictures: NDArray[np.int64], class_pairs: int, phrase_share: float, rng: np.random.Generator
    ) -> Batch:
        texts, words, views = self._texts, self._words, self._views
        view = rng.integers(0, views.features.shape[1], len(pictures))
        chosen = []
        for i in pictures:
            cut = texts.phrases[i] if rng.random() < phrase_share else []
            chosen.append(int(rng.choice(cut or texts.captions[i])))
        positive = torch.tensor([[text in self._texts_of[i] for text in chosen] for i in pictures], dtype=torch.float32)
        classes = rng.integers(0, len(words.names), class_pairs)
        class_words = []
        for c in classes:
            hypernyms = words.general[c] if rng.random() > NAME_SHARE else []
            class_words.append(int(rng.choice(hypernyms or words.names[c])))
        of_words = texts.class_text(int(rng.integers(len(TEMPLATES))), len(words.words))
        numbers = [*chosen, *(of_words[word] for word in class_words)]
        n_features, n_views = views.features.shape[:2]
        unaugmented = min(2, n_views)  # the image and its mirror image
        base = views.features[rng.integers(0, n_features, class_pairs), rng.integers(0, unaugmented, class_pairs)]
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        return Batch(
            features=views.features[pictures, view],
            front=lambda: torch.from_numpy(
                np.stack([views.front[i, v] for i, v in zip(pictures, view, strict=True)])
            ).float(),
            text_numbers=numbers,
            positive=positive,
            synthetic=synthetic_features(base, self._class_weights[classes], generator),
            class_positive=words.member[class_words][:, classes].T,
        )
