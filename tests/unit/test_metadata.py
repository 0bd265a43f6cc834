"""The metadata of photographs becomes tags."""

from __future__ import annotations

import json
import struct
from random import Random

import pytest
from photographs import FORMATS, Block, encoded, photographs, xmp_packet
from PIL import ExifTags, Image

from crossmodal.core.types import Preprocessing
from crossmodal.images.decode import metadata_blocks
from crossmodal.images.prepare import prepare
from crossmodal.metadata.embedded import Embedded, read_embedded
from crossmodal.metadata.exif import read_exif
from crossmodal.metadata.tags import LOCATION_TAGS, with_metadata
from crossmodal.metadata.times import parse_offset, parse_time, time_in_name
from crossmodal.metadata.xmp import read_xmp

SMALL = Preprocessing(8)


@pytest.mark.parametrize("kind", range(len(FORMATS)), ids=FORMATS)
def test_dates_places_and_cameras_of_300_photographs_are_right(kind: int) -> None:
    made = photographs()[kind :: len(FORMATS)]
    assert len(made) == 50
    for photograph in made:
        prepared = prepare(photograph.content, SMALL, with_thumbnail=False, with_metadata=True)
        assert with_metadata({}, prepared.embedded, f"/pictures/{photograph.name}") == photograph.tags, photograph.name
        assert prepared.embedded == read_embedded(*metadata_blocks(photograph.content))
        assert prepared.notes == ()


def block_with(**texts: str) -> Block:
    """A block whose tags have these texts, by their names here."""
    tags = {"make": ("main", 0x010F), "model": ("main", 0x0110), "taken": ("exif", 0x9003), "offset": ("exif", 0x9011)}
    block = Block("<")
    for name, text in texts.items():
        block.text(*tags[name], text)
    return block


def test_every_damage_of_a_block_leaves_valid_tags() -> None:
    random = Random(1)
    block = block_with(make="Canon", model="Canon EOS R5", taken="2021:07:04 18:30:05", offset="+02:00")
    block.text("gps", 1, "N")
    block.text("gps", 3, "E")
    block.rationals(2, [(48, 1), (51, 1), (30, 1)])
    block.rationals(4, [(2, 1), (17, 1), (40, 1)])
    whole, packet = block.written(), xmp_packet({"dc:subject": ["dog"], "xmp:Rating": "5"})
    damaged = [(whole[:n], packet[: n * 4]) for n in range(len(whole))]
    for _ in range(3000):
        pair = [bytearray(whole), bytearray(packet)]
        for content in pair:
            for _ in range(random.randrange(1, 6)):
                content[random.randrange(len(content))] = random.choice((0, 1, 7, 255, random.randrange(256)))
        damaged.append((bytes(pair[0]), bytes(pair[1])))
    for exif, xmp in damaged:
        tags = with_metadata({}, read_embedded(exif, xmp), "")
        json.dumps(tags, allow_nan=False).encode()
        assert abs(tags.get("latitude", 0)) <= 90
        assert abs(tags.get("longitude", 0)) <= 180


def test_a_block_that_is_cut_keeps_its_whole_tags_and_has_a_note() -> None:
    block = block_with(model="EOS", taken="2021:07:04 18:30:05")
    found = read_embedded(block.written()[:-6], b"")  # the time is the last value
    assert found.tags == {"camera": "EOS"}
    assert found.notes == ("parts of the EXIF metadata are damaged and were not read",)


