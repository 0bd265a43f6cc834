"""Photographs with EXIF and XMP of every kind, and the tags that they must get."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any
from xml.sax.saxutils import escape

import pillow_heif
from PIL import Image, PngImagePlugin

PLACES = {  # latitude, longitude, and the place that people would name
    (48.8584, 2.2945): ("Paris", "Île-de-France", "France"),
    (41.8902, 12.4922): ("Rome", "Lazio", "Italy"),
    (40.7829, -73.9654): ("New York City", "New York", "United States"),
    (35.6595, 139.7005): ("Tokyo", "Tokyo", "Japan"),
    (-33.8568, 151.2153): ("Sydney", "New South Wales", "Australia"),
    (-22.9711, -43.1822): ("Rio de Janeiro", "Rio de Janeiro", "Brazil"),
    (45.9763, 7.6586): ("Zermatt", "Valais", "Switzerland"),
    (-25.3444, 131.0369): ("Yulara", "Northern Territory", "Australia"),
    (1.2834, 103.8607): ("Singapore", None, "Singapore"),
    (27.1751, 78.0421): ("Agra", "Uttar Pradesh", "India"),
    (64.1466, -21.9426): ("Reykjavík", "Capital Region", "Iceland"),
    (-54.8019, -68.303): ("Ushuaia", "Tierra del Fuego", "Argentina"),
    (-16.433, 180.0): ("Labasa", "Northern", "Fiji"),
    (-16.433, -180.0): ("Labasa", "Northern", "Fiji"),
    (90.0, 0.0): (None, None, None),
    (-90.0, -180.0): (None, None, None),
    (0.0, -30.0): (None, None, None),
}
OFFSETS = ("+00:00", "+02:00", "-07:00", "+05:45", "-03:30", "+14:00", "-11:00")
CAMERAS = {
    ("Canon", "Canon EOS 5D Mark IV"): "Canon EOS 5D Mark IV",
    ("NIKON CORPORATION", "NIKON D70"): "NIKON D70",
    ("SONY", "DSC-RX100M7"): "SONY DSC-RX100M7",
    ("Apple", "iPhone 15 Pro"): "Apple iPhone 15 Pro",
    ("", "Pixel 8"): "Pixel 8",
    ("EASTMAN KODAK COMPANY", "KODAK C813\0"): "KODAK C813",
    ("", ""): None,
}
LENSES = {("", "EF24-105mm f/4L IS USM"): "EF24-105mm f/4L IS USM", ("Apple", "iPhone 15 Pro back camera"):
          "Apple iPhone 15 Pro back camera", ("", "----"): None, ("", ""): None}  # fmt: skip
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF")
ASCII, SHORT, LONG, RATIONAL, UNDEFINED, BYTE = 2, 3, 4, 5, 7, 1
MAKER_NOTE = 0x927C

Entries = dict[int, tuple[int, bytes, int]]
"""Type, value and count of each tag."""


@dataclass
class Photograph:
    """A file, and the tags that follow from it."""

    name: str
    content: bytes
    tags: dict[str, Any]


@dataclass
class Block:
    """An EXIF block to be written."""

    order: str
    main: Entries = field(default_factory=dict)
    exif: Entries = field(default_factory=dict)
    gps: Entries = field(default_factory=dict)
    cut: int = 0
    """Bytes of the maker note, the last value, that are missing at the end of the block."""

    def text(self, directory: str, tag: int, value: str) -> None:
        content = value.encode() + b"\0"
        getattr(self, directory)[tag] = (ASCII, content, len(content))

    def rationals(self, tag: int, values: list[tuple[int, int]]) -> None:
        packed = b"".join(struct.pack(f"{self.order}II", *value) for value in values)
        self.gps[tag] = (RATIONAL, packed, len(values))

    def written(self) -> bytes:
        """The TIFF structure of the block."""
        directories = {0: dict(self.main), 0x8769: self.exif, 0x8825: self.gps}
        directories[0] |= {tag: (LONG, bytes(4), 1) for tag, entries in directories.items() if tag and entries}
        body = bytearray((b"II*\0" if self.order == "<" else b"MM\0*") + struct.pack(f"{self.order}I", 8))
        starts, values = dict[int, int](), []
        for directory, entries in directories.items():
            if entries:
                starts[directory] = len(body)
                body += struct.pack(f"{self.order}H", len(entries))
                for tag, (kind, value, count) in sorted(entries.items()):
                    values.append((tag == MAKER_NOTE, tag, len(body) + 8, value))
                    body += struct.pack(f"{self.order}HHI4x", tag, kind, count)
                body += bytes(4)
        for _, tag, at, value in sorted(values):  # the maker note last
            if tag in starts:
                value = struct.pack(f"{self.order}I", starts[tag])
            elif len(value) > 4:
                body += bytes(len(body) % 2)
                place, value = value, struct.pack(f"{self.order}I", len(body))
                body += place
            body[at : at + len(value)] = value
        return bytes(body[: len(body) - self.cut])


def xmp_packet(properties: dict[str, str | list[str]]) -> bytes:
    """An XMP packet with these properties, a list as a bag."""
    spaces = {
        "dc": "http://purl.org/dc/elements/1.1/", "xmp": "http://ns.adobe.com/xap/1.0/",
        "exif": "http://ns.adobe.com/exif/1.0/", "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "aux": "http://ns.adobe.com/exif/1.0/aux/", "tiff": "http://ns.adobe.com/tiff/1.0/",
    }  # fmt: skip
    lines = []
    for name, value in properties.items():
        if isinstance(value, list):
            kind, language = ("Alt", ' xml:lang="x-default"') if name == "dc:title" else ("Bag", "")
            items = "".join(f"<rdf:li{language}>{escape(item)}</rdf:li>" for item in value)
            value = f"<rdf:{kind}>{items}</rdf:{kind}>"
        else:
            value = escape(value)
        lines.append(f"<{name}>{value}</{name}>")
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in spaces.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {declared}>{"".join(lines)}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def encoded(kind: str, exif: bytes, xmp: bytes, *, seed: int = 0) -> bytes:
    """A small picture with an EXIF block and an XMP packet, each possibly empty."""
    pillow_heif.register_heif_opener()
    picture = Image.new("RGB", (32, 24), (seed % 256, seed // 256, 128))
    options: dict[str, Any] = {"exif": b"Exif\0\0" + exif if kind in ("JPEG", "HEIF") else exif} if exif else {}
    if xmp and kind == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    elif xmp and kind == "TIFF":
        options["exif"] = Image.Exif()
        options["exif"].load(exif)
        options["exif"][700] = xmp
    elif xmp:
        options["xmp"] = xmp
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def sexagesimal(degrees: float, form: int) -> list[tuple[int, int]]:
    """Degrees as cameras write them: with seconds, with minutes, or with neither."""
    exact = Fraction(str(abs(degrees)))
    if form == 2:
        return [(int(exact * 1_000_000), 1_000_000), (0, 1), (0, 1)]
    whole, minutes = divmod(exact, 1)
    if form == 1:
        return [(int(whole), 1), (int(minutes * 60 * 100_000), 100_000), (0, 0)]
    full, rest = divmod(minutes * 60, 1)
    return [(int(whole), 1), (int(full), 1), (int(rest * 60 * 10_000), 10_000)]


TIMES = (
    "offset", "no offset", "digitized", "zeros", "blank", "month 13", "xmp", "xmp offset", "xmp differs", "name",
    "none", "changed by the camera", "changed by an editor", "date in xmp",
)  # fmt: skip
GPS = (*["right"] * 4, "no direction", "no denominator", "91 degrees", "null island", "in xmp", "none")


@cache
def photographs(n: int = 300) -> list[Photograph]:
    """Photographs that together have every kind of time, place, byte order, container and damage."""
    return list(_made(n))


def _made(n: int) -> Iterator[Photograph]:
    random = Random(0)
    places, cameras, lenses = list(PLACES), list(CAMERAS), list(LENSES)
    for i in range(n):
        kind = FORMATS[i % len(FORMATS)]
        block, xmp, tags, name = Block("<>"[i % 2]), dict[str, Any](), dict[str, Any](), f"DSC_{i:04}.jpg"
        time, camera, lens = TIMES[i % len(TIMES)], cameras[i % len(cameras)], lenses[i % len(lenses)]
        if time == "changed by an editor":
            camera = ("", "")
        for directory, tag, text in (
            ("main", 0x010F, camera[0]), ("main", 0x0110, camera[1]),
            ("exif", 0xA433, lens[0]), ("exif", 0xA434, lens[1]),
        ):  # fmt: skip
            if text:
                block.text(directory, tag, text)
        name = _add_time(time, random, block, xmp, tags, name, has_camera=any(camera))
        _add_place(GPS[i % len(GPS)], places[i % len(places)], i % 3, block, xmp, tags)
        if i % 5 == 0:
            xmp |= {"dc:subject": ["dog", "beach & sea", "dog"], "dc:title": [f"Picture {i}"], "xmp:Rating": str(i % 6)}
            tags |= {"keywords": "dog; beach & sea", "title": f"Picture {i}"} | ({"rating": i % 6} if i % 6 else {})
        elif i % 5 == 1:
            block.main[0x4746] = (SHORT, struct.pack(f"{block.order}H", 3), 1)
            words = "katze;hund\0".encode("utf-16-le")
            block.main[0x9C9E] = (BYTE, words, len(words))
            tags |= {"rating": 3, "keywords": "katze; hund"}
        if kind != "TIFF" and i % 4:
            block.exif[MAKER_NOTE] = (UNDEFINED, bytes(400), 400)
            block.cut = (0, 100, 399)[i % 3]
        names = {"camera": CAMERAS[camera], "lens": LENSES[lens]}
        tags |= {tag: text for tag, text in names.items() if text}
        is_empty = not (block.main or block.exif or block.gps)
        content = encoded(kind, b"" if is_empty else block.written(), xmp_packet(xmp) if xmp else b"", seed=i)
        yield Photograph(name, content, tags)


def _add_time(
    kind: str, random: Random, block: Block, xmp: dict[str, Any], tags: dict[str, Any], name: str, *, has_camera: bool
) -> str:
    """Writes the time in one way; returns the file's name."""
    year, month, day = random.randrange(1990, 2030), random.randrange(1, 13), random.randrange(1, 29)
    hour, minute, second = random.randrange(24), random.randrange(60), random.randrange(60)
    date, clock = f"{year}-{month:02}-{day:02}", f"{hour:02}:{minute:02}:{second:02}"
    iso, stamp = f"{date}T{clock}", f"{date.replace('-', ':')} {clock}"
    compact, offset = iso.replace("-", "").replace(":", ""), random.choice(OFFSETS)
    original, digitized, changed = ("exif", 0x9003), ("exif", 0x9004), ("main", 0x0132)
    named, of_name = random.choice(
        [
            (f"IMG_{compact.replace('T', '_')}.jpg", iso),
            (f"PXL_{compact.replace('T', '_')}123.jpg", iso + "+00:00"),
            (f"WhatsApp Image {date} at {clock.replace(':', '.')}.jpeg", iso),
            (f"IMG-{compact[:8]}-WA0003.jpg", f"{date}T00:00:00"),
            (f"Screenshot_{date}-{clock.replace(':', '-')}.png", iso),
            (f"{date} {clock.replace(':', '.')}.jpg", iso),
        ]
    )
    in_exif: dict[str, dict[tuple[str, int], str]] = {
        "offset": {original: stamp, ("exif", 0x9011): offset, changed: "2031:01:01 00:00:00"},
        "no offset": {original: stamp, ("exif", 0x9011): "   :  "},
        "digitized": {original: "0000:00:00 00:00:00", digitized: stamp},
        "zeros": {original: "0000:00:00 00:00:00"},
        "blank": {original: "    :  :     :  :  "},
        "month 13": {original: "2020:13:01 00:00:00"},
        "xmp offset": {original: stamp},
        "xmp differs": {original: stamp},
        "changed by the camera": {changed: stamp},
        "changed by an editor": {changed: stamp},
    }
    in_xmp = {
        "xmp": {"photoshop:DateCreated": f"{iso}.250{offset}"},
        "xmp offset": {"exif:DateTimeOriginal": iso + offset},
        "xmp differs": {"exif:DateTimeOriginal": "2031-05-05T05:05:05Z"},
        "date in xmp": {"xmp:CreateDate": date},
    }
    taken = {
        "offset": (iso + offset, "exif"),
        "no offset": (iso, "exif"),
        "digitized": (iso, "exif"),
        "xmp": (iso + offset, "xmp"),
        "xmp offset": (iso + offset, "exif"),
        "xmp differs": (iso, "exif"),
        "name": (of_name, "filename"),
        "date in xmp": (f"{date}T00:00:00", "xmp"),
        "changed by the camera": (iso, "exif") if has_camera else (),
    }
    for (directory, tag), text in in_exif.get(kind, {}).items():
        block.text(directory, tag, text)
    xmp |= in_xmp.get(kind, {})
    tags |= dict(zip(("taken", "taken_from"), taken.get(kind, ()), strict=False))
    return named if kind == "name" else name


