"""What the command line saves: results of a search as a file, and sidecars of pictures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

from cli.location import collection_of
from cli.outputs import SAVED
from cli.progress import Meter
from cli.query import QueryAnswer, QueryPlan, open_search
from crossmodal.core.files import atomic_writer, write_output
from crossmodal.core.settings import Settings
from crossmodal.saving.beside import SidecarPlan, SidecarReport, write_sidecars
from crossmodal.saving.chosen import chosen
from crossmodal.saving.formats import Format, Saving, parts
from crossmodal.search.query import Page
from crossmodal.store.where import parse


def save_answer(settings: Settings, answer: QueryAnswer, path: Path) -> None:
    """Writes the results of a query as the ending of the file says: the pictures, a list, or a contact sheet."""
    ending = path.suffix.lower()
    if ending not in SAVED:
        _save_sheet(settings, answer, path)
        return
    kind = cast(Format, ending.removeprefix("."))
    with collection_of(settings).store() as store:
        documents = store.known(hit.id for hit in answer.hits)
        ids = [documents[hit.id].image_id or hit.id for hit in answer.hits if hit.id in documents]
        pictures, unknown = chosen(store, ids)
        saving = Saving(kind, "path", lambda picture: picture.document.uri, answer.query)
        with atomic_writer(path) as file:
            file.writelines(parts(store, pictures, unknown, saving))


def _save_sheet(settings: Settings, answer: QueryAnswer, path: Path) -> None:
    """Draws the answer as a contact sheet; a caption is shown with its picture."""
    from PIL import Image

    from crossmodal.images.decode import decode
    from crossmodal.images.sheet import contact_sheet
    from crossmodal.images.sources import from_file

    with collection_of(settings).store() as store:
        pictures = []
        for hit in answer.hits:
            document = store.document(hit.id)
            picture_id = document.image_id if document and document.image_id else hit.id
            jpeg = store.thumbnail(picture_id)
            picture = Image.open(io.BytesIO(jpeg)) if jpeg else Image.new("RGB", (8, 8), "grey")
            pictures.append((picture, f"score={hit.score:.4f}", hit.text or hit.filename))
    query = None
    title = answer.query
    if answer.modality == "image":
        query, _ = decode(from_file(Path(answer.query)))
        title = Path(answer.query).name
    content = io.BytesIO()
    contact_sheet(title, pictures, query).save(content, Image.registered_extensions()[path.suffix.lower()])
    write_output(path, content.getvalue())


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
        with open_search(settings, QueryPlan("text", "image", page, where=where)) as search:
            ids = [hit.id for hit in search(words).hits]
    with collection_of(settings).store() as store:
        pictures, _ = chosen(store, ids if words else store.ids_where(parse(where or "modality = 'image'")))
    with Meter("sidecars", len(pictures)) as meter:
        return write_sidecars(pictures, plan, meter.advance)
