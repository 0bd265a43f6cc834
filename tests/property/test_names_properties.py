"""Every caption goes to the picture that its name means, or becomes a failure that names it.

`EXAMPLES=20000` in the environment tries more folders.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from unicodedata import normalize

import pyarrow as pa
import pyarrow.parquet as parquet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossmodal.core.types import Failure, ImageRecord
from crossmodal.datasets.captions import read_captions
from crossmodal.datasets.folder import read_path
from crossmodal.datasets.names import PictureNames

many = settings(max_examples=int(os.environ.get("EXAMPLES", "500")), suppress_health_check=list(HealthCheck))
ROOT = Path("/data/images")

stems = st.sampled_from(["a", "A", "b", "é", "e\u0301", "É", "ß", "SS", "Σ", "ς", "a b", " a", "1"])
folders = st.lists(st.sampled_from(["x", "X", "y", "é", "e\u0301", "images", "data"]), max_size=3)
endings = st.sampled_from([".jpg", ".JPG", ".png"])
paths = st.builds(lambda parts, stem, end: "/".join([*parts, stem + end]), folders, stems, endings)
ABOVE = ["", "", "", "x/", "images/", "data/images/", "/home/bob/", "/home/amy/x/", "C:/pix/", "./", "y/../"]
trees = st.lists(paths, min_size=1, max_size=7, unique=True)


@st.composite
def written(draw: st.DrawFn, tree: list[str]) -> str:
    """A picture's name as somebody may have written it: another spelling, a part of the path, a longer path."""
    name = draw(st.sampled_from(tree)) if draw(st.integers(0, 4)) else draw(paths)
    parts = name.split("/")
    parts = parts[draw(st.integers(0, len(parts) - 1)) if draw(st.booleans()) else 0 :]
    name = draw(st.sampled_from(ABOVE)) + "/".join(parts)
    for spelling in draw(st.lists(st.sampled_from(["upper", "nfc", "nfd", "backslash", "blank"]), max_size=2)):
        name = {
            "upper": name.upper(), "nfc": normalize("NFC", name), "nfd": normalize("NFD", name),
            "backslash": name.replace("/", "\\"), "blank": name + " ",
        }[spelling]  # fmt: skip
    return name


named_trees = trees.flatmap(lambda tree: st.tuples(st.just(tree), st.lists(written(tree), max_size=8)))


# -- what a name means, by looking at every picture


def cleaned(name: str) -> list[str]:
    parts: list[str] = []
    for part in (part.strip() for part in name.replace("\\", "/").split("/")):
        if part == "..":
            parts = parts[:-1]
        elif part and part != ".":
            parts.append(part)
    return parts


def alike(name: str) -> list[str]:
    return [normalize("NFC", normalize("NFD", part).casefold()) for part in cleaned(name)]


def common_end(one: list[str], other: list[str]) -> int:
    n = 0
    while n < len(one) and n < len(other) and one[len(one) - n - 1] == other[len(other) - n - 1]:
        n += 1
    return n


def nearness(name: str, path: str) -> int:
    spelled = [
        lambda text: "/" + text,
        lambda text: "/" + "/".join(cleaned(text)),
        lambda text: "/" + normalize("NFC", "/".join(cleaned(text))),
    ]
    return next((i for i, s in enumerate(spelled) if s(name).endswith(s(path)) or s(path).endswith(s(name))), 3)


def meant(name: str, tree: list[str]) -> tuple[set[str], bool, tuple[str, ...]]:
    """The pictures a name may mean; of a single one, whether its whole path is told, and what is told beyond."""
    told, fits = alike(name), []
    if not told:
        return set(), False, ()
    for path in tree:
        own, full = alike(path), ["data", "images", *alike(path)]
        n = common_end(told, full)
        if n < min(len(told), len(own)):
            continue
        others = [other for other in tree if common_end(alike(other), own) == len(own) < len(alike(other))]
        if len(told) > n and n == len(own) and others:
            continue
        is_foreign = name[:1] in ("/", "\\") or name[1:2] == ":"
        if len(told) > n and not is_foreign:
            continue
        is_whole = told in (own, ["images", *own])
        fits.append((n, path, is_whole, tuple(told[: len(told) - n])))
    longest = [fit for fit in fits if fit[0] == max(fits)[0]]
    if len(longest) > 1:
        least = min(nearness(name, path) for _, path, _, _ in longest)
        whole = [fit for fit in longest if fit[2]] or longest
        longest = [fit for fit in whole if nearness(name, fit[1]) == least] or longest
    one = longest[0] if len(longest) == 1 else (0, "", False, ())
    return {path for _, path, _, _ in longest}, one[2], one[3]


