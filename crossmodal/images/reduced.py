"""Pictures reduced to 1/2, 1/4 or 1/8 of their size, and where the full picture lies in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image

FACTORS = (8, 4, 2)
"""The factors by which a JPEG decoder can reduce a picture instead of decoding all of it; the largest first."""

ChooseFactor = Callable[[int, int], int]
"""Returns the factor by which a picture of some width and height is to be reduced: 1 or one of `FACTORS`."""

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""The transposition that turns a picture of each EXIF orientation upright (EXIF 2.32, tag 0x0112)."""

_SWAPPED, _FROM_RIGHT, _FROM_BOTTOM = (5, 6, 7, 8), (2, 3, 6, 7), (3, 4, 7, 8)
"""The orientations whose axes are swapped, and those whose upright x and y run against the stored axis."""


class Reduced(NamedTuple):
    """A picture that may be reduced.

    Attributes:
        picture: The pixels.
        size: Width and height of the full picture.
        box: The full picture's left, top, right and bottom in `picture`, in its pixels. Where a side of the full
            picture is no multiple of the factor, the last pixels of `picture` are partly outside.
    """

    picture: Image.Image
    size: tuple[int, int]
    box: tuple[float, float, float, float]

    @classmethod
    def of(cls, picture: Image.Image, size: tuple[int, int], factor: int) -> Reduced:
        """A picture of some size, reduced by a factor with its last pixels padded or averaged from fewer."""
        return cls(picture, size, (0, 0, size[0] / factor, size[1] / factor))

    def upright(self, orientation: int) -> Reduced:
        """The picture turned upright from an EXIF orientation; an unknown orientation counts as upright."""
        if orientation not in _TRANSPOSITIONS:
            return self
        (width, height), (_, _, right, bottom) = self.size, self.box
        turned = self.picture.transpose(_TRANSPOSITIONS[orientation])
        left = top = 0.0
        if orientation in _SWAPPED:
            width, height, right, bottom = height, width, bottom, right
        if orientation in _FROM_RIGHT:
            left, right = turned.width - right, turned.width
        if orientation in _FROM_BOTTOM:
            top, bottom = turned.height - bottom, turned.height
        return Reduced(turned, (width, height), (left, top, right, bottom))
