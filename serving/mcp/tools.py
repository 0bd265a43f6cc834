"""What the tools of the MCP server do, in one process and without a Flow: search, similar, show and facets."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossmodal.collection.collection import Collection
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.errors import InputError, PictureError
from crossmodal.core.protocols import Encoder
from crossmodal.core.types import Document
from crossmodal.images.sources import from_file
from crossmodal.saving.chosen import original
from crossmodal.search.listing import listed
from crossmodal.search.overview import LatestOverview
from crossmodal.search.query import Page, SearchOptions, read_query
from crossmodal.search.results import Match, SearchResults
from crossmodal.search.service import SearchService
from crossmodal.store.protocol import Store
from crossmodal.store.where import parse
from serving.mcp.arguments import Filtered, Paged, SearchArguments, ShowArguments, SimilarArguments
from serving.middleware.private_location import names_location, without_location

JPEG_QUALITY = 85
_SHOWN_TAGS = ("taken", "place", "country", "camera", "folder")

LoadEncoder = Callable[[Collection], Encoder]


@dataclass(frozen=True)
class ToolResult:
    """The result of a tool: a text for people, the same as JSON, and perhaps a JPEG."""

    text: str
    values: dict[str, Any]
    jpeg: bytes | None = None


class _Opened:
    """A generation of the collection with its search service."""

    def __init__(self, collection: Collection, load: LoadEncoder) -> None:
        self.collection = collection
        self.service = SearchService(collection, load(collection))
        self.overview = LatestOverview(self.service.store)


class CollectionTools:
    """Answers the calls of tools about one collection, which is only read. Not for several threads at once."""

    def __init__(self, root: Path, load: LoadEncoder, *, hides_location: bool = False) -> None:
        """Opens the collection.

        Args:
            root: The folder of the collection.
            load: Loads the encoder of a generation, with all towers.
            hides_location: Whether to leave out where pictures were taken, and to refuse to filter by it.

        Raises:
            StateError: The collection can't be read.
        """
        self._cache = GenerationCache(str(root), lambda found: _Opened(found, load), lambda it: it.service.close())
        self._hides_location = hides_location

    def close(self) -> None:
        """Closes the collection."""
        self._cache.close()

    def search(self, arguments: SearchArguments) -> ToolResult:
        """The pictures that match a text, or without one those that the filters keep.

        Raises:
            InputError: The text or a filter is malformed.
        """
        if not arguments.text.strip():
            return self._listing(arguments)
        return self._found(arguments, arguments.text, None, "")

    def similar(self, arguments: SimilarArguments) -> ToolResult:
        """The pictures that are similar to one of the collection, or to a file.

        Raises:
            InputError: Neither or both are given, or there is no such picture.
        """
        if (arguments.id is None) == (arguments.path is None):
            raise InputError("give either `id`, from the results of `search`, or `path`")
        if arguments.path is not None:
            try:
                return self._found(arguments, "", from_file(Path(arguments.path).expanduser()), "")
            except PictureError as error:
                raise InputError(f"{arguments.path}: {error}") from error
        self._picture(str(arguments.id))
        return self._found(arguments, "", None, str(arguments.id))

    def show(self, arguments: ShowArguments) -> ToolResult:
        """A picture with its captions and tags.

        Raises:
            InputError: There is no such picture.
        """
        store, picture = self._store, self._picture(arguments.id)
        captions = store.caption_texts_of([picture.id]).get(picture.id, [])
        jpeg, note = _bounded(store, picture, arguments.side_px)
        values: dict[str, Any] = {
            "id": picture.id,
            "path": picture.uri,
            "filename": str(picture.tags.get("filename") or ""),
            "width": picture.width,
            "height": picture.height,
            "captions": captions,
            "tags": self._visible(picture.tags),
            "note": note,
        }
        lines = [f"{values['filename'] or picture.id}, {picture.width} x {picture.height} pixels"]
        lines += [f"path: {picture.uri}"] if picture.uri else []
        lines += [f"caption: {caption}" for caption in captions]
        lines += [f"{name}: {value}" for name, value in sorted(values["tags"].items()) if name != "filename"]
        return ToolResult("\n".join([*lines, *([f"note: {note}"] if note else [])]), values, jpeg)

    def facets(self, arguments: Filtered) -> ToolResult:
        """The numbers of pictures by year, place, camera, folder and label, of those that the filters keep.

        Raises:
            InputError: A filter is malformed.
        """
        overview, mask = self._opened.overview.current(self._condition(arguments))
        n = len(overview.ordered("newest", mask))
        counts = self._visible({str(name): pairs for name, pairs in overview.facets(mask).items()})
        facets = {name: [{"value": value, "n": number} for value, number in pairs] for name, pairs in counts.items()}
        lines = [f"{n:,} pictures"]
        lines += [
            f"{name}: {', '.join(f'{value} ({number:,})' for value, number in pairs)}"
            for name, pairs in counts.items()
            if pairs
        ]
        return ToolResult("\n".join(lines), {"n": n, "facets": facets})

    @property
    def _opened(self) -> _Opened:
        return self._cache.current()[1]

    @property
    def _store(self) -> Store:
        return self._opened.service.store

    def _picture(self, picture_id: str) -> Document:
        document = self._store.document(picture_id)
        if document is None or document.modality != "image":
            raise InputError(f"there is no picture {picture_id[:80]!r}: take an `id` from the results of `search`")
        return document

    def _visible(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return dict(without_location(dict(values)) if self._hides_location else values)

    def _condition(self, arguments: Filtered) -> str:
        """The filters as a condition, empty for none.

        Raises:
            InputError: A filter is malformed, or about the location while that is hidden.
        """
        condition = arguments.filters().condition()
        if self._hides_location and condition and names_location(parse(condition)):
            raise InputError("where pictures were taken is hidden here: remove `near` and the conditions on places")
        return condition

    def _found(self, arguments: Paged, text: str, picture: bytes | None, like: str) -> ToolResult:
        page = Page(arguments.top_k, arguments.offset, None, arguments.min_relevance, arguments.order)
        options = SearchOptions(page.n_candidates, "image", self._condition(arguments), page=page)
        opened = self._opened
        has_captions = "text" in opened.collection.model.modalities
        query = read_query(text, [], picture, like, 0.5, options, has_captions=has_captions)
        return self._answer(arguments, opened.service.search(query))

    def _listing(self, arguments: SearchArguments) -> ToolResult:
        opened = self._opened
        overview, mask = opened.overview.current(self._condition(arguments))
        results = listed(
            opened.service.store, overview, mask, Page(arguments.top_k, arguments.offset, order=arguments.order)
        )
        return self._answer(arguments, replace(results, note=""))

    def _answer(self, arguments: Paged, results: SearchResults) -> ToolResult:
        found = [self._result(match) for match in results.matches]
        values: dict[str, Any] = {
            "results": found,
            "fits": results.fits,
            "next_offset": arguments.offset + arguments.top_k if results.more else None,
            "note": results.note,
        }
        lines = [_line(arguments.offset + place, one) for place, one in enumerate(found, 1)] or ["no pictures"]
        if results.fits is False and found:
            lines.insert(0, "nothing fits well; these are the nearest:")
        lines += [f"note: {results.note}"] if results.note else []
        lines += [f"more: offset {values['next_offset']}"] if results.more else []
        return ToolResult("\n".join(lines), values)

    def _result(self, match: Match) -> dict[str, Any]:
        document, picture = match.document, match.picture
        tags = self._visible(document.tags)
        return {
            "id": document.id,
            "path": document.uri,
            "filename": str(document.tags.get("filename") or ""),
            "score": round(match.score, 4),
            "relevance": match.relevance,
            "captions": list(picture.captions) if picture else [],
            **{name: tags[name] for name in (*_SHOWN_TAGS, "labels") if name in tags},
        }


def _line(rank: int, result: dict[str, Any]) -> str:
    relevance = "" if result["relevance"] is None else f"relevance {result['relevance']:.2f}"
    facts = [str(result[name]) for name in _SHOWN_TAGS if result.get(name)]
    captions = [f'"{caption}"' for caption in result["captions"][:1]]
    parts = [result["filename"] or result["id"], relevance, *facts, *captions, f"id {result['id']}"]
    return f"{rank}. {', '.join(filter(None, parts))}"


def _bounded(store: Store, picture: Document, side_px: int) -> tuple[bytes | None, str]:
    """The picture as JPEG without metadata, with at most `side_px` a side, and why it is only the thumbnail."""
    from crossmodal.images.decode import decode
    from crossmodal.images.geometry import THUMBNAIL_PX

    thumbnail = store.thumbnail(picture.id)
    if thumbnail is not None and side_px <= THUMBNAIL_PX:
        return thumbnail, ""
    try:
        small, _ = decode(original(store, picture))
    except PictureError as error:
        return thumbnail, f"only the thumbnail is shown: the file {error}"
    small.thumbnail((side_px, side_px))
    small.info.clear()
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue(), ""
