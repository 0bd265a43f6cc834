"""Letters of any script on a contact sheet: never the squares of a font that lacks them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, features

from crossmodal.images import lettering
from crossmodal.images.lettering import BUILT_IN, draw_lines, drawable, font_files, width_of, wrap
from crossmodal.images.sheet import contact_sheet


def forget() -> None:
    for cached in (lettering.font_files, lettering._font, lettering._has, lettering._drawable):
        cached.cache_clear()


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without any font installed."""
    forget()
    monkeypatch.setattr(lettering, "_FOLDERS", ())
    yield
    forget()


def drawn(line: str) -> Image.Image:
    canvas = Image.new("RGB", (600, 40), "white")
    draw_lines(ImageDraw.Draw(canvas), (4, 4), [line], (0, 0, 0), 20)
    return canvas


@pytest.mark.usefixtures("no_fonts")
def test_without_a_font_letters_become_escapes() -> None:
    assert drawable("写真 שלום مرحبا 🐶.jpg") == (
        "\\u5199\\u771f \\u05e9\\u05dc\\u05d5\\u05dd \\u0645\\u0631\\u062d\\u0628\\u0627 \\U0001f436.jpg"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain name.jpg", "plain name.jpg"), ("naïve café", "naive cafe"), ("cafe\u0301", "cafe"), ("№ 5", "No 5")],
)
@pytest.mark.usefixtures("no_fonts")
def test_without_a_font_accents_are_left_out(text: str, shown: str) -> None:
    assert drawable(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"), ("a\x00b", "a\\x00b"), ("a\udcffb", "a\\udcffb"), ("a\n\t b", "a b"),
        ("a\ue000b", "a\\ue000b"), ("a\U0010ffffb", "a\\U0010ffffb"), ("", ""),
    ],
)  # fmt: skip
def test_what_is_no_letter_is_escaped(text: str, shown: str) -> None:
    assert drawable(text) == shown


@pytest.mark.usefixtures("no_fonts")
def test_joiners_and_variants_are_left_out() -> None:
    assert drawable("a\u200db\ufe0fc") == "abc"


@pytest.mark.parametrize("text", ["写真 שלום مرحبا 🐶 नमस्ते ไทย 한글 a\udcff\x00"])
def test_no_drawn_letter_is_the_square_of_its_font(text: str) -> None:
    shown = drawable(text)
    for piece, font in lettering._runs(shown, 20):
        square = font.getmask("\U0010ffff")
        for letter in set(piece) - {" "}:
            mask = font.getmask(letter)
            assert (mask.size, bytes(mask)) != (square.size, bytes(square)), letter


def covered(text: str) -> None:
    if drawable(text) != text:
        pytest.skip("no font for it is installed")


def test_an_installed_font_is_used() -> None:
    covered("שלום")
    assert any(path != BUILT_IN for path in font_files())
    assert np.asarray(drawn("שלום")).min() < 100


@pytest.mark.skipif(not features.check("raqm"), reason="Pillow without raqm")
def test_a_line_from_right_to_left_keeps_its_order() -> None:
    """A Latin word that follows Hebrew ones stands to their left."""
    covered("שלום עולם")
    alone, mixed = np.asarray(drawn("abc"))[..., 0], np.asarray(drawn("שלום עולם abc"))[..., 0]
    columns = np.flatnonzero((alone < 128).any(axis=0))
    start = np.flatnonzero((mixed < 128).any(axis=0))[0]
    font = lettering._runs("שלום עולם abc", 20)[0][1]
    width = round(font.getlength("abc"))
    first = Image.new("RGB", (600, 40), "white")
    ImageDraw.Draw(first).text((4, 4), "abc", "black", font)
    assert columns.size
    assert (mixed[:, start : start + width - 4] == np.asarray(first)[:, start : start + width - 4, 0]).mean() > 0.95


def test_without_raqm_words_are_turned_round() -> None:
    assert lettering._in_visual_order("abc שלום עולם 12.jpg") == "abc םלוע םולש 12.jpg"


@pytest.mark.parametrize("text", ["word " * 80, "x" * 500, "写真" * 100, "a " + "y" * 90 + " b"])
def test_lines_are_no_wider_than_asked_for(text: str) -> None:
    lines = wrap(text, 14, 220, at_most=3)
    assert 1 < len(lines) <= 3
    assert all(width_of(line, 14) <= 220 for line in lines)
    assert "".join(drawable(text).split()).startswith("".join("".join(lines).split()))


def test_a_short_text_is_one_line() -> None:
    assert wrap("a red heart", 14, 220, at_most=2) == ["a red heart"]
    assert wrap("", 14, 220, at_most=2) == [""]


def test_a_damaged_font_file_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget()
    (tmp_path / "Broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(lettering, "_FOLDERS", (str(tmp_path),))
    assert drawable("写") == "\\u5199"
    forget()


def test_a_sheet_of_every_script() -> None:
    picture = Image.new("RGB", (30, 30), "red")
    names = ["写真.jpg", "שלום.jpg", "مرحبا.png", "🐶👨‍👩‍👧.jpg", "a\udcff.jpg", "x" * 300]
    sheet = contact_sheet("写真 שלום 🐶", [(picture, "0.5", name) for name in names])
    assert sheet.mode == "RGB"


def test_the_built_in_font_can_be_scaled() -> None:
    """Pillow's own has outlines only with FreeType, which its wheels have."""
    assert isinstance(ImageFont.load_default(14), ImageFont.FreeTypeFont)
