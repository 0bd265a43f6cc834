"""Colours of decoded pictures against libvips, an independent decoder; and the peak memory of 99-megapixel pictures.

    pip install "pyvips[binary]"
    python benchmarks/colour.py [--no-memory] [--json PATH]

Both decode a picture in various colour spaces and sample formats. Each `diff_*` is the mean absolute difference in
levels of 0 to 255. Deep samples without a profile are scaled to 8 bits before libvips reads them, since it derives
their range from the format alone. `peak_mb_*` is the peak resident memory of a process that decodes one picture, fits
it to a model's input size and makes its thumbnail.
"""

from __future__ import annotations

import argparse
import io
import resource
import struct
import sys
import zlib
from collections.abc import Iterator

import numpy as np
import pillow_heif
from common import ROOT, in_own_process, write_figures
from numpy.typing import NDArray
from PIL import Image

from crossmodal.core.types import Preprocessing
from crossmodal.images.decode import decode
from crossmodal.images.geometry import fit, thumbnail

sys.path.insert(0, str(ROOT / "tests" / "unit"))
from test_colour import GREYS, PRIMARIES, SPACES, hues, profile_of, ramp

pillow_heif.register_heif_opener()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    figures = {f"diff_{name.replace(' ', '_')}": difference(content) for name, content in pictures()}
    if not arguments.no_memory:
        for name, colour_type, n_samples in (
            ("grey16", 0, 1),
            ("rgb16", 2, 3),
            ("grey16_alpha", 4, 2),
            ("rgb16_alpha", 6, 4),
        ):
            figures[f"peak_mb_{name}"] = in_own_process(peak_mb, colour_type, n_samples)
    write_figures(arguments.json, figures)


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pictures() -> Iterator[tuple[str, bytes]]:
    import pyvips

    colours = Image.fromarray(hues())
    for name, (primaries, curve) in SPACES.items():
        yield name, encoded(colours, icc_profile=profile_of(b"RGB ", PRIMARIES[primaries], curve))
    for name, curve in GREYS.items():
        profile = profile_of(b"GRAY", None, curve)
        yield f"grey {name}", encoded(Image.fromarray(ramp()), icc_profile=profile)
        yield f"grey16 {name}", encoded(Image.fromarray(ramp("uint16")), icc_profile=profile)
    adobe = profile_of(b"RGB ", PRIMARIES["adobe"], SPACES["Adobe RGB"][1])
    yield "JPEG", encoded(colours, "JPEG", quality=95, icc_profile=adobe)
    yield "TIFF", encoded(colours, "TIFF", icc_profile=adobe)
    yield "WebP", encoded(colours, "WEBP", lossless=True, icc_profile=adobe)
    yield "palette", encoded(colours.quantize(64), icc_profile=adobe)
    alpha = Image.linear_gradient("L").resize(colours.size)
    layered = Image.merge("RGBA", (*colours.split(), alpha))
    yield "RGBA", encoded(layered, icc_profile=adobe)
    yield "plain", encoded(colours)
    yield "plain JPEG", encoded(colours, "JPEG", quality=95)
    vips = pyvips.Image.new_from_array(hues()).copy(interpretation="srgb")
    yield "CMYK", vips.icc_export(output_profile="cmyk", intent="relative").write_to_buffer(".tif")
    yield "CMYK JPEG", vips.icc_export(output_profile="cmyk", intent="relative").write_to_buffer(".jpg", Q=95)
    deep = vips.icc_export(output_profile="p3", depth=16)
    yield "RGB16 PNG P3", deep.write_to_buffer(".png")
    yield "RGB16 TIFF P3", deep.write_to_buffer(".tif")
    yield "RGB16 plain", vips.colourspace("rgb16").write_to_buffer(".png")
    yield "grey16 plain", encoded(Image.fromarray(ramp("uint16")))


def difference(content: bytes) -> float:
    import pyvips

    theirs = pyvips.Image.new_from_buffer(content, "")
    if theirs.get_typeof("icc-profile-data"):
        theirs = theirs.icc_transform("srgb", embedded=True, intent="relative", black_point_compensation=True)
    if theirs.interpretation != "srgb":
        theirs = theirs.colourspace("srgb")
    if theirs.hasalpha():
        theirs = theirs.flatten(background=255)
    expected: NDArray[np.generic] = theirs.cast("uchar").numpy()
    if expected.ndim == 2 or expected.shape[2] == 1:
        expected = np.repeat(expected.reshape(*expected.shape[:2], 1), 3, axis=2)
    return float(np.abs(np.asarray(decode(content)[0], np.int16) - expected).mean())


def peak_mb(colour_type: int, n_samples: int, side: int = 9950) -> float:
    """This process's peak resident memory in MB after a picture of 16 bits a sample."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    picture, _ = decode(large_png(side, colour_type, n_samples))
    fit(picture, Preprocessing(224))
    thumbnail(picture)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{before / 1024:.0f} MiB before, {peak / 1024:.0f} MiB at most", file=sys.stderr)
    return peak * 1024 / 1e6


def large_png(side: int, colour_type: int, n_samples: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = np.repeat(np.linspace(0, 65535, side).astype(">u2")[:, None], n_samples, axis=1).tobytes()
    packer = zlib.compressobj(1)
    body = packer.compress(b"\0" + row)
    body += b"".join(packer.compress(b"\2" + bytes(len(row))) for _ in range(side - 1)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


if __name__ == "__main__":
    main()
