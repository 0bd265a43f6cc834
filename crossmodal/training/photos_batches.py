"""Batches for training the `photos` weights: pictures with captions or phrases, and classes with their words."""

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
"""Of the class words in a batch, the share that names the class itself; the rest is more general."""

ALIKE = 8
"""Pictures that look alike stand together in groups of so many."""


@dataclass(frozen=True)
class Texts:
    """All texts by number: captions and phrases of each picture, and each template with each class word."""

    all: list[str]
    captions: list[list[int]]
    phrases: list[list[int]]
    first_class_text: int

    @classmethod
    def of(cls, records: Sequence[ImageRecord], words: ClassWords) -> Texts:
        """Numbers the texts of pictures and classes; equal texts have one number."""
        numbers: dict[str, int] = {}

        def number(text: str) -> int:
            return numbers.setdefault(text, len(numbers))

        captions = [[number(text) for text in record.captions] for record in records]
        cut = [sorted({number(p) for text in record.captions for p in phrases(text)}) for record in records]
        class_texts = [template.format(word) for template in TEMPLATES for word in words.words]
        return cls([*numbers, *class_texts], captions, cut, len(numbers))

    def class_text(self, template: int, n_words: int) -> range:
        """The numbers of the class words in a template."""
        start = self.first_class_text + template * n_words
        return range(start, start + n_words)


@dataclass(frozen=True)
class Batch:
    """Pictures with a text each, and made-up features of classes with a word each; the words' texts come last."""

    features: Tensor
    front: Callable[[], Tensor]
    text_numbers: list[int]
    positive: Tensor
    synthetic: Tensor
    class_positive: Tensor


class Batches:
    """Draws batches; an epoch's depend on its number and the seed alone."""

    def __init__(self, texts: Texts, views: Views, words: ClassWords, class_weights: Tensor, seed: int) -> None:
        self._texts, self._views, self._words = texts, views, words
        self._class_weights, self._seed = class_weights, seed
        self._nearest: NDArray[np.int64] | None = None
        self._texts_of = [{*own, *cut} for own, cut in zip(texts.captions, texts.phrases, strict=True)]

    def __len__(self) -> int:
        return len(self._texts.captions)

    @torch.no_grad()
    def look_alike(self, model: PhotoModel) -> None:
        """From now on a batch is made of groups of pictures that look alike to the model."""
        was_training = model.training
        vectors = model.eval().image_vectors(self._views.features[:, 0])
        model.train(was_training)
        rows = [(part @ vectors.T).topk(min(4 * ALIKE, len(vectors))).indices for part in torch.split(vectors, 1024)]
        self._nearest = torch.cat(rows).numpy()

    def epoch(self, number: int, batch_size: int, class_pairs: int, phrase_share: float) -> Iterator[Batch]:
        """The batches of an epoch; the pictures that don't fill the last one are left out."""
        chance = np.random.default_rng((self._seed, number))
        order = self._order(chance)
        for start in range(0, len(order) - batch_size + 1, batch_size):
            yield self._batch(order[start : start + batch_size], class_pairs, phrase_share, chance)

    def _order(self, chance: np.random.Generator) -> NDArray[np.int64]:
        order = chance.permutation(len(self))
        if self._nearest is None:
            return order
        free, grouped = np.ones(len(self), bool), []
        for picture in order:
            if free[picture]:
                group = [i for i in self._nearest[picture] if free[i]][:ALIKE]
                group = group or [picture]  # it is not among the nearest of itself if too many are equal
                free[group] = False
                grouped.append(group)
        chance.shuffle(grouped)
        return np.concatenate(grouped)

    def _batch(
        self, pictures: NDArray[np.int64], class_pairs: int, phrase_share: float, chance: np.random.Generator
    ) -> Batch:
        texts, words, views = self._texts, self._words, self._views
        view = chance.integers(0, views.features.shape[1], len(pictures))
        chosen = []
        for i in pictures:
            cut = texts.phrases[i] if chance.random() < phrase_share else []
            chosen.append(int(chance.choice(cut or texts.captions[i])))
        positive = torch.tensor([[text in self._texts_of[i] for text in chosen] for i in pictures], dtype=torch.float32)
        classes = chance.integers(0, len(words.names), class_pairs)
        asked = []
        for c in classes:
            wider = words.general[c] if chance.random() > NAME_SHARE else []
            asked.append(int(chance.choice(wider or words.names[c])))
        of_words = texts.class_text(int(chance.integers(len(TEMPLATES))), len(words.words))
        numbers = [*chosen, *(of_words[word] for word in asked)]
        n_features = views.features.shape[0]
        base = views.features[chance.integers(0, n_features, class_pairs), chance.integers(0, 2, class_pairs)]
        generator = torch.Generator().manual_seed(int(chance.integers(2**31)))
        return Batch(
            features=views.features[pictures, view],
            front=lambda: torch.from_numpy(
                np.stack([views.front[i, v] for i, v in zip(pictures, view, strict=True)])
            ).float(),
            text_numbers=numbers,
            positive=positive,
            synthetic=synthetic_features(base, self._class_weights[classes], generator),
            class_positive=words.member[asked][:, classes].T,
        )
