"""Whatever the bytes are: an RGB picture or a PictureError, and nothing else."""

import io

import numpy as np
import pillow_heif
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crossmodal.core.errors import PictureError
from crossmodal.images.decode import decode

pillow_heif.register_heif_opener()


def _valid_files() -> list[bytes]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8))
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "hello", 6
    kinds = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "HEIF")
    pictures = [(kind, noise) for kind in kinds]
    pictures += [("PNG", noise.convert(mode)) for mode in ("P", "1", "LA", "RGBA")]
    pictures += [("PNG", Image.new("I;16", (9, 9), 5000)), ("TIFF", noise.convert("CMYK"))]
    files = []
    for kind, picture in pictures:
        buffer = io.BytesIO()
        options = {} if kind in ("GIF", "BMP") else {"exif": exif}
        picture.save(buffer, kind, **options)
        files.append(buffer.getvalue())
    return files


VALID = _valid_files()


def is_decoded_or_refused(content: bytes) -> None:
    try:
        picture, mime_type = decode(content)
    except PictureError:
        return
    assert picture.mode == "RGB"
    assert mime_type.startswith("image/")


@given(st.binary(max_size=300))
@settings(max_examples=100)
def test_any_bytes(content: bytes) -> None:
    is_decoded_or_refused(content)


@given(st.data())
@settings(max_examples=400)
def test_changed_bytes(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(VALID)))
    # Headers are where a changed byte says most.
    places = st.one_of(st.integers(0, min(199, len(content) - 1)), st.integers(0, len(content) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6)):
        content[place] = value
    is_decoded_or_refused(bytes(content))


@given(st.data())
@settings(max_examples=150)
def test_cut_and_spliced_bytes(data: st.DataObject) -> None:
    content = data.draw(st.sampled_from(VALID))
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 40)))
    is_decoded_or_refused(content[:start] + data.draw(st.binary(max_size=16)) + content[end:])
