"""What EXIF and XMP of a picture say about it, as tags of its document."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crossmodal.metadata.exif import Exif, Value, read_exif
from crossmodal.metadata.times import parse_time
from crossmodal.metadata.xmp import Xmp, read_xmp

MAX_CHARACTERS = 1000
"""Longer texts are cut."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")
_XMP_COORDINATE = re.compile(r"(\d{1,3})(?:,(\d+(?:\.\d+)?))?(?:,(\d+(?:\.\d+)?))?([NSEW])")


@dataclass(frozen=True)
class Embedded:
    """The metadata of a picture.

    Attributes:
        tags: `taken` with `taken_from`, `camera`, `lens`, `rating`, `keywords`, `title`, as far as they are stated.
        location: `latitude` and `longitude` in degrees, or `place`, `region` and `country` if only names are stated.
        notes: Metadata that was skipped as damaged.
    """

    tags: Mapping[str, Any] = field(default_factory=dict)
    location: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_embedded(exif_block: bytes, xmp_packet: bytes) -> Embedded:
    """The metadata of an EXIF block and an XMP packet, each possibly empty; EXIF takes precedence, except for ratings.

    Source: Metadata Working Group, Guidelines for Handling Image Metadata 2.0, section 5.
    """
    exif = read_exif(exif_block)
    in_tiff = exif.tags.get("XMP")
    xmp = read_xmp(xmp_packet or (in_tiff if isinstance(in_tiff, bytes) else b""))
    tags = {
        **_taken(exif, xmp),
        "camera": _device(_exif_text(exif, "Make"), _exif_text(exif, "Model"))
        or _device(_first(xmp, "tiff:Make"), _first(xmp, "tiff:Model")),
        "lens": _device(_exif_text(exif, "LensMake"), _exif_text(exif, "LensModel"))
        or _device(_first(xmp, "exifEX:LensMake"), _first(xmp, "exifEX:LensModel") or _first(xmp, "aux:Lens")),
        "rating": _rating(exif, xmp),
        "keywords": _joined(xmp.properties.get("dc:subject", ()) or _wide_text(exif, "XPKeywords").split(";")),
        "title": _clean(_first(xmp, "dc:title") or _wide_text(exif, "XPTitle")),
    }
    stated = {name: value for name, value in tags.items() if value is not None and value != ""}
    damaged = (("EXIF", exif.is_damaged), ("XMP", xmp.is_damaged))
    notes = tuple(f"parts of the {name} metadata are damaged and were not read" for name, is_bad in damaged if is_bad)
    return Embedded(stated, _location(exif, xmp), notes)


def _taken(exif: Exif, xmp: Xmp) -> dict[str, str]:
    in_xmp = [parse_time(_first(xmp, name)) for name in ("exif:DateTimeOriginal", "photoshop:DateCreated")]
    in_xmp.append(parse_time(_first(xmp, "xmp:CreateDate")))
    for kind in ("Original", "Digitized"):
        if taken := parse_time(_exif_text(exif, f"DateTime{kind}"), _exif_text(exif, f"OffsetTime{kind}")):
            # XMP may have the same time with its offset
            same = (other for other in in_xmp if other and len(taken) == 19 and other.startswith(taken))
            return {"taken": max(same, key=len, default=taken), "taken_from": "exif"}
    for taken_or_none in in_xmp:
        if taken_or_none:
            return {"taken": taken_or_none, "taken_from": "xmp"}
    # Cameras without DateTimeOriginal; an image editor's DateTime is the time of the last change.
    has_camera = bool(_exif_text(exif, "Make") or _exif_text(exif, "Model"))
    changed = parse_time(_exif_text(exif, "DateTime"), _exif_text(exif, "OffsetTime")) if has_camera else None
    return {"taken": changed, "taken_from": "exif"} if changed else {}


def _device(make: str, model: str) -> str:
    """Maker and model, without the maker if the model starts with a part of its name.

    >>> _device("NIKON CORPORATION", "NIKON D70"), _device("SONY", "DSC-RX100")
    ('NIKON D70', 'SONY DSC-RX100')
    """
    make, model = _clean(make), _clean(model)
    if not any(map(str.isalnum, model)):  # cameras write dashes for a lens that they don't know
        return ""
    is_in_model = model.split(" ")[0].casefold() in make.casefold().split(" ")
    return model if is_in_model else f"{make} {model}".strip()


