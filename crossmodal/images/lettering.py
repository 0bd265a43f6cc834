"""Drawing of text in any script with the installed fonts; characters without a glyph are drawn as escapes."""

from __future__ import annotations

import os
import re
import unicodedata
from functools import lru_cache

from PIL import ImageDraw, ImageFont, features

_FOLDERS = (
    "/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts", "/System/Library/Fonts",
    "/Library/Fonts", "C:/Windows/Fonts",
)  # fmt: skip
_STYLED = re.compile("bold|italic|oblique|light|thin|black|condensed|mono|serif", re.IGNORECASE)
_RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_ANY_SIZE = 20
_NO_CHARACTER = "\U0010ffff"

BUILT_IN = ""
"""Pillow's bundled font, which covers little more than ASCII."""


@lru_cache(maxsize=1)
def font_files() -> tuple[str, ...]:
    """Available fonts in order of preference: the built-in font, then installed ones, regular styles first."""
    paths = [
        os.path.join(parent, name)
        for folder in _FOLDERS
        for parent, _, names in os.walk(os.path.expanduser(folder))
        for name in names
        if name.lower().endswith((".ttf", ".otf", ".ttc"))
    ]
    paths.sort(key=lambda path: (bool(_STYLED.search(os.path.basename(path))), len(path), path))
    return (BUILT_IN, *paths)


@lru_cache(maxsize=64)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont | None:
    """A font, or None if it has no such size, as with bitmap fonts."""
    if path == BUILT_IN:
        font = ImageFont.load_default(size)
        return font if isinstance(font, ImageFont.FreeTypeFont) else None
    try:
        return ImageFont.truetype(path, size)
    except OSError:
        return None


@lru_cache(maxsize=16384)
def _has(path: str, letter: str) -> bool:
    """Whether a font has a glyph for a letter: it is drawn differently from a code point that is no character."""
    font = _font(path, _ANY_SIZE)
    if font is None:
        return False
    if letter == " ":
        return True
    mask, missing = font.getmask(letter), font.getmask(_NO_CHARACTER)
    return mask.size != missing.size or bytes(mask) != bytes(missing)


def _covering(text: str) -> str | None:
    """The first font with glyphs for all letters of a text, or None; rare letters are checked first."""
    letters = sorted(set(text), reverse=True)
    return next((path for path in font_files() if all(_has(path, letter) for letter in letters)), None)


def drawable(text: str) -> str:
    r"""The text with white space collapsed; letters without a glyph lose their accents or become \u5199."""
    return "".join(map(_drawable, unicodedata.normalize("NFC", " ".join(text.split()))))


@lru_cache(maxsize=16384)
def _drawable(letter: str) -> str:
    category = unicodedata.category(letter)
    if category not in ("Cc", "Cs", "Co", "Cn") and _covering(letter) is not None:
        return letter
    if category in ("Cf", "Mn"):
        return ""  # a joiner, an accent, or a variation selector
    plain = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    if plain.isascii() and plain.isprintable():
        return plain
    return letter.encode("ascii", "backslashreplace").decode() if ord(letter) > 127 else f"\\x{ord(letter):02x}"


def _runs(text: str, size: int) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """The text as (piece, font) pairs; a single pair if one font has all letters."""
    whole = _covering(text)
    pieces: list[tuple[str, str]] = [(text, whole)] if whole is not None else []
    if whole is None:
        for letter in text:
            piece, path = pieces[-1] if pieces else ("", BUILT_IN)
            if pieces and _has(path, letter):
                pieces[-1] = (piece + letter, path)
            else:
                pieces.append((letter, _covering(letter) or BUILT_IN))
    return [(piece, font) for piece, path in pieces if (font := _font(path, size)) is not None]


def width_of(text: str, size: int) -> float:
    """The width of a `drawable` text in pixels."""
    return sum(font.getlength(piece) for piece, font in _runs(text, size))


def wrap(text: str, size: int, width_px: int, at_most: int) -> list[str]:
    """The first `at_most` lines of a text, made `drawable` and wrapped to `width_px`; overlong words are broken."""
    lines = [""]
    for word in drawable(text).split():
        joined = f"{lines[-1]} {word}".lstrip()
        if width_of(joined, size) <= width_px:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and width_of(lines[-1] + letter, size) > width_px:
                lines.append("")
            lines[-1] += letter
        if len(lines) > at_most:
            break
    return lines[:at_most]


def draw_lines(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], lines: list[str], ink: tuple[int, int, int], size: int
) -> None:
    """Draws lines of `drawable` text below each other."""
    left, top = place
    for number, line in enumerate(lines):
        x: float = left
        for piece, font in _runs(line, size):
            y = top + number * size * 1.2
            if font.layout_engine == ImageFont.Layout.RAQM and features.check("raqm"):
                draw.text((x, y), piece, ink, font, direction=_direction(piece))
            else:
                draw.text((x, y), _in_visual_order(piece), ink, font)
            x += font.getlength(piece)


def _direction(text: str) -> str:
    """The direction of the first letter that has a strong one; `ltr` by default."""
    first = next((kind for kind in map(unicodedata.bidirectional, text) if kind in ("L", "R", "AL")), "L")
    return "ltr" if first == "L" else "rtl"


def _in_visual_order(text: str) -> str:
    """The text with right-to-left words reversed but not shaped, for a Pillow without raqm."""
    letters = f"[{_RIGHT_TO_LEFT}]"
    return re.sub(rf"{letters}(?:[{_RIGHT_TO_LEFT}\s]*{letters})?", lambda match: match[0][::-1], text)
