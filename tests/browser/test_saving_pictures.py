"""Saving what was found: pictures, lists, contact sheets and sidecars, from the page."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browsing import DESK, Page, answered, axe_violations, new_page, wait_until
from conftest import TOY, Service, started
from tasks import dated_tags

from crossmodal.collection.collection import Collection
from crossmodal.metadata.xmp import read_xmp

GONE = "test-00003.jpg"


@pytest.fixture(scope="module")
def service(toy_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service over toy data with dates and labels; the file of one picture is gone."""
    workspace = tmp_path_factory.mktemp("saving") / "workspace"
    shutil.copytree(toy_workspace, workspace)
    with Collection.open(workspace / "toy-data").store(writable=True) as store:
        pictures = [one.document for _, one in store.everything(0, 2_000) if one.document.modality == "image"]
        store.update((one.id, dated_tags(i, len(pictures)) | {"labels": ["toy"]}) for i, one in enumerate(pictures))
        (gone,) = (one for one in store.known(one.id for one in pictures).values() if one.tags["filename"] == GONE)
        store.describe([replace(gone, uri="/nowhere/x.jpg")])
        store.files.forget(store.files.paths_of(gone.id))
    with started("query_restful", workspace) as running:
        yield running


@pytest.fixture(params=[DESK], ids=["desk"])
def page(browser: Any, service: Service, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, opened."""
    with new_page(browser, service.url, **request.param) as opened:
        opened.goto("/")
        opened.wait_for_selector("#grid .tile .open")
        yield opened


PHONE = pytest.mark.parametrize("page", [{"viewport": {"width": 360, "height": 740}}], ids=["phone"], indirect=True)


def narrowed(page: Page, where: str) -> None:
    page.goto(f"/?where={where}")
    page.wait_for_selector("#grid .tile .open")
    answered(page)


def select_all(page: Page) -> int:
    if page.is_hidden("#selected"):
        page.click("#select")
    page.click("#select-all")
    wait_until(page, "/selected/.test(document.getElementById('selected-count').textContent)")
    return int(re.sub(r"\D", "", page.inner_text("#selected-count")))


def saved(page: Page, act: Any) -> tuple[str, bytes]:
    with page.expect_download() as download:
        act()
    wait_until(page, "document.getElementById('saving-stop').hidden")
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def save_as(page: Page, kind: str) -> tuple[str, bytes]:
    page.click("#save-as")
    page.check(f"#saving [value={kind}]")
    return saved(page, lambda: page.click("#saving [type=submit]"))


def told(page: Page) -> str:
    page.wait_for_selector("#undo", state="visible")
    return str(page.inner_text("#undo-text"))


def test_pictures_are_saved_as_they_are(page: Page) -> None:
    narrowed(page, "filename like 'test-0001%'")
    assert select_all(page) == 10
    name, content = saved(page, lambda: page.click("#download"))
    assert name == "pictures.zip"
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert sorted(archive.namelist()) == [f"test-{n:05}.jpg" for n in range(10, 20)]
    for one in archive.namelist():
        assert archive.read(one) == (TOY / "images" / one).read_bytes()
    assert told(page) == "pictures.zip saved."


def test_an_original_that_is_gone_is_told(page: Page) -> None:
    narrowed(page, "filename in ('test-00003.jpg', 'test-00004.jpg')")
    select_all(page)
    _, content = saved(page, lambda: page.click("#download"))
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert set(archive.namelist()) == {"test-00003.thumbnail.jpg", "test-00004.jpg", "missing.txt"}
    assert GONE in archive.read("missing.txt").decode()
    assert told(page) == "pictures.zip is not complete: missing.txt in it says which originals are gone."


def test_a_picture_alone_whose_original_is_gone(page: Page) -> None:
    page.seen.may_fail_to_load = True
    narrowed(page, f"filename = '{GONE}'")
    select_all(page)
    name, content = saved(page, lambda: page.click("#download"))
    assert (name, content[:2]) == (f"{GONE}.thumbnail.jpg", b"\xff\xd8")
    assert told(page) == f"The original of {GONE} is gone: its thumbnail was saved."


def test_lists_a_contact_sheet_and_sidecars(page: Page) -> None:
    narrowed(page, "filename like 'test-0001%'")
    select_all(page)
    name, content = save_as(page, "csv")
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert (name, len(rows), rows[0]["labels"]) == ("pictures.csv", 10, "toy")
    name, content = save_as(page, "json")
    assert (name, len(json.loads(content))) == ("pictures.json", 10)
    name, content = save_as(page, "pdf")
    assert (name, content[:5]) == ("contact-sheet.pdf", b"%PDF-")
    page.click("#save-as")
    assert page.is_hidden("#sidecar-options")
    page.check("#saving [value=xmp]")
    page.fill("#keywords", "one, two words, ")
    page.check("#with-captions")
    name, content = saved(page, lambda: page.click("#saving [type=submit]"))
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert (name, len(archive.namelist())) == ("sidecars.zip", 10)
    read = read_xmp(archive.read("test-00010.jpg.xmp")).properties
    assert read["dc:subject"] == ("toy", "one", "two words")
    assert len(read["dc:description"][0].splitlines()) == 5


def test_all_that_fits_a_search_is_selected(page: Page) -> None:
    page.fill("#words", "two hearts")
    page.press("#words", "Enter")
    wait_until(page, "/fit.* for “two hearts”/.test(document.getElementById('summary').textContent)")
    n = int(page.inner_text("#summary").split()[0].replace(",", ""))
    page.click("#select")
    assert select_all(page) == n
    page.click("#select-done")
    page.click("#home")
    wait_until(page, "document.getElementById('summary').textContent === '200 pictures'")
    page.click("#select")
    assert select_all(page) == 200


def test_by_keyboard(page: Page) -> None:
    page.focus(".tile .open >> nth=0")
    page.keyboard.press("x")
    page.focus("#save-as")
    page.keyboard.press("Enter")
    assert page.inner_text("#saving-title") == "Save 1 picture"
    page.keyboard.press("Escape")
    assert page.is_hidden("#saving")
    assert page.inner_text("#selected-count") == "1 selected"
    page.keyboard.press("Enter")
    page.focus("#saving [value=zip]")
    page.keyboard.press("ArrowDown")
    name, _ = saved(page, lambda: page.keyboard.press("Enter"))
    assert name == "pictures.csv"


def test_what_goes_wrong_is_told(page: Page) -> None:
    page.seen.may_fail_to_load = True
    narrowed(page, "filename like 'test-0001%'")
    select_all(page)
    refusal = {"detail": "4 downloads are in progress: try again when one is done"}
    page.route("**/download", lambda route: route.fulfill(status=503, json=refusal))
    page.click("#download")
    assert told(page) == f"Not saved: {refusal['detail']}"
    page.unroute("**/download")
    page.route("**/download", lambda _: None)  # never answered
    page.click("#download")
    page.click("#saving-stop")
    assert told(page) == "Not saved: it was stopped."
    assert page.inner_text("#selected-count") == "10 selected"


@PHONE
def test_a_phone(page: Page) -> None:
    page.click("#select")
    page.click(".tile .open >> nth=0")
    page.click("#save-as")
    page.check("#saving [value=xmp]")
    for part in ("documentElement", "querySelector('#saving')", "querySelector('#selected')"):
        assert page.evaluate(f"document.{part}.scrollWidth <= document.{part}.clientWidth")
    name, _ = saved(page, lambda: page.click("#saving [type=submit]"))
    assert name == "sidecars.zip"


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_serious_violation(page: Page, axe: str, colours: str) -> None:
    page.emulate_media(color_scheme=colours, reduced_motion="reduce")
    page.click("#select")
    page.click(".tile .open >> nth=0")
    assert axe_violations(page, axe) == []
    page.click("#save-as")
    page.check("#saving [value=xmp]")
    assert axe_violations(page, axe) == []