def _rating(exif: Exif, xmp: Xmp) -> int | None:
    """Stars from 1 to 5, -1 for a rejected picture, None for an unrated one."""
    stated = exif.tags.get("Rating")
    texts = (_first(xmp, "xmp:Rating"), str(stated[0]) if isinstance(stated, tuple) else "")
    for text in texts:
        if re.fullmatch(r"(-1|[1-5])(\.0+)?", text):
            return int(float(text))
    return None


def _location(exif: Exif, xmp: Xmp) -> dict[str, Any]:
    latitude = _coordinate(exif, "GPSLatitude", "NS", 90) or _xmp_coordinate(xmp, "exif:GPSLatitude", "NS", 90)
    longitude = _coordinate(exif, "GPSLongitude", "EW", 180) or _xmp_coordinate(xmp, "exif:GPSLongitude", "EW", 180)
    if latitude and longitude and (latitude, longitude) != ((0.0,), (0.0,)):  # written by receivers without a fix
        return {"latitude": latitude[0], "longitude": longitude[0]}
    names = {"place": "photoshop:City", "region": "photoshop:State", "country": "photoshop:Country"}
    return {tag: text for tag, name in names.items() if (text := _clean(_first(xmp, name)))}


def _coordinate(exif: Exif, name: str, directions: str, limit: int) -> tuple[float] | None:
    """A latitude or longitude in a tuple, so that 0 is true; None without a valid value and direction."""
    value = exif.tags.get(name)
    direction = _exif_text(exif, f"{name}Ref").strip().upper()[:1]
    if isinstance(value, str):  # old phones write "52,00,50"
        numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", value)]
    else:
        numbers = [_quotient(*part) for part in value or () if isinstance(part, tuple)]
    if not numbers or not direction or direction not in directions:
        return None
    return _degrees(numbers[:3], direction, limit)


def _quotient(numerator: int, denominator: int) -> float:
    """The value of a rational, NaN if it has none, such as seconds that are 0/0 because they are not known."""
    return numerator / denominator if denominator else math.nan


def _xmp_coordinate(xmp: Xmp, name: str, directions: str, limit: int) -> tuple[float] | None:
    match = _XMP_COORDINATE.fullmatch(_first(xmp, name).upper())
    if match is None or match[4] not in directions:
        return None
    return _degrees([float(part or 0) for part in match.groups()[:3]], match[4], limit)


def _degrees(parts: list[float], direction: str, limit: int) -> tuple[float] | None:
    """Degrees, minutes and seconds as degrees with six decimals, which are 0.1 m; None if out of range.

    Minutes and seconds that are NaN are not known, and count as 0.
    """
    known = [0.0 if power and math.isnan(part) else part for power, part in enumerate(parts)]
    degrees = round(sum(part / 60**power for power, part in enumerate(known)), 6)
    if not (min(known) >= 0 and degrees <= limit):
        return None
    return (-degrees if direction in "SW" and degrees else degrees,)


def _first(xmp: Xmp, name: str) -> str:
    return xmp.properties.get(name, ("",))[0]


def _exif_text(exif: Exif, name: str) -> str:
    value: Value | None = exif.tags.get(name)
    return value if isinstance(value, str) else ""


def _wide_text(exif: Exif, name: str) -> str:
    """A text that Windows wrote, in UTF-16."""
    value = exif.tags.get(name)
    return value.decode("utf-16-le", "ignore").partition("\0")[0] if isinstance(value, bytes) else ""


def _clean(text: str) -> str:
    """The text in one line, without control characters, cut after `MAX_CHARACTERS`."""
    return " ".join(_CONTROLS.sub(" ", text[:MAX_CHARACTERS]).split())


def _joined(keywords: Iterable[str]) -> str:
    """Distinct keywords, separated by `; `; those that don't fit into `MAX_CHARACTERS` are left out."""
    joined = ""
    for keyword in dict.fromkeys(map(_clean, keywords)):
        longer = f"{joined}; {keyword}" if joined else keyword
        if keyword and len(longer) <= MAX_CHARACTERS:
            joined = longer
    return joined
