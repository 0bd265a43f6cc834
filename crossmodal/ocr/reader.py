"""Reads the text in one picture with rapidocr, whose models are in its package; OpenVINO runs them."""

from __future__ import annotations

import logging
import math
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from PIL import Image

from crossmodal.core.errors import StateError
from crossmodal.core.reading import Box, Reading, ReadLine, ReadWord
from crossmodal.images.decode import decode

MODELS = "PP-OCRv6 small"
MAX_SIDE = 2_000
"""Larger pictures are reduced to this many pixels on the longer side."""
TALLEST = 8
"""Pictures that are more times as high as wide get a margin: the reader enlarges the shorter side to 736 pixels."""
MIN_CONFIDENCE = 0.6
"""Lines that the reader is less sure of are left out."""
MIN_CHARACTERS = 2
"""Letters and digits of a line. Of lines with one, nearly all are shapes on photographs that look like a character."""


def engine_name() -> str:
    """The reader, its version and its models.

    Raises:
        StateError: rapidocr is not installed.
    """
    try:
        return f"rapidocr {version('rapidocr')} {MODELS}"
    except PackageNotFoundError as error:
        raise StateError(
            "text in pictures needs rapidocr, which is not installed: pip install -r requirements-ocr.txt"
        ) from error


class TextReader:
    """Reads text; not to be shared by threads."""

    def __init__(self, threads: int) -> None:
        """Loads the models.

        Raises:
            StateError: rapidocr is not installed.
        """
        self._name = engine_name()
        import crossmodal.engines.openvino_offline  # noqa: F401 -- before rapidocr, so that telemetry is off

        from rapidocr import EngineType, RapidOCR  # isort: skip

        logging.getLogger("RapidOCR").setLevel(logging.ERROR)  # it warns of every picture without text
        engines: dict[str, Any] = {f"{part}.engine_type": EngineType.OPENVINO for part in ("Det", "Cls", "Rec")}
        self._read = RapidOCR(
            params={
                **engines,
                "EngineConfig.openvino.inference_num_threads": threads,
                "Global.log_level": "error",
                "Global.max_side_len": MAX_SIDE,
                "Global.text_score": MIN_CONFIDENCE,
                "Global.return_word_box": True,
            }
        )

    def read(self, content: bytes) -> Reading:
        """The text in an encoded picture.

        Raises:
            PictureError: The picture can't be decoded.
        """
        picture, _ = decode(content)
        return self.read_picture(picture)

    def read_picture(self, picture: Image.Image) -> Reading:
        """The text in an RGB picture."""
        picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture)[:, :, ::-1]
        margin = max(0, math.ceil(picture.height / TALLEST) - picture.width)
        found = self._read(np.ascontiguousarray(np.pad(pixels, ((0, 0), (0, margin), (0, 0)))))
        if found.txts is None:
            return Reading(self._name)
        parts = zip(found.txts, found.scores, found.boxes, found.word_results, strict=True)
        lines = (_line(text, score, corners, words, picture.size) for text, score, corners, words in parts)
        return Reading(self._name, tuple(line for line in lines if sum(map(str.isalnum, line.text)) >= MIN_CHARACTERS))


def _line(text: str, score: float, corners: Any, words: Any, size: tuple[int, int]) -> ReadLine:
    found = (ReadWord(_clean(word), _share(sure), _box(place, size)) for word, sure, place in words)
    return ReadLine(_clean(text), _share(score), _box(corners, size), tuple(word for word in found if word.text))


def _clean(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _share(score: float) -> float:
    return round(float(score), 3)


def _box(corners: Any, size: tuple[int, int]) -> Box:
    shares = np.clip(np.asarray(corners, np.float64) / size, 0, 1)
    return tuple(round(float(number), 4) for number in shares.ravel())
