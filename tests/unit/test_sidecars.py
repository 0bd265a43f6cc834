"""XMP sidecars: what is in them, and who reads it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from crossmodal.core.errors import InputError
from crossmodal.core.types import Document
from crossmodal.metadata.embedded import read_embedded
from crossmodal.metadata.xmp import read_xmp
from crossmodal.saving.chosen import Chosen
from crossmodal.saving.sidecar import is_own, keywords_of, sidecar, with_keywords

WORDS = ["dog & cat", "<b>", "Bjørn; 北", "a"]

DARKTABLE = b"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:darktable="http://darktable.sf.net/"
   xmp:Rating="4"
   darktable:xmp_version="5">
   <dc:subject>
    <rdf:Bag>
     <rdf:li>beach</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <darktable:history>
    <rdf:Seq>
     <rdf:li darktable:num="0" darktable:operation="exposure"/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


def test_a_sidecar_is_read_back_by_the_projects_own_reader() -> None:
    content = sidecar(WORDS, "a dog\nand a < cat")
    read = read_xmp(content)
    assert not read.is_damaged
    assert read.properties["dc:subject"] == tuple(WORDS)
    assert read.properties["dc:description"] == ("a dog\nand a < cat",)
    assert read_embedded(b"", sidecar(["one", "two"])).tags["keywords"] == "one; two"
    assert is_own(content)


def test_a_sidecar_is_rdf() -> None:
    root = ElementTree.fromstring(sidecar([], ""))
    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    (description,) = root.iterfind(f"{rdf}RDF/{rdf}Description")
    assert description.get(f"{rdf}about") == ""
    assert list(description) == []


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_a_sidecar_is_read_by_exiftool(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    path.write_bytes(sidecar(WORDS, "a dog"))
    done = subprocess.run(["exiftool", "-j", "-all", "-validate", path], capture_output=True, text=True, check=True)
    (read,) = json.loads(done.stdout)
    assert (read["Subject"], read["Description"], read["Validate"]) == (WORDS, "a dog", "OK")
    path.write_bytes(with_keywords(DARKTABLE, ["dog"]))
    (read,) = json.loads(subprocess.run(["exiftool", "-j", path], capture_output=True, text=True, check=True).stdout)
    assert (read["Subject"], read["Rating"], read["HistoryOperation"]) == (["beach", "dog"], 4, "exposure")


def test_keywords_are_those_of_the_file_the_labels_and_the_added_ones() -> None:
    tags = {"keywords": "beach; sea", "labels": ["dog", "beach", 3, ""]}
    assert keywords_of(Chosen(Document("a", "image", tags=tags)), ["my\x00 own", "sea"]) == [
        "beach", "sea", "dog", "my own",
    ]  # fmt: skip
    assert keywords_of(Chosen(Document("a", "image", tags={"keywords": 3, "labels": "dog"})), []) == []


def test_keywords_are_added_to_the_sidecar_of_another_program() -> None:
    assert not is_own(DARKTABLE)
    merged = with_keywords(DARKTABLE, ["dog", "beach"])
    assert read_xmp(merged).properties["dc:subject"] == ("beach", "dog")
    assert read_xmp(merged).properties["xmp:Rating"] == ("4",)
    assert b'darktable:operation="exposure"' in merged
    assert b'x:xmptk="XMP Core 4.4.0-Exiv2"' in merged
    assert with_keywords(merged, ["dog"]) == merged


def test_a_list_of_keywords_is_made_where_there_is_none() -> None:
    without = DARKTABLE.replace(b"dc:subject", b"dc:other")
    assert read_xmp(with_keywords(without, ["dog"])).properties["dc:subject"] == ("dog",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<x>",
        b"<a/>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><a/>',
        DARKTABLE.replace(b"<rdf:Bag>", b"<rdf:Other>").replace(b"</rdf:Bag>", b"</rdf:Other>"),
    ],
)
def test_what_is_no_xmp_is_refused(content: bytes) -> None:
    with pytest.raises(InputError):
        with_keywords(content, ["dog"])
