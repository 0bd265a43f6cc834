"""The generations that an Executor has open."""

from __future__ import annotations

import threading
from pathlib import Path

from crossmodal.collection.collection import Collection
from crossmodal.collection.generation_cache import GenerationCache
from crossmodal.core.types import ModelSpec, Preprocessing

MODEL = ModelSpec("clip", "scenes", "a" * 64, 4, Preprocessing(96))


def test_the_current_one_is_looked_up_at_one_moment(tmp_path: Path) -> None:
    """While another thread goes over to a new generation, and drops what was the current one, nobody looks it up."""
    Collection.create(tmp_path / "c", MODEL)
    held = GenerationCache(str(tmp_path / "c"), lambda collection: collection.generation)
    found: list[tuple[str, str]] = []
    with held._lock:
        asking = threading.Thread(target=lambda: found.append(held.current()))
        asking.start()
        asking.join(0.05)
        assert not found
        held._resources, held._current = {"generation-2": "generation-2"}, "generation-2"
    asking.join(10)
    assert found == [("generation-2", "generation-2")]


def test_the_current_one_is_used_while_the_next_is_opened(tmp_path: Path) -> None:
    first = Collection.create(tmp_path / "c", MODEL)
    is_opening, may_open = threading.Event(), threading.Event()

    def opened(collection: Collection) -> str:
        if collection.generation:
            is_opening.set()
            assert may_open.wait(20)
        return collection.generation or "first"

    held = GenerationCache(str(tmp_path / "c"), opened)
    first.becomes_current(first.next_generation(MODEL))
    assert held.current()[1] == "first"  # and begins to open the next
    assert is_opening.wait(20)
    assert held.current()[1] == "first"
    may_open.set()
    held.close()
