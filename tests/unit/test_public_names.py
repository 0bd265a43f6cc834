"""The names that `crossmodal` exports, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import crossmodal
from crossmodal.client import AsyncClient, Client
from crossmodal.collection.collection import Collection


def test_the_public_names() -> None:
    assert crossmodal.__all__ == [
        "AsyncClient", "Client", "Collection", "CrossModalError", "InputError", "NotWritableError", "PictureError",
        "Query", "RefusedError", "SearchOptions", "SearchService", "ServiceError", "StateError", "__version__",
    ]  # fmt: skip


def test_they_are_the_classes_of_their_modules() -> None:
    assert (crossmodal.Client, crossmodal.AsyncClient, crossmodal.Collection) == (Client, AsyncClient, Collection)
    assert set(crossmodal.__all__) <= set(dir(crossmodal))


@pytest.mark.parametrize("name", [name for name in crossmodal.__all__ if name.endswith("Error")])
def test_every_error_has_one_base(name: str) -> None:
    assert issubclass(getattr(crossmodal, name), crossmodal.CrossModalError)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = crossmodal.nonsense


def test_importing_the_package_imports_no_dependency() -> None:
    code = "import sys, crossmodal; print([n for n in ('numpy', 'httpx', 'torch', 'faiss') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
