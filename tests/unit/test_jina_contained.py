"""Jina's internals stay in one package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTAINED = ROOT / "serving" / "jina"
FOLDERS = ("crossmodal", "executors", "serving", "cli")
PUBLIC = {"jina", "docarray", "docarray.proto", "docarray.typing"}
"""Modules of Jina and docarray whose names anybody may import."""
OWN = ("self", "cls", "super")


def modules_outside(folders: tuple[str, ...] = FOLDERS) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if CONTAINED not in path.parents]


def imports(source: str) -> Iterator[tuple[str, str]]:
    """(module, name) of each import."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.module or "", alias.name) for alias in node.names)


def internal_imports(source: str) -> list[str]:
    """Imports of Jina's and docarray's internal modules and names."""
    return [
        f"{module} {name}".strip()
        for module, name in imports(source)
        if module.split(".")[0] in ("jina", "docarray") and (module not in PUBLIC or name.startswith("_"))
    ]


def private_attributes(source: str) -> list[str]:
    """Private attributes of objects that are no class's own, in a module that imports Jina or docarray."""
    if not any(module.split(".")[0] in ("jina", "docarray") for module, _ in imports(source)):
        return []
    return [
        f"{ast.unparse(node)} in line {node.lineno}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.endswith("__")
        and not ast.unparse(node.value).startswith(OWN)
    ]


@pytest.mark.parametrize("path", modules_outside(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_one_package_knows_the_internals(path: Path) -> None:
    source = path.read_text("utf8")
    assert internal_imports(source) == []
    assert private_attributes(source) == []


@pytest.mark.parametrize("path", modules_outside(("serving",)), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_http_service_imports_no_jina(path: Path) -> None:
    assert [module for module, _ in imports(path.read_text("utf8")) if module.split(".")[0] == "jina"] == []


@pytest.mark.parametrize(
    "source",
    [
        "from jina.serve.runtimes.gateway.streamer import GatewayStreamer",
        "import jina.helper",
        "from docarray.base_doc.mixins.io import _type_to_protobuf",
        "def f():\n    from jina.excepts import BadServer",
        "from jina import _docarray",
    ],
)
def test_an_import_of_an_internal_module_is_seen(source: str) -> None:
    assert internal_imports(source)


@pytest.mark.parametrize("line", ["flow._deployment_nodes", "request.data._loaded_doc_array = None", "Doc._fields()"])
def test_a_private_attribute_is_seen(line: str) -> None:
    assert private_attributes(f"from docarray import DocList\n{line}")


@pytest.mark.parametrize("line", ["self._own", "cls._own", "doc.public", "Doc.__name__", "super().__init__()"])
def test_an_attribute_of_ones_own_is_none(line: str) -> None:
    assert private_attributes(f"from docarray import DocList\n{line}") == []
