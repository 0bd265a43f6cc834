"""Times as EXIF, XMP and file names write them, as `YYYY-MM-DDTHH:MM:SS` with `+HH:MM` if the offset is known."""

from __future__ import annotations

import re
from datetime import datetime

_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hours>\d\d?):?(?P<minutes>\d\d)?")
_TIME = re.compile(
    r"(\d{4})[:/.-](\d\d?)[:/.-](\d\d?)"
    r"(?:[T ]+(\d\d?)[:.](\d\d)(?:[:.](\d\d))?(?:[.,]\d+)?\s*(?P<offset>Z|[+-]\d\d?:?\d\d)?)?"
)
_IN_NAME = re.compile(
    r"(?<!\d)(?P<year>19[89]\d|20\d\d)(?P<separator>[-_.]?)(?P<month>\d\d)(?P=separator)(?P<day>\d\d)"
    r"(?:(?:[-_.T ]{0,3}|[ _]at[ _])(?P<hour>\d\d?)(?P<colon>[-_.:]?)(?P<minute>\d\d)(?P=colon)(?P<second>\d\d)"
    r"(?:\d{3})?(?!\d)(?:[ \u202f]?(?P<half>[AP])M\b)?|(?!\d))",
    re.IGNORECASE,
)
_EARLIEST_YEAR = 1826
"""That of the first photograph."""


def parse_offset(text: str) -> str:
    """The offset from UTC as `+HH:MM`, empty if the text has none.

    >>> parse_offset("+0200"), parse_offset("Z"), parse_offset("   :  ")
    ('+02:00', '+00:00', '')
    """
    if text.strip() == "Z":
        return "+00:00"
    match = _OFFSET.fullmatch(text.strip())
    if match is None or int(match["hours"]) > 14 or int(match["minutes"] or 0) > 59:
        return ""
    return f"{match['sign']}{int(match['hours']):02}:{int(match['minutes'] or 0):02}"


def parse_time(text: str, offset: str = "") -> str | None:
    """The time of an EXIF or XMP text, None if it is not a valid time. A date alone is its midnight.

    Args:
        text: The time; an offset in it takes precedence.
        offset: An offset as `parse_offset` reads it.

    >>> parse_time("2021:07:04 18:30:05", "+02:00"), parse_time("0000:00:00 00:00:00")
    ('2021-07-04T18:30:05+02:00', None)
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    return _written((year, month, day, hour, minute, second), parse_offset(match["offset"] or offset))


def time_in_name(name: str) -> str | None:
    """The time that a camera, a phone or a messenger wrote into a file name, None if there is none.

    Names of Google's camera (`PXL_`) are in UTC. A date alone is its midnight.

    >>> time_in_name("IMG_20210704_183005.jpg"), time_in_name("IMG-20210704-WA0003.jpg"), time_in_name("image_0010.jpg")
    ('2021-07-04T18:30:05', '2021-07-04T00:00:00', None)
    """
    offset = "+00:00" if name.startswith("PXL_") else ""
    for match in _IN_NAME.finditer(name):
        hour, half = int(match["hour"] or 0), (match["half"] or "").upper()
        if half:
            hour = hour % 12 + 12 * (half == "P")
        year, month, day = int(match["year"]), int(match["month"]), int(match["day"])
        time = year, month, day, hour, int(match["minute"] or 0), int(match["second"] or 0)
        if written := _written(time, offset):
            return written
    return None


def _written(time: tuple[int, int, int, int, int, int], offset: str) -> str | None:
    if time[0] < _EARLIEST_YEAR:
        return None
    try:
        return datetime(*time).isoformat(timespec="seconds") + offset
    except ValueError:
        return None