def all_meant(names: list[str], tree: list[str]) -> dict[str, str | None]:
    """The picture of each name: names in different folders of one machine are different pictures."""
    found: dict[str, str | None] = {}
    claims: list[tuple[str, str, str, tuple[str, ...]]] = []
    for name in dict.fromkeys(names):
        pictures, is_whole, beyond = meant(name, tree)
        found[name] = pictures.copy().pop() if len(pictures) == 1 else None
        is_absolute = name[:1] in ("/", "\\") or name[1:2] == ":"
        if len(pictures) == 1 and (is_whole or beyond):
            claims.append((name, pictures.pop(), cleaned(name)[0].lower() if is_absolute else "", beyond))
    for name, picture, machine, beyond in claims:
        if beyond and any((picture, machine) == other[1:3] and beyond != other[3] for other in claims):
            found[name] = None
    return found


# -- through the readers


def write(folder: Path, kind: str, rows: list[tuple[str, str]]) -> None:
    path = folder / f"captions.{kind}"
    if kind == "csv":
        with path.open("w", encoding="utf8", newline="") as file:
            csv.writer(file).writerows([("image", "caption"), *rows])
    elif kind == "parquet":
        columns = {"Image": [name for name, _ in rows], "Caption": [caption for _, caption in rows]}
        parquet.write_table(pa.table({name: pa.array(cells, "string") for name, cells in columns.items()}), path)
    else:
        lines = [json.dumps({"File Name": name, "TEXT": caption}) for name, caption in rows]
        path.write_text("\n".join(lines) if kind == "jsonl" else f"[{','.join(lines)}]")


def summary(folder: Path) -> tuple[dict[str, tuple[str, ...]], Counter[str]]:
    """The captions of each picture, and how many captions are failures, by name."""
    records, root = list(read_path(folder)), folder / "images"
    images = {r.path.relative_to(root).as_posix(): r.captions for r in records if isinstance(r, ImageRecord)}
    assert all(r.modality == "text" for r in records if isinstance(r, Failure))
    return images, Counter(r.path for r in records if isinstance(r, Failure))


@many
@given(named_trees, st.sampled_from(["csv", "json", "jsonl", "parquet"]))
def test_every_reader_gives_each_caption_to_the_picture_its_name_means_or_names_it(
    given_: tuple[list[str], list[str]], kind: str
) -> None:
    tree, names = given_
    told = all_meant(names, tree)
    found, refused = PictureNames(tree, ROOT, ROOT.parent).resolve(names)
    assert {**{name: tree[i] for name, i in found.items()}, **dict.fromkeys(refused)} == told
    found, _ = PictureNames(tree, ROOT, ROOT).resolve(tree)
    assert all(tree[found[path]] == path for path in tree if not path.startswith(("images/", "data/")))
    names = [name.rstrip() for name in names]
    known = all_meant(names, tree)
    rows = [(name, f"caption {i}") for i, name in enumerate(names)]
    with TemporaryDirectory() as place:
        folder = Path(place, "data")
        for path in tree:
            (folder / "images" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "images" / path).touch()
        write(folder, kind, rows)
        images, failures = summary(folder)
    assert {path: set(told) for path, told in images.items()} == {
        path: {caption for name, caption in rows if known[name] == path} for path in tree
    }
    assert sum(map(len, images.values())) + failures.total() == len(rows)
    assert failures == Counter(name for name in names if known[name] is None)


# -- damaged rows

captions = st.text('ab,;"\n é', min_size=1, max_size=12).filter(lambda text: text.strip())
damage = st.sampled_from(["", "", "open quote", "quote behind", "comma", "short", "byte"])


@many
@given(st.lists(st.tuples(captions, damage), max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())
def test_a_damaged_row_of_csv_costs_no_other_row(
    rows: list[tuple[str, str]], ending: str, quoted: bool, caption_first: bool
) -> None:
    lines, kept, failed, number = ["caption,image" if caption_first else "image,caption"], {}, [], 2
    for i, (caption, kind) in enumerate(rows):
        is_quoted = quoted or set(caption) & set(',"\n')
        cell = {
            "": '"' + caption.replace('"', '""') + '"' if is_quoted else caption,
            "open quote": '"open', "quote behind": '"open, ""and', "comma": "one, two", "byte": "caf\udce9",
        }.get(kind)  # fmt: skip
        cells = [f"{i}.jpg"] if cell is None else [f"{i}.jpg", cell]
        line = ",".join(reversed(cells) if caption_first else cells)
        if kind:
            failed.append(f"captions.csv:{number}")
        else:
            kept[f"{i}.jpg"] = [" ".join(caption.split())]
        lines.append(line)
        number += 1 + line.count("\n")
    with TemporaryDirectory() as place:
        path = Path(place, "captions.csv")
        path.write_bytes(ending.join("\n".join(lines).split("\n")).encode("utf8", "surrogateescape"))
        table = read_captions(path)
    assert {name: told for name, told in table.captions.items() if told} == kept
    assert [failure.path for failure in table.failures] == failed
