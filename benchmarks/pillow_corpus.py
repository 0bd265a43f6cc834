"""Decodes every file of a folder, such as Pillow's test pictures, and compares the pixels with Pillow's own.

    pip download --no-binary :all: --no-deps pillow==13.0.0 && tar xf pillow-13.0.0.tar.gz
    python benchmarks/pillow_corpus.py pillow-13.0.0/Tests/images [--list] [--json PATH]

Figures:

- `decoded`, `refused`: files of supported formats; `refused_alone`: refused files that Pillow opens;
- `noted`: decoded files with notes on skipped metadata;
- `other_formats`: files of unsupported formats (as detected by Pillow), or not pictures;
- `differ`: decoded files whose pixels differ from Pillow's conversion to RGB over white by more than a level on
  average, which is expected for colour profiles, deep samples and orientation;
- `tracebacks`: exceptions other than a refusal; `noise_bytes`: bytes written to standard error.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from common import write_figures
from PIL import Image, ImageOps

from crossmodal.core.errors import PictureError
from crossmodal.images.decode import FORMATS, read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", action="store_true", help="name every refused, noted and differing file")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for path in sorted(path for path in arguments.folder.rglob("*") if path.is_file()):
        remark = examine(path, counts, reasons)
        if remark and arguments.list:
            print(f"{path.relative_to(arguments.folder)}: {remark}")
    for reason, n in reasons.most_common():
        print(f"{n:5}  {reason}")
    names = ("decoded", "refused", "refused_alone", "other_formats", "differ", "noted", "tracebacks", "noise_bytes")
    write_figures(arguments.json, {name: float(counts[name]) for name in names})


def examine(path: Path, counts: Counter[str], reasons: Counter[str]) -> str:
    """Decodes one file and counts its outcome; returns a remark if the outcome is notable, else an empty text."""
    content = path.read_bytes()
    with tempfile.TemporaryFile() as captured:
        stderr = os.dup(2)
        os.dup2(captured.fileno(), 2)
        try:
            decoded = read(content)
        except PictureError as error:
            decoded, refusal = None, str(error)
        except Exception as error:  # noqa: BLE001 - the point is to find them
            counts["tracebacks"] += 1
            return f"traceback: {error!r}"
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        noise = captured.tell()
    counts["noise_bytes"] += noise
    theirs, kind = by_pillow(content)
    suffix = f" ({noise} bytes on stderr)" if noise else ""
    if decoded is None:
        if kind not in FORMATS:
            counts["other_formats"] += 1
            reasons[f"not accepted: {kind or 'not a picture for Pillow either'}"] += 1
            return suffix
        counts["refused"] += 1
        counts["refused_alone"] += theirs is not None
        reasons[f"refused{' alone' if theirs else ''}: {refusal.split(':')[0][:60]}"] += 1
        return f"refused{', and Pillow opens it' if theirs else ''}: {refusal}{suffix}"
    counts["decoded"] += 1
    counts["noted"] += bool(decoded.notes)
    if theirs is None:
        return f"decoded, and Pillow does not{suffix} {decoded.notes}"
    if theirs.size != decoded.picture.size:
        difference = 255.0
    else:
        difference = float(np.abs(np.asarray(theirs, np.int16) - np.asarray(decoded.picture, np.int16)).mean())
    counts["differ"] += difference > 1
    return f"differs by {difference:.1f} {decoded.notes}{suffix}" if difference > 1 or decoded.notes or noise else ""


def by_pillow(content: bytes) -> tuple[Image.Image | None, str]:
    """Pillow's own conversion, upright and over white, or None if it fails; and the name of the format."""
    kind = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = Image.open(io.BytesIO(content))
            kind = {"MPO": "JPEG"}.get(str(opened.format), str(opened.format))
            opened.load()
            upright = ImageOps.exif_transpose(opened)
            rgba = upright.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"), kind
    except Exception:  # noqa: BLE001 - whatever its plugins raise
        return None, kind or ("TIFF" if content[:2] in (b"II", b"MM") else "")


if __name__ == "__main__":
    main()
