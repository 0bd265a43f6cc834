"""XMP sidecars: the keywords and the description of a picture in a file beside it.

    <photo.jpg.xmp>  dc:subject (a bag of keywords), dc:description

Source: ISO 16684-1:2019; Adobe, XMP Specification Part 1 and 2.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from crossmodal.core.errors import InputError
from crossmodal.images.formats import RAW
from crossmodal.saving.chosen import Chosen

TOOLKIT = "crossmodal-search"
"""The writer that a sidecar of this program names."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_OWN = re.compile(rf'x:xmptk="{TOOLKIT}"')
_PROPRIETARY = frozenset(RAW[1].split()) - {".dng"}


def sidecar_name(filename: str) -> str:
    """The name of the sidecar of a file.

    It is the file's with `.xmp` added, which digiKam and darktable read; for a proprietary RAW file it replaces the
    ending, because Lightroom, which reads sidecars of such files only, expects that, and darktable reads it on import.

    >>> sidecar_name("a.jpg"), sidecar_name("a.NEF"), sidecar_name("a.dng")
    ('a.jpg.xmp', 'a.xmp', 'a.dng.xmp')

    Source: darktable user manual, "sidecar files"; digiKam handbook, "Metadata settings, sidecars"; Adobe, Lightroom
    Classic help, "Metadata basics and actions".
    """
    path = PurePath(filename)
    return f"{path.stem}.xmp" if path.suffix.lower() in _PROPRIETARY else f"{filename}.xmp"


def keywords_of(picture: Chosen, added: Iterable[str]) -> list[str]:
    """The keywords of a picture: those that it has from its file, its labels (tag `labels`), and the added ones.

    Those of the file are repeated, because programs that find a sidecar don't look for keywords in the file.
    """
    labels = picture.document.tags.get("labels")
    stated = [*picture.text("keywords").split(";"), *(labels if isinstance(labels, list) else ()), *added]
    cleaned = (" ".join(_NO_XML.sub(" ", word).split()) for word in stated if isinstance(word, str))
    return [word for word in dict.fromkeys(cleaned) if word]


def sidecar(keywords: Sequence[str], description: str = "") -> bytes:
    """The XMP packet of a picture with these keywords, and a description unless it is empty."""
    words = "".join(f"\n     <rdf:li>{escape(word)}</rdf:li>" for word in keywords)
    parts = f"\n   <dc:subject>\n    <rdf:Bag>{words}\n    </rdf:Bag>\n   </dc:subject>" if keywords else ""
    if text := escape(_NO_XML.sub(" ", description)):
        item = f'<rdf:li xml:lang="x-default">{text}</rdf:li>'
        parts += f"\n   <dc:description>\n    <rdf:Alt>\n     {item}\n    </rdf:Alt>\n   </dc:description>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="{TOOLKIT}">\n'
        f' <rdf:RDF xmlns:rdf="{_RDF}">\n  <rdf:Description rdf:about="" xmlns:dc="{_DC}">{parts}\n'
        "  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n"
    ).encode()


def is_own(content: bytes) -> bool:
    """Whether this program wrote a sidecar, and no other has changed it since: they write their own name."""
    return _OWN.search(content[:300].decode("utf8", "replace")) is not None


def with_keywords(content: bytes, keywords: Iterable[str]) -> bytes:
    """A sidecar of another program with further keywords; everything else in it stays.

    Raises:
        InputError: It is not XMP, or states its keywords in a way that XMP does not allow.
    """
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise InputError("it is not XMP: it declares entities")
    try:
        for _, (prefix, uri) in ElementTree.iterparse(io.BytesIO(content), ["start-ns"]):
            if not re.fullmatch(r"ns\d+|xml", prefix):  # which ElementTree keeps for itself
                ElementTree.register_namespace(prefix, uri)
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"it is not XMP: {error}") from error
    rdf = root if root.tag == f"{{{_RDF}}}RDF" else root.find(f".//{{{_RDF}}}RDF")
    if rdf is None:
        raise InputError("it is not XMP: it has no rdf:RDF")
    bag = _bag(rdf)
    known = {(item.text or "").strip() for item in bag}
    for word in dict.fromkeys(keywords):
        if word not in known:
            ElementTree.SubElement(bag, f"{{{_RDF}}}li").text = word
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'.encode()


def _bag(rdf: ElementTree.Element) -> ElementTree.Element:
    """The list of the keywords, made if there is none."""
    subject = rdf.find(f"{{{_RDF}}}Description/{{{_DC}}}subject")
    if subject is None:
        description = rdf.find(f"{{{_RDF}}}Description")
        if description is None:
            description = ElementTree.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
        if f"{{{_DC}}}subject" in description.attrib:
            raise InputError("its keywords are not a list")
        subject = ElementTree.SubElement(description, f"{{{_DC}}}subject")
    bag = next(iter(subject), None)
    if bag is None:
        if (subject.text or "").strip():
            raise InputError("its keywords are not a list")
        bag = ElementTree.SubElement(subject, f"{{{_RDF}}}Bag")
    if bag.tag not in (f"{{{_RDF}}}Bag", f"{{{_RDF}}}Seq", f"{{{_RDF}}}Alt"):
        raise InputError("its keywords are not a list")
    return bag
