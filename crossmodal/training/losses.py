"""Losses on matrices of text-image scores (rows are texts, columns are images) and on sparse weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def hinge(scores: Tensor, margin: float, *, hardest: bool) -> Tensor:
    """Triplet loss in both directions: a pair should score `margin` more than its text or image with another.

    Args:
        scores: (n, n) cosines, row i a text, column j an image, the pairs on the diagonal.
        margin: 0 to 2.
        hardest: True counts only the hardest negative of each row and column (max of hinges), False counts all (sum).

    Returns:
        The sum over the batch, a scalar.

    Source: Faghri et al. 2017 (VSE++), equations 5 (sum of hinges) and 6 (max of hinges).

    Example:
        >>> scores = torch.tensor([[0.5, 0.4], [0.1, 0.6]])
        >>> round(hinge(scores, 0.2, hardest=True).item(), 4)  # text 1 prefers its image by 0.1 only
        0.1
    """
    pair = scores.diagonal()
    is_pair = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    other_image = (margin + scores - pair[:, None]).clamp(min=0).masked_fill(is_pair, 0)
    other_text = (margin + scores - pair[None, :]).clamp(min=0).masked_fill(is_pair, 0)
    if hardest:
        return other_image.max(dim=1).values.sum() + other_text.max(dim=0).values.sum()
    return other_image.sum() + other_text.sum()


def contrastive(logits: Tensor) -> Tensor:
    """InfoNCE in both directions.

    Args:
        logits: (n, n) scores times the inverse temperature, the pairs on the diagonal.

    Returns:
        The mean loss, a scalar.

    Source: Radford et al. 2021 (CLIP), figure 3.
    """
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def contrastive_with_twins(image: Tensor, text: Tensor, twin: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE in both directions, with false twins of the captions as further negatives from image to text.

    A logistic term also compares each caption with its twin alone, because easy negatives dilute that comparison in the
    softmax.

    Args:
        image: (n, dim) image embeddings.
        text: (m, dim) embeddings of captions, m <= n, row i true of image i.
        twin: (m, dim) embeddings of false captions, row i false of image i.
        scale: Scalar, the inverse temperature.

    Returns:
        The mean loss, a scalar.

    Source: Radford et al. 2021 (CLIP), figure 3; Yuksekgonul et al. 2023 (NegCLIP), section 4.
    """
    target = torch.arange(len(text), device=image.device)
    captioned = image[: len(text)]
    to_text = scale * captioned @ torch.cat([text, twin]).T
    to_image = scale * text @ image.T
    margin = scale * (captioned * (text - twin)).sum(dim=1)
    return (F.cross_entropy(to_text, target) + F.cross_entropy(to_image, target)) / 2 + 0.5 * F.softplus(-margin).mean()


def multi_positive(image: Tensor, text: Tensor, is_true: Tensor, scale: Tensor) -> Tensor:
    """Contrastive loss for texts that are true of several images: minus the mean log-probability of the positives.

    Args:
        image: (n, dim) image embeddings.
        text: (m, dim) text embeddings.
        is_true: (m, n) bool, whether text i is true of image j. A text or image without positives is a negative only.
        scale: Scalar, the inverse temperature.

    Returns:
        The mean of both directions, a scalar.

    Source: Khosla et al. 2020 (supervised contrastive learning), equation 2 (positives outside the log).
    """
    logits = scale * text @ image.T
    weight = is_true.to(logits.dtype)
    rows, columns = is_true.any(dim=1), is_true.any(dim=0)
    to_image = -(logits[rows].log_softmax(dim=1) * weight[rows]).sum(1) / weight[rows].sum(1)
    to_text = -(logits[:, columns].log_softmax(dim=0) * weight[:, columns]).sum(0) / weight[:, columns].sum(0)
    return (to_image.mean() + to_text.mean()) / 2


def fact_loss(logits: Tensor, targets: Tensor, sizes: Sequence[int]) -> Tensor:
    """Cross-entropy of the facts of things: the mean over things, summed over kinds of facts.

    Args:
        logits: (n, sum of sizes), the scores of each kind's values.
        targets: (n, kinds) int64, the index of the value, or -1 if the fact is unknown.
        sizes: The number of values of each kind.

    Returns:
        A scalar.
    """
    kinds = zip(torch.split(logits, list(sizes), dim=-1), targets.unbind(-1), strict=True)
    return torch.stack([_mean_over_known(scores, target) for scores, target in kinds]).sum()


def _mean_over_known(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy over the known targets; 0 if there are none."""
    total = F.cross_entropy(logits, target, ignore_index=-1, reduction="sum")
    return total / (target >= 0).sum().clamp(min=1)


def twin_loss(true: Tensor, false: Tensor, true_facts: Tensor, false_facts: Tensor) -> Tensor:
    """Logistic loss on the attributes in which a caption and its false twin differ.

    Equal attributes cancel out, so the whole gradient concerns the words that make the difference: "left" is learned in
    a hundred steps instead of thousands.

    Args:
        true: (n, attributes) logits of the captions.
        false: (n, attributes) logits of their twins.
        true_facts: (n, attributes) of 0 and 1, the attributes of the captions.
        false_facts: (n, attributes) of 0 and 1, the attributes of the twins.

    Returns:
        The sum over attributes, averaged over pairs.
    """
    difference = true_facts - false_facts
    differs = difference != 0
    margin = (difference * (true - false))[differs]
    return F.softplus(-margin).sum() / len(true)


def flops(weights: Tensor) -> Tensor:
    """FLOPS regulariser of (n, V) weights: the sum of squared column means, an estimate of a dot product's cost.

    Source: Paria et al. 2020, arXiv 2004.05665, equation 4; Formal et al. 2021, arXiv 2107.05720, equation 4.
    """
    return weights.mean(dim=0).square().sum()


def matching_loss(scores: Tensor, teacher: Tensor | None, distillation: float) -> Tensor:
    """Cross-entropy of the pairs in both directions, mixed with the KL divergence from a teacher's scores.

    Args:
        scores: (n, n) of text i and image j, the pairs on the diagonal.
        teacher: (n, n) logits to imitate, or None.
        distillation: Weight of the divergence, 0 to 1; ignored without a teacher.
    """
    pairs = torch.arange(len(scores))
    loss = (F.cross_entropy(scores, pairs) + F.cross_entropy(scores.T, pairs)) / 2
    if teacher is None or not distillation:
        return loss
    imitated = [
        F.kl_div(F.log_softmax(student, dim=1), F.log_softmax(target, dim=1), log_target=True, reduction="batchmean")
        for student, target in ((scores, teacher), (scores.T, teacher.T))
    ]
    return (1 - distillation) * loss + distillation * (imitated[0] + imitated[1]) / 2
