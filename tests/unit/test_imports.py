"""Imports run one way."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "scenes": set(),
    "images": {"core", "metadata"},
    "metadata": {"core"},
    "store": {"core"},
    "ocr": {"core", "images", "store", "engines"},
    "relevance": {"core"},
    "engines": {"core"},
    "encoders": {"core", "images", "engines"},
    "index": {"core", "store"},
    "datasets": {"core", "images", "scenes"},
    "lexical": {"core", "store", "index", "encoders"},
    "evaluation": {"core", "scenes", "images", "datasets", "encoders", "lexical", "search"},
    "experiment": {"core", "images", "datasets", "encoders", "lexical", "evaluation", "collection"},
    "training": {"core", "scenes", "images", "datasets", "engines", "encoders", "lexical", "evaluation"},
    "collection": {"core", "images", "store", "encoders", "index", "lexical", "relevance"},
    "bulk": {"core", "images", "datasets", "metadata", "store", "engines", "encoders", "collection"},
    "ingest": {"core", "images", "metadata", "store", "engines", "encoders", "index", "collection"},
    "search": {"core", "images", "encoders", "store", "index", "lexical", "metadata", "relevance", "collection"},
    "saving": {"core", "images", "metadata", "store"},
    "duplicates": {"core", "store", "index", "collection"},
    "client": {"core"},
}
FORBIDDEN: dict[str, set[str]] = {
    "crossmodal": {"jina", "fastapi", "docarray", "click", "executors", "serving", "cli", "app"},
    "executors": {"serving", "cli", "app"},
    "serving": {"cli", "app"},
    "cli": {"app"},
}


def imported_modules(source: str, package: str) -> Iterator[str]:
    """Every module a file imports, at its top or inside a function, relative imports resolved."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imports_under(folder: str) -> Iterator[tuple[str, str]]:
    """(file, imported module) of every file under a folder."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        relative = path.relative_to(ROOT)
        for module in imported_modules(path.read_text("utf8"), ".".join(relative.parts[:-1])):
            yield str(relative), module


def breaks_a_ban(folder: str, module: str) -> bool:
    return module.split(".")[0] in FORBIDDEN[folder]


def breaks_the_order(stage: str, module: str) -> bool:
    parts = module.split(".")
    if parts[0] != "crossmodal" or len(parts) < 2 or parts[1] == "__version__":
        return False
    return parts[1] not in ALLOWED[stage] | {stage}


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_no_layer_imports_from_above(folder: str) -> None:
    found = list(imports_under(folder))
    assert found, f"{folder} has no imports: was it moved?"
    assert [(file, module) for file, module in found if breaks_a_ban(folder, module)] == []


@pytest.mark.parametrize("stage", ALLOWED)
def test_stages_import_only_what_they_stand_on(stage: str) -> None:
    found = list(imports_under(f"crossmodal/{stage}"))
    assert found
    assert [(file, module) for file, module in found if breaks_the_order(stage, module)] == []
    parts = [module.split(".") for _, module in found]
    unused = ALLOWED[stage] - {names[1] for names in parts if names[0] == "crossmodal" and len(names) > 1}
    assert not unused, "take what is not imported any more from the rule"


def test_every_stage_has_its_rule() -> None:
    stages = {path.parent.name for path in (ROOT / "crossmodal").glob("*/__init__.py")}
    assert stages == set(ALLOWED)


def test_the_table_of_packages_states_the_same_rules() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf8")
    rows = re.findall(r"^\| `crossmodal\.(\w+)` \| .* \| (.*) \|$", page, re.MULTILINE)
    assert {package: set(re.findall(r"`(\w+)`", imported)) for package, imported in rows} == ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        "import jina",
        "def f():\n    from jina.serve import x",
        "from executors import docs",
        "import app",
        "import cli.index",
    ],
)
def test_a_breach_of_the_layers_is_seen(source: str) -> None:
    assert any(breaks_a_ban("crossmodal", module) for module in imported_modules(source, "crossmodal.core"))


@pytest.mark.parametrize(
    "source",
    ["from crossmodal.index import dense", "from crossmodal import index", "from ..index.dense import DenseIndex",
     "from .. import index", "import crossmodal.index.dense"],
)  # fmt: skip
def test_a_breach_of_the_stages_is_seen(source: str) -> None:
    assert any(breaks_the_order("images", module) for module in imported_modules(source, "crossmodal.images"))


def test_openvino_is_imported_without_its_telemetry_only() -> None:
    importers = {
        file for folder in FORBIDDEN for file, module in imports_under(folder) if module.split(".")[0] == "openvino"
    }
    assert importers == {"crossmodal/engines/openvino_offline.py", "crossmodal/engines/converter.py"}
