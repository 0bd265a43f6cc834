"""A page of results as JSON, which takes a quarter of the time of nested messages to write and to read."""

import json
from typing import Any

from crossmodal.core.types import Document
from crossmodal.search.by_time import TimeOrder
from crossmodal.search.hydration import Picture
from crossmodal.search.results import Match, SearchResults
from executors.schema import fields_for_clients


def written(results: SearchResults) -> str:
    """The results but `fusion`, `note` and `read`, which a client of the Flow may see: paths of files are left out."""
    return json.dumps(
        {
            "fits": results.fits,
            "more": results.more,
            "ordered": None if results.ordered is None else vars(results.ordered),
            "matches": [_values(match) for match in results.matches],
        }
    )


def _values(match: Match) -> dict[str, Any]:
    return {
        "document": fields_for_clients(match.document),
        "scores": match.scores,
        "why": match.why,
        "picture": None if match.picture is None else vars(match.picture),
    }


def read(page: str) -> SearchResults:
    """The results that were written."""
    values = json.loads(page)
    ordered = values["ordered"]
    return SearchResults(
        [_match(match) for match in values["matches"]],
        fits=values["fits"],
        more=values["more"],
        ordered=None if ordered is None else TimeOrder(**ordered),
    )


def _match(values: dict[str, Any]) -> Match:
    picture = values["picture"]
    return Match(
        Document(**values["document"]),
        values["scores"],
        values["why"],
        None if picture is None else Picture(**{**picture, "captions": tuple(picture["captions"])}),
    )
