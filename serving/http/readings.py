"""The text in a picture in answers of the typed API."""

from __future__ import annotations

from pydantic import BaseModel, Field

from crossmodal.store.protocol import Store

BOX = "the corners x, y from its upper left, clockwise, as shares of the picture's width and height: eight numbers"


class WordInPicture(BaseModel):
    """A word in a picture."""

    text: str
    confidence: float = Field(description="of the reader, 0 to 1")
    box: list[float] = Field(description=BOX)


class LineInPicture(WordInPicture):
    """A line of text in a picture."""

    words: list[WordInPicture]


class TextInPicture(BaseModel):
    """The text that was read in a picture; without lines, it has none."""

    engine: str = Field(description="the reader and its version")
    lines: list[LineInPicture]


def reading_of(store: Store, image_id: str) -> TextInPicture | None:
    """The text in a picture, None if it was not read."""
    reading = store.readings.of([image_id]).get(image_id)
    return None if reading is None else TextInPicture.model_validate(reading.to_dict())
