"""The tasks on a collection that is there, as the command line prints them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli import lifecycle, moving
from cli.printing import say, say_json
from cli.progress import Meter
from crossmodal.core.errors import InputError
from crossmodal.core.settings import Settings

Own = dict[str, Any]


def collections(settings: Settings, own: Own) -> int:
    """Lists the collections of the workspace."""
    listed = lifecycle.listed(settings.workspace)
    _print(own, listed, [f"{c['name']}: {c['images']} images, {c['captions']} captions, {c['model']}" for c in listed])
    return 0


def delete(settings: Settings, own: Own) -> int:
    """Removes documents; 1 where an id is not there."""
    told = lifecycle.delete(settings, own["ids"], own["uri"], own["where"])
    lines = [f"removed: {told['images']} images, {told['captions']} captions"]
    _print(own, told, [*lines, *(f"no document {unknown}" for unknown in told["unknown"])])
    return 1 if told["unknown"] else 0


def verify(settings: Settings, own: Own) -> int:
    """Says what is off; 1 where something is."""
    with Meter("documents", lifecycle.n_documents(settings)) as meter:
        told = lifecycle.verify(settings, meter.advance)
    lines = [f"{told['images']} images, {told['captions']} captions: " + _problems(len(told["problems"]))]
    _print(own, told, [*lines, *(f"  {found['item']}: {found['reason']}" for found in told["problems"])])
    return 1 if told["problems"] else 0


def _problems(n: int) -> str:
    return f"{n} problems" if n else "all is well"


def compact(settings: Settings, own: Own) -> int:
    """Gives space back and says how much."""
    told = lifecycle.compact(settings)
    lines = [f"{what}: {_mb(told[f'{what}_before'])} to {_mb(told[f'{what}_after'])} MB" for what in ("store", "index")]
    _print(own, told, [*lines, f"freed: {_mb(told['freed'])} MB"])
    return 0


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:.1f}"


def rebuild(settings: Settings, own: Own) -> int:
    """Makes the indexes again."""
    told = lifecycle.rebuild(settings, own["index_config"])
    _print(own, told, [f"{name}: {of['vectors']} vectors, {of['kind']}: {of['why']}" for name, of in told.items()])
    return 0


def calibrate(settings: Settings, own: Own) -> int:
    """Finds out what the scores of a collection mean."""
    from cli import calibrate as task

    told = task.run(settings)
    fitted = ", ".join(told["fitted"]) or "nothing, for want of captions"
    lines = [f"fitted: {fitted}", f"compared with a sample: {', '.join(told['backgrounds']) or 'nothing'}"]
    _print(own, told, lines)
    return 0


def draw_map(settings: Settings, own: Own) -> int:
    """Lays the pictures out on a plane."""
    told = lifecycle.draw_map(settings, lambda line: say(line, err=True))
    line = f"map: {told['pictures']} pictures by {told['method']}, {told['outcome']}; a service shows it at /map.html"
    _print(own, told, [line])
    return 0


def reindex(settings: Settings, own: Own) -> int:
    """Changes the model of a collection."""
    from cli import reindex as task

    collection, report = task.run(settings, without_failures=own["prune"])
    lines = [f"model: {collection.model}", *report.lines(), "the old state is kept: -t rollback brings it back"]
    _print(own, report.to_dict(), lines)
    return 0


def rollback(settings: Settings, own: Own) -> int:
    """Brings the state before the last `reindex` back."""
    collection = lifecycle.roll_back(settings)
    _print(own, {"model": collection.model.to_dict()}, [f"model: {collection.model}"])
    return 0


def export(settings: Settings, own: Own) -> int:
    """Writes the collection as a Parquet file."""
    if own["out"] is None:
        raise InputError("-t export takes --out FILE.parquet")
    told = moving.export(settings, own["out"])
    _print(own, told, [f"exported {told['documents']} documents to {told['file']}"])
    return 0


def import_(settings: Settings, own: Own) -> int:
    """Takes in an exported collection."""
    if not own["query"]:
        raise InputError("-t import takes the file: python app.py -t import FILE.parquet --collection NAME")
    told = moving.import_(settings, Path(own["query"]))
    line = f"{told['indexed']} documents taken in, {told['unchanged']} were there"
    _print(own, told, [f"model: {told['model']}", line, f"collection: {told['collection']}"])
    return 0


def _print(own: Own, told: Any, lines: list[str]) -> None:
    if own["as_json"]:
        say_json(told)
    elif lines:
        say(*lines)


COMMANDS: dict[str, Callable[[Settings, Own], int]] = {
    "collections": collections,
    "delete": delete,
    "verify": verify,
    "calibrate": calibrate,
    "compact": compact,
    "rebuild": rebuild,
    "map": draw_map,
    "reindex": reindex,
    "rollback": rollback,
    "export": export,
    "import": import_,
}
