"""How well and how fast text in pictures is read, and whether searches find it.

    python benchmarks/ocr.py [--photographs FOLDER] [--rendered 200] [--signs 50] [--json PATH]

- `rendered_recall`: the share of the words in plain pictures that are read, in fonts, sizes and colours of many kinds;
- `signs_recall`: the same for words that are set into photographs, with perspective, blur and shade; without
  `--photographs`, into generated pictures;
- `found_first`: the share of these signs of which a search for one of their words finds its picture first;
- `cpu_ms_a_picture`, `memory_mb`: the processor time of reading, and the peak memory of the program and its reader;
- `indexing_slowdown`: the processor time of indexing with `--ocr` over that without, in the same run.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from common import PeakMemory, write_figures
from ocr_pictures import Sign, backgrounds, rendered, set_into

from cli.index import run as index
from cli.ocr import run as read_text
from crossmodal.collection.collection import Collection
from crossmodal.collection.encoder import prepared_encoder
from crossmodal.core.reading import folded_words
from crossmodal.core.settings import Settings
from crossmodal.search.query import Query, SearchOptions
from crossmodal.search.service import SearchService

LIMIT_S = 600.0
"""Of a picture, so that a busy machine changes no figure but the time."""
WORDS_A_PICTURE = (3, 2)
"""Of plain pictures and of signs. A word of a sign is in no other picture."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, help="a folder of photographs without text")
    parser.add_argument("--rendered", type=int, default=200)
    parser.add_argument("--signs", type=int, default=50)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    rng = random.Random(0)
    plain, signs = _pictures(rng, arguments.photographs, arguments.rendered, arguments.signs)
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), plain, signs)
    write_figures(arguments.json, figures)


def _pictures(
    rng: random.Random, photographs: Path | None, n_rendered: int, n_signs: int
) -> tuple[list[Sign], list[Sign]]:
    lines = (resources.files("crossmodal.search") / "ordinary_words.txt").read_text("utf8").splitlines()
    words = [word for word in lines if word.isascii() and word.isalpha() and 5 <= len(word) <= 10]
    rng.shuffle(words)
    n_plain, n_sign = WORDS_A_PICTURE
    of_signs, others = words[: n_sign * n_signs], words[n_sign * n_signs :]
    plain = [rendered(rng, rng.sample(others, n_plain)) for _ in range(n_rendered)]
    grounds = backgrounds(rng, photographs, n_signs)
    signs = [set_into(rng, of_signs[n_sign * at : n_sign * (at + 1)], ground) for at, ground in enumerate(grounds)]
    return plain, signs


def measured(folder: Path, plain: Sequence[Sign], signs: Sequence[Sign]) -> dict[str, float]:
    """Indexes and reads the pictures in a collection, and searches for the signs."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for kind, group in (("plain", plain), ("sign", signs)):
        for number, (picture, _) in enumerate(group):
            picture.save(pictures / f"{kind}-{number:03}.jpg", quality=88)
    settings = Settings(str(pictures), workspace=folder / "workspace", collection="signs")
    started = _cpu_s()
    collection, report = index(settings)
    index_s = _cpu_s() - started
    assert not report.failures, report.lines()
    started = _cpu_s()
    with PeakMemory(0.2) as memory:
        read = read_text(collection, limit_s=LIMIT_S)
    read_s = _cpu_s() - started
    assert not read.failures, read.lines()
    texts = _texts(collection)
    return {
        "rendered_recall": _recall([(sign.words, texts[f"plain-{n:03}.jpg"]) for n, sign in enumerate(plain)]),
        "signs_recall": _recall([(sign.words, texts[f"sign-{n:03}.jpg"]) for n, sign in enumerate(signs)]),
        "found_first": _found_first(collection, signs),
        "cpu_ms_a_picture": 1000 * read_s / read.read,
        "memory_mb": memory.peak_bytes / 1e6,
        "indexing_slowdown": (index_s + read_s) / index_s,
    }


def _cpu_s() -> float:
    """The processor time of this process and of those that it has ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _texts(collection: Collection) -> dict[str, str]:
    """The text that was read in each picture, by file name."""
    with collection.store() as store:
        documents = list(store.by_keys(store.keys("image").tolist()).values())
        readings = store.readings.of(document.id for document in documents)
        return {str(document.tags["filename"]): readings[document.id].text for document in documents}


def _recall(pairs: Sequence[tuple[list[str], str]]) -> float:
    found = sum((Counter(words) & Counter(folded_words(text))).total() for words, text in pairs)
    return found / sum(len(words) for words, _ in pairs)


def _found_first(collection: Collection, signs: Sequence[Sign]) -> float:
    encoder = prepared_encoder(collection, ("text",), None)
    n_first = 0
    with SearchService(collection, encoder) as service:
        for number, sign in enumerate(signs):
            (best,) = service.search(Query(sign.words[0], options=SearchOptions(1, "image"))).matches
            n_first += best.document.tags["filename"] == f"sign-{number:03}.jpg"
    return n_first / len(signs)


if __name__ == "__main__":
    main()