def _add_place(
    kind: str, place: tuple[float, float], form: int, block: Block, xmp: dict[str, Any], tags: dict[str, Any]
) -> None:
    latitude, longitude = place
    if kind == "none":
        return
    if kind == "in xmp":
        for name, degrees, (positive, negative) in (("Latitude", latitude, "NS"), ("Longitude", longitude, "EW")):
            whole, minutes = divmod(Fraction(str(abs(degrees))), 1)
            xmp[f"exif:GPS{name}"] = f"{whole},{float(minutes * 60):.6f}{negative if degrees < 0 else positive}"
    else:
        values = [sexagesimal(latitude, form), sexagesimal(longitude, form)]
        if kind == "null island":
            values = [[(0, 1), (0, 1), (0, 1)]] * 2
        if kind == "no denominator":
            values[0] = [(48, 0), (1, 1), (0, 1)]
        if kind == "91 degrees":
            values[0] = [(91, 1), (0, 1), (0, 1)]
        if kind != "no direction":
            block.text("gps", 1, "S" if latitude < 0 else "N")
            block.text("gps", 3, "W" if longitude < 0 else "E")
        block.rationals(2, values[0])
        block.rationals(4, values[1])
    if kind in ("right", "in xmp"):
        names = dict(zip(("place", "region", "country"), PLACES[place], strict=True))
        tags |= {"latitude": latitude, "longitude": longitude} | {tag: text for tag, text in names.items() if text}
