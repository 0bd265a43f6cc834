"""Which of several versions of a picture is worth keeping, and why."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from crossmodal.duplicates.hashing import Floats

ALIKE = 0.8
"""A version with at least this share of the best sharpness is not blurred."""
_PARTS = 8
_OF_COPIES = re.compile(
    r"\(\d+\)|~\d+\.|\bcop(y|ie)\b|\bkopie\b|\bcopia\b|\bduplicate\b|^img_e\d"
    r"|[-_ .](edited|edit|bearbeitet|small|thumb|resized)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Version:
    """What is compared of a version."""

    pixels: int
    sharpness: float
    name: str
    modified_s: float = math.inf
    """Seconds since 1970; infinity if no file is known."""


def propose(versions: Sequence[Version]) -> tuple[int, str]:
    """The place of the version to keep, and the reason: the first property that decides.

    The properties are the number of pixels, the sharpness, a name that does not look like that of a copy, the age of
    the file, and the length of the name.

    >>> propose([Version(100, 9.0, "a (1).jpg"), Version(100, 9.0, "a.jpg"), Version(40, 9.0, "b.jpg")])
    (1, 'its name is not that of a copy')
    """
    left = list(range(len(versions)))
    most = max(version.pixels for version in versions)
    sharpest = max(version.sharpness for version in versions if version.pixels == most)
    reason = ""
    for why, is_best in (
        ("largest", lambda version: version.pixels == most),
        ("sharpest of the largest", lambda version: version.sharpness >= ALIKE * sharpest),
        ("its name is not that of a copy", lambda version: not looks_copied(version.name)),
    ):
        best = [place for place in left if is_best(versions[place])]
        if best and len(best) < len(left):
            left, reason = best, why
    if len(left) > 1:
        oldest = min(versions[place].modified_s for place in left)
        best = [place for place in left if versions[place].modified_s == oldest]
        reason = "oldest file" if len(best) < len(left) else "all are alike; shortest name"
        left = sorted(best, key=lambda place: (len(versions[place].name), versions[place].name, place))
    return left[0], reason


def looks_copied(name: str) -> bool:
    """Whether a file name is one that programs give to copies.

    >>> [name for name in ("a.jpg", "a (1).jpg", "Copy of a.jpg", "a-edited.jpg", "copycat.jpg") if looks_copied(name)]
    ['a (1).jpg', 'Copy of a.jpg', 'a-edited.jpg']
    """
    return _OF_COPIES.search(name) is not None


def sharpness(thumbnail: bytes) -> float:
    """The variance of the Laplacian of a thumbnail; 0 if it can't be read.

    It is slightly blurred, since traces of compression are not details, and the variance is the upper quartile of
    those of 8 x 8 parts, since a badge in a corner isn't either.

    Source: Pech-Pacheco et al. 2000, Diatom autofocusing in brightfield microscopy.
    """
    try:
        with Image.open(io.BytesIO(thumbnail)) as picture:
            picture.draft("L", picture.size)  # decodes no colours
            grey: Floats = np.asarray(picture.convert("L"), np.float32)
    except OSError:
        return 0.0
    grey = np.pad(grey, 3, "edge")
    for _ in range(2):  # rows, columns
        grey = (grey[:-4] + 4 * grey[1:-3] + 6 * grey[2:-2] + 4 * grey[3:-1] + grey[4:]).T / np.float32(16)
    slopes = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    rows, columns = (min(_PARTS, side) for side in slopes.shape)
    height, width = slopes.shape[0] // rows, slopes.shape[1] // columns
    parts = slopes[: rows * height, : columns * width].reshape(rows, height, columns, width)
    return float(np.percentile(parts.var((1, 3)), 75))
