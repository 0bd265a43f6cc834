"""Losses: of matrices of similarities, rows texts and columns images; and of sparse weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def hinge(scores: Tensor, margin: float, *, hardest: bool) -> Tensor:
    """Triplet loss both ways: a pair should score `margin` more than the same text or image with another.

    Args:
        scores: (n, n) cosines, row i a text, column j an image, the pairs on the diagonal.
        margin: From 0 to 2.
        hardest: Count the hardest negative of each only (max of hinges), not all (sum of hinges).

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
    """InfoNCE both ways.

    Args:
        logits: (n, n) scores by the inverse temperature, the pairs on the diagonal.

    Returns:
        The mean loss, a scalar.

    Source: Radford et al. 2021 (CLIP), figure 3.
    """
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def contrastive_with_twins(image: Tensor, text: Tensor, twin: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE both ways, with texts that are false of their image as further columns for image to text.

    The twin of a text also stands against it alone, where no easy text dilutes it.

    Args:
        image: (n, dim) image embeddings.
        text: (m, dim) embeddings of captions, m <= n, row i true of image i.
        twin: (m, dim) embeddings of texts, row i false of image i.
        scale: Scalar, the inverse temperature.

    Returns:
        The mean loss, a scalar.

    Source: Radford et al. 2021 (CLIP), figure 3; Yuksekgonul et al. 2023 (NegCLIP), section 4.
    """
    target = torch.arange(len(text), device=image.device)
    own = image[: len(text)]
    to_text = scale * own @ torch.cat([text, twin]).T
    to_image = scale * text @ image.T
    margin = scale * (own * (text - twin)).sum(dim=1)
    return (F.cross_entropy(to_text, target) + F.cross_entropy(to_image, target)) / 2 + 0.5 * F.softplus(-margin).mean()


def multi_positive(image: Tensor, text: Tensor, is_true: Tensor, scale: Tensor) -> Tensor:
    """Contrastive loss where a text may be true of many images: the mean log-probability of its positives.

    Args:
        image: (n, dim) image embeddings.
        text: (m, dim) text embeddings.
        is_true: (m, n) bool, whether text i is true of image j. A text that is true of no image, or an image
            that no text is true of, only stands against the others.
        scale: Scalar, the inverse temperature.

    Returns:
        The mean of both directions, a scalar.

    Source: Khosla et al. 2020 (supervised contrastive learning), equation 2 (positives outside the log).
    """
    logits = scale * text @ image.T
    weight = is_true.to(logits.dtype)
    asked, told = is_true.any(dim=1), is_true.any(dim=0)
    to_image = -(logits[asked].log_softmax(dim=1) * weight[asked]).sum(1) / weight[asked].sum(1)
    to_text = -(logits[:, told].log_softmax(dim=0) * weight[:, told]).sum(0) / weight[:, told].sum(0)
    return (to_image.mean() + to_text.mean()) / 2


def fact_loss(logits: Tensor, targets: Tensor, sizes: Sequence[int]) -> Tensor:
    """Cross-entropy of facts of things, the mean over things summed over kinds of facts.

    Args:
        logits: (n, sum of sizes), for each kind of fact the scores of its values.
        targets: (n, kinds) int64, the value's number, or -1 where there is nothing to tell.
        sizes: How many values each kind has.

    Returns:
        A scalar.
    """
    kinds = zip(torch.split(logits, list(sizes), dim=-1), targets.unbind(-1), strict=True)
    return torch.stack([_mean_over_told(told, true) for told, true in kinds]).sum()


def _mean_over_told(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy over what is told; 0 where nothing is."""
    total = F.cross_entropy(logits, target, ignore_index=-1, reduction="sum")
    return total / (target >= 0).sum().clamp(min=1)


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


def flops(weights: Tensor) -> Tensor:
    """The expected multiplications of a dot product of two rows of (n, V) weights: sum of squared column means.

    Source: Paria et al. 2020, arXiv 2004.05665, equation 4; Formal et al. 2021, arXiv 2107.05720, equation 4.
    """
    return weights.mean(dim=0).square().sum()


def matching_loss(scores: Tensor, teacher: Tensor | None, distillation: float) -> Tensor:
    """Cross-entropy of the pairs, both ways, mixed with the divergence from a teacher's scores.

    Args:
        scores: (n, n) of text i and image j; the pairs are on the diagonal.
        teacher: (n, n) scores to imitate, as logits, or None.
        distillation: Share of the teacher, 0 to 1; without one it is 0.
    """
    pairs = torch.arange(len(scores))
    loss = (F.cross_entropy(scores, pairs) + F.cross_entropy(scores.T, pairs)) / 2
    if teacher is None or not distillation:
        return loss
    imitated = [
        F.kl_div(F.log_softmax(ours, dim=1), F.log_softmax(theirs, dim=1), log_target=True, reduction="batchmean")
        for ours, theirs in ((scores, teacher), (scores.T, teacher.T))
    ]
    return (1 - distillation) * loss + distillation * (imitated[0] + imitated[1]) / 2
