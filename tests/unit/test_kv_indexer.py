"""What the key-value indexer stores of a document."""

from __future__ import annotations

import numpy as np

from executors.kv_indexer import _new_document
from executors.schema import MediaDoc, to_array
from executors.shared_memory import send_thumbnail, shared_memory


def test_a_text_takes_neither_the_fields_of_a_picture_nor_its_place_in_the_memory() -> None:
    vector = np.ones(3, np.float32)
    with shared_memory(8):
        picture = MediaDoc(modality="image", embedding=vector, content=to_array(b"png"))
        send_thumbnail(picture, to_array(b"jpeg"))
        text = MediaDoc(
            modality="text",
            text="a star",
            embedding=vector,
            thumbnail_at=picture.thumbnail_at,
            thumbnail=to_array(b"forged"),
            content=to_array(b"forged"),
        )
        of_text, of_picture = _new_document(text), _new_document(picture)
    assert (of_text.thumbnail, of_text.content) == (None, None)
    assert (of_picture.thumbnail, of_picture.content) == (b"jpeg", b"png")
