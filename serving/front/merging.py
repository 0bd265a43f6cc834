"""Merges the answers of slices to one search into the answer that one index would give."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from crossmodal.core.settings import MAX_TOP_K
from crossmodal.core.types import MODALITIES
from crossmodal.search.by_time import ordered
from crossmodal.search.encoding import joined_notes
from crossmodal.search.query import Order

SliceAnswer = Mapping[str, Any]
"""A `serving.http.schemas.SearchAnswer` as JSON."""


def pages_for(offset: int, top_k: int) -> list[tuple[int, int]]:
    """The pages (offset, top_k) of each slice that together have its best `offset + top_k` results.

    >>> pages_for(10, 5), pages_for(1500, 20)
    ([(0, 15)], [(0, 1000), (1000, 520)])
    """
    return [(start, min(MAX_TOP_K, offset + top_k - start)) for start in range(0, offset + top_k, MAX_TOP_K)]


def in_one(pages: Sequence[SliceAnswer]) -> SliceAnswer:
    """The consecutive pages of one slice as one page."""
    return {**pages[0], "results": [result for page in pages for result in page["results"]], "more": pages[-1]["more"]}


def merged(answers: Sequence[SliceAnswer], offset: int, top_k: int, missing: Collection[str]) -> dict[str, Any]:
    """The answer of all slices.

    Args:
        answers: Of the slices, at least one, each with its best `offset + top_k` results of each modality.
        offset: Number of better results of each modality to skip.
        top_k: Maximum number of results of each modality.
        missing: The slices without an answer.

    Returns:
        As one index would answer, except that equal scores may be in another order, that an order by time is made from
        the candidates of each slice, and that `missing` and `note` have the missing slices.
    """
    if answers[0].get("listed"):  # each slice lists the pictures of all
        answers = answers[:1]
    results: list[Any] = []
    more = any(answer["more"] for answer in answers)
    for modality in MODALITIES:
        everything = chain.from_iterable(answer["results"] for answer in answers)
        of_modality = _distinct(one for one in everything if one["modality"] == modality)
        ranked = _ranked(of_modality, answers[0]["query"].get("order"))
        results += ranked[offset : offset + top_k]
        more = more or len(ranked) > offset + top_k
    whole = {name: value for name, value in answers[0].items() if name not in ("slice", "fits", "note")}
    whole |= {"n": len(results), "more": more, "results": results, "took_ms": _took(answers)}
    whole["query"] = {**whole["query"], "offset": offset, "top_k": top_k}
    if orders := [answer["ordered"] for answer in answers if answer.get("ordered")]:
        counts = {name: sum(order[name] for order in orders) for name in ("candidates", "fitting")}
        whole["ordered"] = {**orders[0], **counts}
    if (fits := _fits([answer.get("fits") for answer in answers])) is not None:
        whole["fits"] = fits
    notes = [answer.get("note") or "" for answer in answers]
    if missing:
        whole["missing"] = list(missing)
        what = "slice {} does not answer: its" if len(missing) == 1 else "slices {} do not answer: their"
        notes.append(f"{what.format(', '.join(missing))} documents are missing")
    if note := joined_notes(list(dict.fromkeys(notes))):
        whole["note"] = note
    return whole


def _distinct(results: Iterable[Any]) -> list[Any]:
    """Each document once, with its best score: every slice finds the pictures that words of the query stand in."""
    best: dict[str, Any] = {}
    for result in results:
        known = best.setdefault(result["id"], result)
        if float(result["score"]) > float(known["score"]):
            best[result["id"]] = result
    return list(best.values())


def _ranked(results: Iterable[Any], order: Order | None) -> list[Any]:
    """Results of one modality by score, or as `search.by_time` orders them."""
    by_score = sorted(results, key=lambda result: -float(result["score"]))
    return by_score if order is None else ordered(by_score, order, lambda result: result["tags"])


def _fits(of_slices: Sequence[bool | None]) -> bool | None:
    """As `relevance.rules.fits` of all results: a slice without results has False, one without relevances None."""
    if True in of_slices:
        return True
    return None if None in of_slices else False


def _took(answers: Sequence[SliceAnswer]) -> dict[str, float]:
    """The longest time of each step, since slices work at the same time."""
    return {step: max(answer["took_ms"][step] for answer in answers) for step in answers[0]["took_ms"]}