@pytest.mark.parametrize(
    "content", [b"Exif\0\0", b"\xff" * 40, b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_bytes_that_are_no_exif_have_no_tags(content: bytes) -> None:
    assert dict(read_exif(content).tags) == {}


@pytest.mark.parametrize(
    "packet",
    [
        b"<not xml", b"\xff\xfe\0", b"<?xml version='1.0' encoding='no-such'?><a/>", b"<a:b/>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>',
    ],
)  # fmt: skip
def test_an_xmp_packet_that_is_damaged_or_has_entities_is_not_read(packet: bytes) -> None:
    assert read_xmp(packet) == ({}, True)
    assert len(read_embedded(b"", packet).notes) == 1


def test_a_block_that_ends_with_its_only_tag_is_whole() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    assert not read_exif(exif.tobytes()).is_damaged


def test_long_lists_of_numbers_are_not_read() -> None:
    header, n = b"II*\0\x08\0\0\0", 100_000
    entry = struct.pack("<HHII", 0x4746, 3, n, 26)
    exif = read_exif(header + b"\1\0" + entry + bytes(4) + bytes(2 * n))
    assert (dict(exif.tags), exif.is_damaged) == ({}, True)


def test_properties_of_nested_documents_are_not_the_pictures() -> None:
    other = '<rdf:Description xmp:CreateDate="2001-01-01"/>'
    inner = f'<xmpMM:Pantry xmlns:xmpMM="m"><rdf:Bag><rdf:li>{other}</rdf:li></rdf:Bag></xmpMM:Pantry>'
    packet = xmp_packet({"xmp:Rating": "4"}).replace(b"</rdf:Description>", inner.encode() + b"</rdf:Description>")
    assert read_embedded(b"", packet).tags == {"rating": 4}


def test_attributes_and_the_default_language_are_read() -> None:
    items = '<rdf:li xml:lang="de">Hund</rdf:li><rdf:li xml:lang="x-default">Dog</rdf:li>'
    title = f"<dc:title><rdf:Alt>{items}</rdf:Alt></dc:title>"
    packet = xmp_packet({}).replace(b'rdf:about=""', b'rdf:about="" photoshop:City=" Oslo " tiff:Model="X100"')
    packet = packet.replace(b"</rdf:Description>", title.encode() + b"</rdf:Description>")
    found = read_embedded(b"", packet)
    assert found.tags == {"camera": "X100", "title": "Dog"}
    assert found.location == {"place": "Oslo"}


def test_texts_are_one_line_and_bounded() -> None:
    words = [f"word {i}" for i in range(2000)]
    packet = xmp_packet({"dc:title": ["a\n\tb\u200b " + "x" * 5000], "dc:subject": words})
    tags = read_embedded(block_with(model="Ca\x01m\x7f\xc3 1").written(), packet).tags
    assert tags["camera"] == "Ca m Ã 1"
    assert tags["title"].startswith("a b")
    assert len(tags["title"]) <= 1000
    assert tags["keywords"].split("; ") == words[: tags["keywords"].count("; ") + 1]
    assert 900 < len(tags["keywords"]) <= 1000


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("Screen Shot 2021-07-04 at 6.30.05 PM.png", "2021-07-04T18:30:05"),
        ("Screenshot 2021-07-04 at 12.30.05\u202fAM.png", "2021-07-04T00:30:05"),
        ("signal-2021-07-04-183005_002.jpg", "2021-07-04T18:30:05"),
        ("photo_2021-07-04_18-30-05.jpg", "2021-07-04T18:30:05"),
        ("20210704183005.jpg", "2021-07-04T18:30:05"),
        ("20210704_183005(1).jpg", "2021-07-04T18:30:05"),
        ("2021.07.04 party.jpg", "2021-07-04T00:00:00"),
        ("IMG_20210704_1.jpg", "2021-07-04T00:00:00"),
        ("scan 1987-05-06.tif", "1987-05-06T00:00:00"),
        ("20211304.jpg", None), ("20210231_101010.jpg", None), ("19001010.jpg", None), ("DSC_2021.jpg", None),
        ("COCO_val2014_000000391895.jpg", None), ("1000268201_693b08cb0e.jpg", None), ("120210704.jpg", None),
        ("202107041830059999.jpg", None), ("", None),
    ],
)  # fmt: skip
def test_times_in_file_names(name: str, taken: str | None) -> None:
    assert time_in_name(name) == taken


@pytest.mark.parametrize(
    ("text", "offset", "taken"),
    [
        ("2021:07:04 18:30:05.123", "", "2021-07-04T18:30:05"),
        ("2021/07/04 18:30", "Z", "2021-07-04T18:30:00+00:00"),
        ("2021-07-04T18:30:05-0330", "+02:00", "2021-07-04T18:30:05-03:30"),
        ("2021:07:04 18:30:05\x00", "", None), ("2021:02:30 00:00:00", "", None), ("2021:07:04 24:00:00", "", None),
        ("1800:01:01 00:00:00", "", None), ("2021", "", None), ("2021-07", "", None), ("yesterday", "", None),
    ],
)  # fmt: skip
def test_times_in_metadata(text: str, offset: str, taken: str | None) -> None:
    assert parse_time(text, offset) == taken


@pytest.mark.parametrize("text", ["", "+15:00", "+01:60", "two", "+", "02:00"])
def test_texts_that_are_no_offset(text: str) -> None:
    assert parse_offset(text) == ""


PARIS = Embedded(
    {"taken": "2021-07-04T18:30:05", "taken_from": "exif", "camera": "X100"}, {"latitude": 48.8584, "longitude": 2.2945}
)


def test_tags_of_the_data_set_take_precedence() -> None:
    tags = with_metadata({"taken": "1999", "camera": "none", "country": "here", "class": "dog"}, PARIS, "")
    assert tags == {
        "taken": "1999", "camera": "none", "class": "dog", "latitude": 48.8584, "longitude": 2.2945,
        "place": "Paris", "region": "Île-de-France", "country": "here",
    }  # fmt: skip
    rome = with_metadata({"latitude": 41.8902, "longitude": 12.4922}, PARIS, "")
    assert (rome["latitude"], rome["place"]) == (41.8902, "Rome")
    for latitude in ("north", float("nan"), 1e308, None):
        assert LOCATION_TAGS & with_metadata({"latitude": latitude}, PARIS, "").keys() == {"latitude"}


def test_the_location_or_all_can_be_left_out() -> None:
    assert with_metadata({}, PARIS, "20200101.jpg", "without-gps") == PARIS.tags
    assert with_metadata({"a": 1}, PARIS, "20200101.jpg", "none") == {"a": 1}


def test_the_name_of_a_picture_without_file_is_its_tag() -> None:
    assert with_metadata({"filename": "20200102.jpg"}, Embedded(), "")["taken"] == "2020-01-02T00:00:00"
    assert with_metadata({"filename": 20200102}, Embedded(), "") == {"filename": 20200102}


def test_damaged_metadata_costs_a_note_and_no_picture() -> None:
    broken = encoded("JPEG", block_with(taken="2021:07:04 18:30:05").written()[:-6], b"<broken")
    prepared = prepare(broken, SMALL, with_thumbnail=True, with_metadata=True)
    assert [note for note in prepared.notes if "metadata are damaged" in note] == list(prepared.embedded.notes)
    assert len(prepared.embedded.notes) == 2
