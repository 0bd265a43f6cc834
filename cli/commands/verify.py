"""crossmodal verify."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cli.commands import Command
from cli.options import MaintenanceOptions
from cli.parameters import option
from cli.printing import say_result
from cli.wording import with_commands


@dataclass(frozen=True, kw_only=True)
class VerifyOptions(MaintenanceOptions):
    """Options of `verify`."""

    against: str | None = option(
        "--against",
        metavar="PLACE",
        help="Compare with the collection of this name in postgresql://USER@HOST/DATABASE or a workspace instead.",
    )


def run(options: VerifyOptions) -> int:
    """Prints the problems of a collection; returns 1 if there are any."""
    from cli.location import collection_of
    from cli.progress import Meter
    from crossmodal.collection import comparison, lifecycle, verification

    collection = collection_of(options.settings())
    if options.against:
        total = comparison.n_documents(collection)
        with Meter("documents", total) as meter:
            found = comparison.compare(collection, options.against, meter.advance)
        result: dict[str, Any] = {"problems": [asdict(problem) for problem in found]}
        head, noun = f"{total} documents, compared with {options.against}", "differences"
    else:
        with Meter("documents", lifecycle.n_documents(collection)) as meter:
            result = asdict(verification.verify(collection, meter.advance))
        head, noun = f"{result['images']} images, {result['captions']} captions", "problems"
    problems = result["problems"]
    lines = [f"{head}: {len(problems) or 'no'} {noun}"]
    if n_remote := result.get("in_object_store"):
        lines.append(f"not checked: the files of {n_remote} pictures, which are in an object store")
    lines += [f"  {problem['item']}: {with_commands(problem['reason'])}" for problem in problems]
    say_result(result, lines, as_json=options.as_json)
    return 1 if problems else 0


COMMAND = Command(
    VerifyOptions,
    run,
    "Compare the store of a collection with its indexes and pictures, or with a copy of it.",
    (
        ("", "the only collection"),
        ("--collection pets --json", "for scripts; exits with 1 if there are problems"),
        ("--against postgresql://ann@db.example/pictures", "name all documents that differ from those of a copy"),
    ),
)
