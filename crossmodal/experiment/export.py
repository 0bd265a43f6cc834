"""Exports an experiment with its page, as a folder that any static web server can show."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from crossmodal.core.errors import InputError
from crossmodal.experiment.files import COMPARISON, EXPERIMENT, INDEX, PARTS, listing, read_experiment

PAGE = "playground.html"
DATA = Path("playground") / "data"
_OF_COMPARISON = "differences"

_IN_PAGE = re.compile(r"""(?:href|src)="/?(web/[^"#?]+)""")
_IN_MODULE = re.compile(r"""(?:\bfrom\s*|\bimport\s*\(?\s*|\bnew URL\(\s*)["'](\./[^"']+)["']""")
_IN_STYLE = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])(?!data:)([^"')]+)""")


def export(experiment: Path, target: Path, web: Path) -> None:
    """Writes the page, the files it needs, and the experiment; other experiments of an earlier export are kept.

    Paths of local weights are shortened to the names of the files.

    Args:
        experiment: The folder of the experiment.
        target: The folder to export to, created if missing.
        web: The folder with the pages of the program.

    Raises:
        InputError: The target is a file, or has other content than an export.
    """
    _check_target(target)
    facts = read_experiment(experiment)
    for model in facts["models"]:
        model["weights"] = _without_folder(model["weights"])
    for path in page_files(web, PAGE):
        destination = target / (path if path == Path(PAGE) else Path("web") / path)
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(web / path, destination)
    copy = target / DATA / experiment.name
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for part in (*PARTS, _OF_COMPARISON):
        if (experiment / part).is_dir():
            shutil.copytree(experiment / part, copy / part)
    if (experiment / COMPARISON).is_file():
        shutil.copyfile(experiment / COMPARISON, copy / COMPARISON)
    (copy / EXPERIMENT).write_text(json.dumps(facts, separators=(",", ":")), "utf8")
    (target / DATA / INDEX).write_text(json.dumps(listing(target / DATA, live=False)), "utf8")


def page_files(web: Path, page: str) -> list[Path]:
    """The page and every file that it, its modules and its styles refer to, relative to `web`.

    Raises:
        FileNotFoundError: A file is missing.
    """
    found = [Path(page)]
    for path in found:  # which grows
        new = [name for name in _referred(web, path) if name not in found]
        found.extend(dict.fromkeys(new))
    return found


def _referred(web: Path, path: Path) -> list[Path]:
    if path.suffix == ".html":
        return [Path(name).relative_to("web") for name in _IN_PAGE.findall((web / path).read_text("utf8"))]
    pattern = {".js": _IN_MODULE, ".css": _IN_STYLE}.get(path.suffix)
    if pattern is None:
        return []
    return [(path.parent / name) for name in pattern.findall((web / path).read_text("utf8"))]


def _check_target(target: Path) -> None:
    if target.is_file():
        raise InputError(f"{target} is a file: give a folder to export to")
    if target.is_dir() and any(target.iterdir()) and not (target / DATA / INDEX).is_file():
        raise InputError(f"{target} has other files: give a new folder, or that of an earlier export")


def _without_folder(weights: str) -> str:
    """Weights without the folders of an absolute path, which may follow the name of an architecture.

    Example:
        >>> _without_folder("resnet50//home/me/pets.pth"), _without_folder("ViT-B-32/random")
        ('resnet50/pets.pth', 'ViT-B-32/random')
    """
    architecture, slash, path = weights.partition("//") if not weights.startswith("/") else ("", "", weights)
    is_path = bool(slash) or weights.startswith("/")
    name = Path(path).name
    return (f"{architecture}/{name}" if architecture else name) if is_path else weights
