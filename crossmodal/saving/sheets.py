"""Contact sheets of several pages, as PDF."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence

from PIL import Image

from crossmodal.images.sheet import CELL_PX, COLUMNS, MARGIN_PX, contact_sheet
from crossmodal.saving.chosen import Chosen

ROWS = 5
"""Rows of a page, as many as fit on A4."""
_WIDTH_PT, _HEIGHT_PT, _MARGIN_PT = 595, 842, 24
_FULL_ROW_PX = COLUMNS * (CELL_PX + MARGIN_PX) + MARGIN_PX
_QUALITY = 88


def pdf_of(pictures: Sequence[Chosen], thumbnail: Callable[[str], bytes | None], title: str) -> Iterator[bytes]:
    """The parts of a PDF with the thumbnails of pictures, each with its name and the time at which it was taken.

    One page is in memory at a time. A page is a picture, drawn by `crossmodal.images.sheet`.

    Args:
        pictures: The pictures, in the order of the pages.
        thumbnail: The JPEG thumbnail of a picture by its id.
        title: Text at the top of each page.
    """
    n_pages = max(1, -(-len(pictures) // (ROWS * COLUMNS)))
    pdf = _Pdf()
    yield pdf.begin()
    for number in range(n_pages):
        part = pictures[number * ROWS * COLUMNS : (number + 1) * ROWS * COLUMNS]
        heading = f"{title} ({number + 1} of {n_pages})" if n_pages > 1 else title
        yield pdf.page(contact_sheet(heading, [_cell(one, thumbnail(one.document.id)) for one in part]))
    yield pdf.end()


def _cell(picture: Chosen, jpeg: bytes | None) -> tuple[Image.Image, str, str]:
    small = Image.open(io.BytesIO(jpeg)) if jpeg else Image.new("RGB", (8, 8), "grey")
    return small, picture.text("taken").replace("T", " "), picture.filename


class _Pdf:
    """Writes a PDF from its beginning to its end; each page has one picture at its top.

    Pillow writes PDF, too, but holds all pages until the last one is there.

    Source: ISO 32000-1:2008, 7.5.
    """

    def __init__(self) -> None:
        self._size = 0
        self._places = {1: 0, 2: 0}  # the byte at which each object begins; 1 is the catalogue, 2 has the pages
        self._pages: list[int] = []

    def begin(self) -> bytes:
        """The first bytes; those above 127 say that the file is binary."""
        return self._counted(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")

    def page(self, picture: Image.Image) -> bytes:
        """A page with a picture."""
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=_QUALITY)
        width, height = _fitted(picture)
        left, bottom = (_WIDTH_PT - width) / 2, _HEIGHT_PT - _MARGIN_PT - height
        drawing = f"q {width:.2f} 0 0 {height:.2f} {left:.2f} {bottom:.2f} cm /I Do Q".encode()
        shape = f"/Width {picture.width} /Height {picture.height} /ColorSpace /DeviceRGB /BitsPerComponent 8"
        image, part = self._stream(f"/Type /XObject /Subtype /Image {shape} /Filter /DCTDecode", buffer.getvalue())
        content, drawn = self._stream("", drawing)
        box = f"/MediaBox [0 0 {_WIDTH_PT} {_HEIGHT_PT}] /Resources << /XObject << /I {image} 0 R >> >>"
        number, page = self._object(f"<< /Type /Page /Parent 2 0 R {box} /Contents {content} 0 R >>".encode())
        self._pages.append(number)
        return part + drawn + page

    def end(self) -> bytes:
        """The list of the pages, and the table of all objects."""
        kids = " ".join(f"{number} 0 R" for number in self._pages)
        _, catalogue = self._object(b"<< /Type /Catalog /Pages 2 0 R >>", 1)
        _, pages = self._object(f"<< /Type /Pages /Kids [{kids}] /Count {len(self._pages)} >>".encode(), 2)
        n, start = len(self._places) + 1, self._size
        rows = "".join(f"{self._places[number]:010d} 00000 n \n" for number in range(1, n))
        trailer = f"trailer\n<< /Size {n} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
        table = f"xref\n0 {n}\n0000000000 65535 f \n{rows}{trailer}"
        return catalogue + pages + self._counted(table.encode())

    def _stream(self, names: str, content: bytes) -> tuple[int, bytes]:
        return self._object(f"<< {names} /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream")

    def _object(self, body: bytes, number: int = 0) -> tuple[int, bytes]:
        number = number or len(self._places) + 1
        self._places[number] = self._size
        return number, self._counted(b"%d 0 obj\n%b\nendobj\n" % (number, body))

    def _counted(self, part: bytes) -> bytes:
        self._size += len(part)
        return part


def _fitted(picture: Image.Image) -> tuple[float, float]:
    """The size of a picture on a page, in points; a page with few pictures is not enlarged."""
    scale = min(
        (_WIDTH_PT - 2 * _MARGIN_PT) / max(picture.width, _FULL_ROW_PX),
        (_HEIGHT_PT - 2 * _MARGIN_PT) / picture.height,
    )
    return picture.width * scale, picture.height * scale
