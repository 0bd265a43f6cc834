"""Losses over one matrix of similarities: rows are texts, columns are images, both L2-normalised."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive_with_negatives(image: Tensor, text: Tensor, negative: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE both ways, with texts that are false of their image as further columns for image to text.

    The own negatives of an image also stand against its caption alone, where no easy text dilutes them.

    Args:
        image: (n, dim) image embeddings.
        text: (n, dim) embeddings of the captions, row i true of image i.
        negative: (n, k, dim) embeddings of k texts that are false of image i.
        scale: Scalar, the inverse temperature.

    Returns:
        The mean loss, a scalar.

    Source: Radford et al. 2021 (CLIP), figure 3; Yuksekgonul et al. 2023 (NegCLIP), section 4.
    """
    n, k, dim = negative.shape
    target = torch.arange(n, device=image.device)
    to_text = scale * image @ torch.cat([text, negative.reshape(n * k, dim)]).T
    to_image = scale * text @ image.T
    own = scale * torch.einsum("nd,nkd->nk", image, torch.cat([text[:, None], negative], dim=1))
    first = torch.zeros(n, dtype=torch.long, device=image.device)
    return (F.cross_entropy(to_text, target) + F.cross_entropy(to_image, target)) / 2 + 0.5 * F.cross_entropy(
        own, first
    )


def multi_positive(image: Tensor, text: Tensor, is_true: Tensor, scale: Tensor) -> Tensor:
    """Contrastive loss where a text may be true of many images: the mean log-probability of its positives.

    Args:
        image: (n, dim) image embeddings.
        text: (m, dim) text embeddings.
        is_true: (m, n) bool, whether text i is true of image j; every row and column has a True.
        scale: Scalar, the inverse temperature.

    Returns:
        The mean of both directions, a scalar.

    Source: Khosla et al. 2020 (supervised contrastive learning), equation 2 (positives outside the log).
    """
    logits = scale * text @ image.T
    weight = is_true.to(logits.dtype)
    to_image = -(logits.log_softmax(dim=1) * weight).sum(1) / weight.sum(1)
    to_text = -(logits.log_softmax(dim=0) * weight).sum(0) / weight.sum(0)
    return (to_image.mean() + to_text.mean()) / 2


def told_apart(true: Tensor, false: Tensor, true_facts: Tensor, false_facts: Tensor) -> Tensor:
    """Logistic loss on the attributes in which a caption and its false twin differ.

    Whatever the caption leaves unsaid is equal in both and drops out, so all of the gradient is about the
    words that make the difference: "left" learned in a hundred steps instead of thousands.

    Args:
        true: (n, attributes) readings of the captions.
        false: (n, attributes) readings of their twins.
        true_facts: (n, attributes) of 0 and 1, what the captions say.
        false_facts: (n, attributes), what the twins say.

    Returns:
        The sum over attributes, averaged over pairs.
    """
    difference = true_facts - false_facts
    differs = difference != 0
    margin = (difference * (true - false))[differs]
    return F.softplus(-margin).sum() / len(true)
