"""What the command line saves: results of a search as a file, and sidecars of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from cli.location import folder_of
from cli.outputs import SAVED
from cli.progress import Meter
from cli.query import Answer, open_search, save_sheet
from crossmodal.collection.collection import Collection
from crossmodal.core.files import atomic_writer
from crossmodal.core.settings import Settings
from crossmodal.saving.beside import SidecarPlan, SidecarReport, write_sidecars
from crossmodal.saving.chosen import chosen
from crossmodal.saving.formats import Format, Saving, parts
from crossmodal.search.query import Page
from crossmodal.store.where import parse


def save_answer(settings: Settings, answer: Answer, path: Path) -> None:
    """Writes the results of a query as the ending of the file says: the pictures, a list, or a contact sheet."""
    ending = path.suffix.lower()
    if ending not in SAVED:
        save_sheet(settings, answer, path)
        return
    kind = cast(Format, ending.removeprefix("."))
    with Collection.open(folder_of(settings)).store() as store:
        documents = store.known(hit.id for hit in answer.hits)
        ids = [documents[hit.id].image_id or hit.id for hit in answer.hits if hit.id in documents]
        pictures, unknown = chosen(store, ids)
        saving = Saving(kind, "path", lambda picture: picture.document.uri, answer.query)
        with atomic_writer(path) as file:
            file.writelines(parts(store, pictures, unknown, saving))


def save_sidecars(
    settings: Settings, words: str, where: str, min_relevance: float | None, plan: SidecarPlan
) -> SidecarReport:
    """Writes the sidecars of pictures, and shows the progress.

    Args:
        settings: The collection, and the number of matches of `words`.
        words: The pictures that these find, empty for all.
        where: A condition on the pictures, empty for none.
        min_relevance: The lowest relevance of a match.
        plan: What to write, and where.

    Raises:
        InputError: The condition or the words are invalid.
    """
    if words:
        page = Page(settings.top_k, min_relevance=min_relevance)
        with open_search(settings, "text", "image", page, where=where) as search:
            ids = [hit.id for hit in search(words).hits]
    with Collection.open(folder_of(settings)).store() as store:
        pictures, _ = chosen(store, ids if words else store.ids_where(parse(where or "modality = 'image'")))
    with Meter("sidecars", len(pictures)) as meter:
        return write_sidecars(pictures, plan, meter.advance)
