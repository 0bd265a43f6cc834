"""A collection that is copied to PostgreSQL and back by processes that are killed on the way, and then compared.

    python benchmarks/migration.py [--documents 20000] [--kills 5] [--seed 0] [--json PATH]

The documents have random vectors of 32 dimensions, tags, and thumbnails of 1 KB; some were removed or changed. While
the first copy is made, documents are added, changed and removed. Each process is killed with SIGKILL after it has
copied a random part. Then `verify --against` compares all three copies, one row is changed by hand,
and it compares them again.

Figures: `documents`; `kills`; `differences` (must be 0); `named` (1 if the changed row is named, and nothing else).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import numpy as np
import psycopg
from common import ROOT, write_figures

from crossmodal.collection.collection import Collection
from crossmodal.collection.comparison import compare
from crossmodal.collection.linked_workspace import link_workspace
from crossmodal.collection.migration import migrate
from crossmodal.core.types import Document, ModelSpec, Preprocessing
from crossmodal.store.records import NewDocument
from crossmodal.store.source_files import SourceFile

sys.path.insert(0, str(ROOT / "tests"))
from postgresql_server import running_server

NAME, DIM, COMMIT = "pictures", 32, 1_000
MODEL = ModelSpec("clip", "benchmark", "0" * 40, DIM, Preprocessing(8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json")
    parser.add_argument("--copy", nargs=2, metavar=("FOLDER", "PLACE"), help="for the processes that are killed")
    arguments = parser.parse_args()
    if arguments.copy:
        folder, place = arguments.copy
        migrate(Collection.open(Path(folder)), place, lambda n: print(n, flush=True))
        return
    with running_server() as server, tempfile.TemporaryDirectory() as folder:
        figures = there_and_back(Path(folder), server.url, arguments.documents, arguments.kills, arguments.seed)
    write_figures(arguments.json, figures)
    sys.exit(0 if figures["differences"] == 0 and figures["named"] == 1 else 1)


def there_and_back(folder: Path, url: str, n_documents: int, kills: int, seed: int) -> dict[str, float]:
    rng = Random(seed)
    source = Collection.create(folder / "source" / NAME, MODEL)
    fill(source, n_documents, rng)
    with source.store() as store:
        n = sum(store.counts().values())
    link_workspace(folder / "cache", url)
    cached = folder / "cache" / NAME
    back = str(folder / "back")
    for kill in range(kills - kills // 2):
        copy(source.root, url, rng.uniform(0, 0.9 * n))
        if kill == 0:
            change(source, n_documents)
    copy(source.root, url)
    for _ in range(kills // 2):
        copy(cached, back, rng.uniform(0, 0.9 * n))
    copy(cached, back)
    found = [problem for place in (url, back) for problem in compare(source, place, lambda _: None)]
    print(*found, sep="\n", end="\n" if found else "")
    changed = f"d{n_documents // 2 + 5}"
    with psycopg.connect(url) as connection:
        connection.execute(f"UPDATE crossmodal_{NAME}.documents SET text = 'by hand' WHERE id = %s", [changed])
    named = [problem.item for problem in compare(source, url, lambda _: None)]
    return {
        "documents": n,
        "kills": kills,
        "differences": len(found),
        "named": float(named == [changed]),
    }


def copy(folder: Path, place: str, at_most: float | None = None) -> None:
    """Copies a collection in another process, which is killed once it has counted `at_most` documents."""
    command = [sys.executable, __file__, "--copy", str(folder), place]
    n = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            n += int(line) if line.endswith("\n") else 0
            if at_most is not None and n >= at_most:
                process.kill()
                return
    if process.returncode:
        sys.exit(f"the copy ended with exit status {process.returncode}")


def fill(collection: Collection, n_documents: int, rng: Random) -> None:
    """Adds pictures, captions and source files; removes and changes some."""
    with collection.store(writable=True) as store:
        for start in range(0, n_documents, COMMIT):
            items = [item_of(number, rng) for number in range(start, min(start + COMMIT, n_documents))]
            store.put(items)
            images = [item.document for item in items if item.document.modality == "image"]
            store.files.put("set", [SourceFile(document.uri, 1, 2, document.id) for document in images])
        store.remove([f"d{number}" for number in range(0, n_documents, 50)])
        store.update([(f"d{number}", {"changed": True}) for number in range(3, n_documents, 100)])


def change(collection: Collection, n_documents: int) -> None:
    """Changes a collection of which a part has been copied."""
    with collection.store(writable=True) as store:
        store.put([item_of(n_documents + number, Random(number)) for number in range(n_documents // 50)])
        store.remove([f"d{number}" for number in range(7, n_documents, 100)])
        store.update([(f"d{number}", {"late": [1, 2.5]}) for number in range(9, n_documents, 100)])


def item_of(number: int, rng: Random) -> NewDocument:
    vector = np.random.default_rng(number).normal(size=DIM)
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    tags = {"n": number, "share": number / 7, "name": f"name {number % 100}"}
    if number % 2:
        return NewDocument(
            Document(f"d{number}", "text", text=f"caption {number}", image_id=f"d{number - 1}", tags=tags), unit
        )
    document = Document(f"d{number}", "image", f"/pictures/{number}.jpg", "image/jpeg", "", 640, 480, "", tags)
    return NewDocument(document, unit, rng.randbytes(1_000))


if __name__ == "__main__":
    main()
