"""Pillow's modules that are loaded to read pictures."""

from __future__ import annotations

import json
import subprocess
import sys

from crossmodal.images.formats import PLUGINS

SCRIPT = """
import json, sys
from PIL import Image
from crossmodal.images import decode, formats
decode.register_formats()
missing = [name for name in formats.FORMATS if name not in Image.OPEN]
try:
    decode.decode(b"no picture at all")
except decode.PictureError:
    pass
loaded = [name for name in sys.modules if name.startswith("PIL.") and name.endswith("ImagePlugin")]
print(json.dumps([missing, loaded]))
"""


def test_the_modules_of_all_formats_are_loaded_and_few_others() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)
    missing, loaded = json.loads(ran.stdout)
    assert missing == []
    # Pillow loads that of PPM wherever it opens a picture.
    assert set(loaded) == {f"PIL.{name}" for name in (*PLUGINS, "PpmImagePlugin")}
