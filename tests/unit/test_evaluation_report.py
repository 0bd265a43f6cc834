"""The figures as tables, and the HTML report."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from crossmodal.evaluation.report import Miss, Section, Shown, html_report
from crossmodal.evaluation.tables import tables

WAY = {"R@1": 0.5, "R@5": 0.75, "R@10": 1.0, "MedR": 1.0, "MeanR": 2.25, "MRR": 0.6}
MODEL: dict[str, Any] = {
    "model": "clip scenes",
    "images": 1200,
    "captions": 6000,
    "t2i": WAY,
    "i2t": WAY,
    "rsum": 450.0,
}
RESULT = {**MODEL, "data_set": "toy-data", "split": "test", "left_out": {"unreadable": 2}}
NASTY = "<script>alert('\"&</script>"


def test_one_model_has_a_row_a_direction() -> None:
    (table,) = tables(RESULT)
    assert table.rows == (
        ("clip scenes", "t2i", "0.5", "0.75", "1", "1", "2.25", "0.6", "450"),
        ("clip scenes", "i2t", "0.5", "0.75", "1", "1", "2.25", "0.6", ""),
    )


def test_precision_by_class_name_has_a_column_a_model_that_knows_texts() -> None:
    of_names = {"model": "clip scenes", "class_name_p10": 0.75, "class_names": {"cup": 0.5, "dog": 1.0}}
    (table,) = tables({"models": [of_names, {"model": "timm"}]})
    assert table.headings == ("a photo of a ...", "clip scenes")
    assert table.rows == (("all", "0.75"), ("cup", "0.5"), ("dog", "1"))


def test_several_models_folds_and_skills_stand_side_by_side() -> None:
    second = {**MODEL, "model": "other", "skills": {"flip": 0.5}}
    folds = {"folds": 5, "t2i": WAY, "i2t": WAY, "rsum": 451.5}
    recalls, skills = tables({**RESULT, "models": [{**MODEL, "folds_1k": folds}, second]})
    assert [row[0] for row in recalls.rows[::2]] == ["clip scenes", "clip scenes, folds of 1k", "other"]
    assert (skills.headings, skills.rows) == (("model", "flip"), (("other", "0.5"),))


def test_through_the_flow_stands_beside_exact_and_the_unknown_is_a_dash() -> None:
    recalls = {name: WAY[name] for name in ("R@1", "R@5", "R@10")}
    exact = {"t2i": WAY, "i2t": WAY, "rsum": 450.0}
    (table,) = tables({**RESULT, "through": "flow", "t2i": recalls, "i2t": recalls, "exact": exact})
    assert [row[0] for row in table.rows[::2]] == ["clip scenes through the Flow", "clip scenes, exact"]
    assert table.rows[0][5:8] == ("-", "-", "-")


def test_classes_have_a_table_of_their_own() -> None:
    means = {"P@1": 1.0, "P@5": 0.5, "P@10": 0.25, "search_score": 33.3}
    result = {"model": "m", "images": 4, "classes": {**means, "per_class": {"cat": {"images": 2, **means}}}}
    whole, per_class = tables(result)
    assert whole.rows == (("m", "1", "0.5", "0.25", "33.3"),)
    assert per_class.rows == (("cat", "33.3"),)


class Page(HTMLParser):
    """What a browser would see: the tags, and the addresses it would ask for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_report_loads_nothing_and_shows_the_misses() -> None:
    miss = Miss("rank 7 of 9", Shown("a cat"), (Shown("own.jpg", b"jpeg"),), (Shown("a dog", b"other"),))
    page = Page(html_report(RESULT, [Section("Late", (miss,)), Section("Empty", ())]))
    assert page.sources == ["data:image/jpeg;base64,anBlZw==", "data:image/jpeg;base64,b3RoZXI="]
    assert {"rank 7 of 9", "a cat", "own.jpg", "a dog", "Late", "None."} <= set(page.texts)
    assert "1,200 images, 6,000 captions; left out: 2 unreadable" in page.texts
    assert not {"script", "link", "iframe"} & set(page.tags)


@pytest.mark.parametrize("place", ["data_set", "split", "model"])
def test_words_of_others_are_escaped(place: str) -> None:
    shown = Shown(NASTY, b"jpeg")
    miss = Miss(NASTY, shown, (shown,), (Shown(NASTY),))
    page = html_report({**RESULT, place: NASTY, "left_out": {NASTY: 1}}, [Section(NASTY, (miss,))])
    assert "<script" not in page
    assert not re.search(r'alt="[^"]*\'"', page)
    assert Page(page).texts.count(NASTY) >= 5


def test_what_is_no_text_of_a_page_is_shown_as_an_escape() -> None:
    miss = Miss("2", Shown("a\udcff.jpg\x00\u202egpj"), (), ())
    page = html_report(RESULT, [Section("misses", (miss,))])
    assert page.encode("utf8")
    assert r"a\udcff.jpg\u0000\u202egpj" in page
