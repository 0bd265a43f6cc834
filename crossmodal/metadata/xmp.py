"""Reads the XMP properties that describe when, where and with what a picture was taken.

Source: ISO 16684-1; Adobe, XMP Specification Part 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from xml.etree import ElementTree

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_PREFIXES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
}


class Xmp(NamedTuple):
    """The values of each property, by its prefix and name, such as `dc:subject`; and whether the packet is damaged.

    A property has one value, or those of its list; of a text in several languages the default one comes first.
    """

    properties: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    is_damaged: bool = False


def read_xmp(packet: bytes) -> Xmp:
    """The properties of an XMP packet; nested structures are left out."""
    packet = packet.strip(b"\0 \r\n\t")
    if not packet:
        return Xmp()
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:  # XMP has neither; entities could be expanded without limit
        return Xmp(is_damaged=True)
    try:
        root = ElementTree.fromstring(packet)
    except (ElementTree.ParseError, ValueError, LookupError):  # not well-formed, or an unknown encoding
        return Xmp(is_damaged=True)
    properties: dict[str, tuple[str, ...]] = {}
    for description in (child for rdf in root.iter(f"{_RDF}RDF") for child in rdf.iterfind(f"{_RDF}Description")):
        for attribute, value in description.attrib.items():
            _add(properties, attribute, (value,))
        for element in description:
            _add(properties, element.tag, _values(element))
    return Xmp(properties)


def _add(properties: dict[str, tuple[str, ...]], name: str, values: tuple[str, ...]) -> None:
    uri, _, local = name[1:].partition("}")
    texts = tuple(text for value in values if (text := value.strip()))
    if texts and uri in _PREFIXES:
        properties.setdefault(f"{_PREFIXES[uri]}:{local}", texts)


def _values(element: ElementTree.Element) -> tuple[str, ...]:
    items = [item for listed in element for item in listed if item.tag == f"{_RDF}li"]
    if not items:
        return (element.text or "",)
    items.sort(key=lambda item: item.get("{http://www.w3.org/XML/1998/namespace}lang", "x-default") != "x-default")
    return tuple(item.text or "" for item in items)
