#!/usr/bin/env python
"""The command line: parses, calls, prints. What each task does is in `tasks/`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if sys.version_info[:2] != (3, 11):
    sys.exit(f"Python 3.11 is needed, this is {sys.version.split()[0]}: see README.md")

import click
from click.core import ParameterSource
from rich.text import Text

from cli.outputs import check_outputs
from cli.printing import cells, new_table, prepare, print_table, say, say_json
from crossmodal.core.errors import CrossModalError, InputError
from crossmodal.core.os_errors import ENVIRONMENT_ERRNOS, reason
from crossmodal.core.settings import DEFAULT_PORT, MAX_TOP_K, OtherService, Settings
from crossmodal.core.terminal import printable, to_json
from crossmodal.core.types import Modality

EXAMPLES = """
\b
Examples:
  python app.py -t index                                index the toy data
  python app.py -t index -d ~/Pictures                  index a folder
  python app.py -t query-t2i "three green stars"        find pictures with words
  python app.py -t query-i2t photo.jpg                  find captions with a picture
  python app.py -t query-i2i photo.jpg --save out.png   find pictures with a picture
  python app.py -t query_restful                        serve on http://localhost:45678
  python app.py -t evaluate -d scenes                   measure the model
  python app.py -t models siglip                        list weights that can be had
  python app.py -t index -d ~/Pictures --prune          bring the index up to date with the folder
  python app.py -t delete --where "tags.year < 2000"    take pictures out
  python app.py -t verify                               compare index, store and pictures
"""

QUERIES: dict[str, tuple[Modality, Modality]] = {
    "query-t2i": ("text", "image"),
    "query-i2t": ("image", "text"),
    "query-i2i": ("image", "image"),
}


class TaskName(click.ParamType[str]):
    """A task; `-` and `_` are the same."""

    name = "task"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The task's name with hyphens."""
        name = str(value).replace("_", "-")
        if name not in TASKS:
            self.fail(f"{value!r} is none of {', '.join(TASKS)}", param, ctx)
        return name


class OtherServiceType(click.ParamType[OtherService]):
    """NAME=URL."""

    name = "name=url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> OtherService:
        """The name and the address, which a browser must be able to follow."""
        name, _, url = str(value).partition("=")
        if not name or not url.startswith(("http://", "https://")) or "," in value:
            self.fail(f"{value!r}: give NAME=URL without a comma, as in photos=http://localhost:45680", param, ctx)
        return OtherService(name, url)


class ColumnNames(click.ParamType[tuple[tuple[str, str], ...]]):
    """image=NAME,caption=NAME."""

    name = "columns"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What each column holds, and its name."""
        if not isinstance(value, str):
            return value
        return tuple(
            (what.strip(), name) for what, _, name in (part.partition("=") for part in value.split(",") if part)
        )


@click.command(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("query", required=False)
@click.option(
    "-t",
    "--task",
    type=TaskName(),
    default="index",
    show_default=True,
    help="index, query, query-t2i, query-i2t, query-i2i, query_restful, index_restful; collections, delete, verify, "
    "calibrate, compact, rebuild, map, reindex, rollback, export, import; train, evaluate, analyse, tune, data, "
    "models, download, keys",
)
@click.option(
    "-d",
    "--data_set",
    envvar="DATASET_ROOT_PATH",
    default="toy-data",
    show_default=True,
    help="toy-data, scenes, f8k (8k), f30k (30k), coco, or a path to a folder or a caption file.",
)
@click.option("--split", envvar="DATASET_SPLIT", help="Only the pictures of this split, where the data set has splits.")
@click.option(
    "--columns",
    type=ColumnNames(),
    default="",
    metavar="image=NAME,caption=NAME",
    help="The columns of the caption file, where they are not called as usual; also split=NAME.",
)
@click.option("-m", "--model", default="clip", show_default=True, help="The model family.")
@click.option("--weights", help="A name the family knows, or a local checkpoint.  [default: by data set]")
@click.option(
    "--vocabulary",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="TEXT_EMBEDDING_VECTORIZER_PATH",
    help="For `-m sparse`: the file of the words.  [default: `train` makes one, the others take the model's]",
)
@click.option("-n", "--num_docs", type=click.IntRange(1), envvar="JINA_MAX_DOCS", help="At most so many pictures.")
@click.option(
    "-s",
    "-b",
    "--request_size",
    "--batch_size",
    type=click.IntRange(1, 1024),
    default=32,
    show_default=True,
    help="Documents a request.",
)
@click.option(
    "-k", "--top_k", type=click.IntRange(1, MAX_TOP_K), default=10, show_default=True, help="Matches a query."
)
@click.option(
    "-w",
    "--workspace",
    type=click.Path(path_type=Path, readable=False),  # who may read it is told by what opens it
    envvar="JINA_WORKSPACE",
    default="workspace",
    show_default=True,
    help="Where the collections live.",
)
@click.option("--collection", help="The collection's name.  [default: the data set's]")
@click.option("--where", help="For queries and `delete`: only documents this is true of: tags.year >= 2020.")
@click.option("--ids", multiple=True, metavar="ID", help="For `delete`: documents by id; may be given several times.")
@click.option("--uri", help="For `delete`: a picture by its file, or all pictures under a folder.")
@click.option(
    "--prune", is_flag=True, help="For `index`: take out what the data set has no more. For `reindex`: leave it behind."
)
@click.option("--yes", "confirmed", is_flag=True, help="For `--prune`: remove even more than a quarter of all.")
@click.option(
    "--index",
    "index_kind",
    metavar="KIND",
    help="For `index` and `rebuild`: auto, flat, hnsw-fp16 or ivf-pq, from then on.  [default: auto]",
)
@click.option(
    "--index_memory", type=click.IntRange(1), metavar="MB", help="What `auto` may take.  [default: a quarter of it all]"
)
@click.option("--fusion", help="For queries of a sparse collection: dense, sparse, bm25, rrf or weighted:A,B,C.")
@click.option("--text", "query_text", help="For `query`: search pictures with this text.")
@click.option("--image", "query_image", help="For `query`: search captions with this picture.")
@click.option("--json", "as_json", is_flag=True, help="Print machine-readable results.")
@click.option(
    "--plain", is_flag=True, help='For queries: print lines of [rank] score: "uri", the uri as a JSON string.'
)
@click.option(
    "--metric",
    type=click.Choice(["cosine", "euclidean"]),
    default="cosine",
    show_default=True,
    help="For queries: what a score is; euclidean is less the distance of the unit vectors. The order is the same.",
)
@click.option(
    "--min_relevance",
    type=click.FloatRange(0, 1),
    help="For queries: leave out what is less likely to fit.  [default: all is shown]",
)
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write the results as a picture.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="For `index`: write the fate of every record, as JSON. For `evaluate`: figures and worst misses, as HTML.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 when any record failed.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    envvar="CROSSMODAL_HOST",
    callback=lambda _, __, host: host.removeprefix("[").removesuffix("]"),
    help="Address or name to serve on; 0.0.0.0 is all of IPv4, :: all of IPv6 and IPv4.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65534),
    envvar="JINA_PORT",
    default=DEFAULT_PORT,
    show_default=True,
    help="HTTP port; gRPC is on the next one.",
)
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    envvar="JINA_PARALLEL",
    default=1,
    show_default=True,
    help="Replicas of the encoders.",
)
@click.option(
    "--shards",
    type=click.IntRange(1, 64),
    envvar="JINA_SHARDS",
    default=1,
    show_default=True,
    help="Shards of the vector indexers of a query Flow.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="CROSSMODAL_KEYS",
    help="The file of API keys: ask for one.",
)
@click.option(
    "--rate", "rate_per_s", type=click.FloatRange(0), default=0.0, help="Requests a second for each key or address."
)
@click.option("--trust_proxy", multiple=True, metavar="ADDRESS", help="A proxy whose X-Forwarded-For is believed.")
@click.option("--trust_host", multiple=True, metavar="NAME", help="A name the service is asked by.  [default: any]")
@click.option(
    "--trust_origin", multiple=True, metavar="URL", help="An origin whose pages may ask, beside ours.  [default: any]"
)
@click.option(
    "--also",
    multiple=True,
    metavar="NAME=URL",
    type=OtherServiceType(),
    help="A service of another collection, which the page leads to.",
)
@click.option("--writable", is_flag=True, help="For `query_restful`: also /index, /update and /delete.")
@click.option(
    "--allow-url-fetch", "--allow_url_fetch", is_flag=True, help="Fetch pictures that a request names by URL."
)
@click.option("--threads", type=click.IntRange(0), default=0, help="Threads of an encoder.  [default: all cores]")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="Of a CLIP's arithmetic. bf16 is twice as fast on processors that have it; cosines shift by up to 0.003.",
)
@click.option("--steps", type=click.IntRange(1), help="For `train`: how many steps.")
@click.option("--set", "set_", multiple=True, metavar="NAME=VALUE", help="For `train`: a setting of the recipe.")
@click.option(
    "--through",
    type=click.Choice(["exact", "flow"]),
    default="exact",
    show_default=True,
    help="For `evaluate`: score in memory, or ask the query Flow over the collection, which must be indexed.",
)
@click.option(
    "--compare",
    multiple=True,
    metavar="FAMILY:WEIGHTS",
    help="For `evaluate`: a further model to put beside it; may be given several times.",
)
@click.option(
    "--folds",
    type=click.IntRange(2),
    help="For `evaluate`: also the mean over so many folds.  [default: 5 where there are 5,000 pictures, as COCO's]",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="For `train`, `data`: the folder to write. For `export`: the file."
)
def main(task: str, **given: Any) -> None:
    """Cross-modal search: pictures with words, captions with a picture, pictures with a picture.

    QUERY is the text or the picture of a query task; without it, queries are asked for one by one.
    """
    own = {name: given.pop(name) for name in list(given) if name not in Settings.__dataclass_fields__}
    model_source = click.get_current_context().get_parameter_source("model")
    given.update(of_environment(task, given))
    settings = Settings(**given, model_named=model_source is not ParameterSource.DEFAULT)
    prepare()
    try:
        check_outputs(task, {**own, **given})
        sys.exit(TASKS[task](settings, {**own, "task": task}))
    except CrossModalError as error:
        say(f"error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in ENVIRONMENT_ERRNOS:
            raise
        say(f"error: {f'{error.filename}: ' if error.filename else ''}{reason(error)}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        say("stopped", err=True)
        sys.exit(130)


def of_environment(task: str, given: dict[str, Any]) -> dict[str, Any]:
    """What stands for options of `-m sparse` that were not given: the model's folder and the collection's."""
    found: dict[str, Any] = {}
    model, place = os.environ.get("IMAGE_EMBEDDING_MODEL_PATH"), os.environ.get("INDEX_FILE_PATH")
    if model and given["model"] == "sparse" and task != "train" and given["weights"] is None:
        found["weights"] = model
    named = click.get_current_context().get_parameter_source("workspace")
    if place and given["model"] == "sparse" and given["collection"] is None and named is ParameterSource.DEFAULT:
        found |= {"workspace": Path(place).parent, "collection": Path(place).name}
    return found


def index(settings: Settings, own: dict[str, Any]) -> int:
    """Indexes and prints what became of every record."""
    from cli.index import run
    from cli.lifecycle import describe_index

    collection, report = run(
        settings, prune=own["prune"], confirmed=own["confirmed"], index_config=index_config_of(own)
    )
    if own["as_json"]:
        say_json(report.to_dict())
    else:
        say(_model_and_terms(collection.model), *report.lines())
        for modality, told in describe_index(collection).items():
            say(f"index: {told['vectors']} {modality} vectors, {told['kind']}: {told['why']}")
        say(f"collection: {collection.root}")
    if own["report"]:
        report.write(own["report"])
    if report.refusal:
        raise InputError(report.refusal)
    return 0 if report.anything_indexed and not (own["strict"] and report.failures) else 1


def _model_and_terms(model: Any) -> str:
    """The model of a collection, its terms, and the line that changes it for one that knows more."""
    from crossmodal.core.families import FAMILIES
    from crossmodal.encoders.catalogue import terms_of
    from crossmodal.encoders.registry import PHOTOS

    larger = f"-m {model.family} --weights {FAMILIES[model.family].larger_weights}" if model.weights == PHOTOS else ""
    further = f"; -t reindex {larger} goes further" if larger else ""
    return f"model: {model}; terms: {terms_of(model)}{further}"


def index_config_of(own: dict[str, Any]) -> Any:
    """The kind of index that was asked for, None where nothing was."""
    from crossmodal.index.config import AUTO, IndexConfig

    if own["index_kind"] is None and own["index_memory"] is None:
        return None
    return IndexConfig(own["index_kind"] or AUTO, own["index_memory"] or 0)


def query(settings: Settings, own: dict[str, Any]) -> int:
    """Answers one query, or queries typed one by one until an empty line."""
    from cli.query import asking, save_sheet

    (modality, target), asked = _what_is_asked(own)
    relevance = own["min_relevance"]
    with asking(settings, modality, target, own["metric"], own["where"], own["fusion"], relevance) as ask:
        for text in [asked] if asked is not None else _typed("picture" if modality == "image" else "text"):
            try:
                answer = ask(text)
            except InputError as error:
                if asked is not None:
                    raise
                say(f"error: {error}", err=True)
                continue
            if answer.fits is False and not own["as_json"]:
                nearest = "; these are the nearest" if answer.hits else ""
                say(f"nothing here fits{nearest}", err=own["plain"])
            if own["as_json"]:
                say_json(answer.to_dict())
            elif own["plain"]:
                say(*(f"[{hit.rank}] {hit.score:.4f}: {to_json(hit.uri)}" for hit in answer.hits))
            else:
                _print_answer(answer)
            if own["save"]:
                save_sheet(settings, answer, own["save"])
                say(f"saved {own['save']}", err=True)
    return 0


def _what_is_asked(own: dict[str, Any]) -> tuple[tuple[Modality, Modality], str | None]:
    text, image = own["query_text"], own["query_image"]
    if own["task"] in QUERIES:
        modality, target = QUERIES[own["task"]]
        named = text if modality == "text" else image
        asked = named if own["query"] is None else own["query"]
    elif (text is None) == (image is None):
        raise InputError("-t query takes one of --text TEXT and --image FILE (or use query-t2i, query-i2t, query-i2i)")
    else:
        modality, target = ("text", "image") if image is None else ("image", "text")
        asked = text if image is None else image
    if asked is not None and not asked.strip():
        raise InputError("the query is empty: give words, or a picture for query-i2t and query-i2i")
    return (modality, target), asked


def _typed(what: str) -> Any:
    """Lines typed at a prompt, until an empty one or the end of input."""
    while True:
        try:
            line = click.prompt(what, default="", show_default=False, err=True).strip()
        except click.Abort:
            return
        if not line:
            return
        yield line


def _print_answer(answer: Any) -> None:
    table = new_table(answer.query)
    captions = answer.target == "text"
    has_words = any(hit.why for hit in answer.hits)
    what = ("caption", "of") if captions else ("picture", "why" if has_words else "")
    for heading in ("rank", "score", *what, "" if answer.fits is None else "relevance"):
        table.add_column(heading, overflow="fold")
    for hit in answer.hits:
        why = ", ".join(f"{word['word']} {word['weight']:.2f}" for word in hit.why)
        shown = (hit.text, hit.filename) if captions else (hit.uri, why)
        relevance = "" if hit.relevance is None else f"{hit.relevance:.2f}"
        table.add_row(*cells((str(hit.rank), f"{hit.score:.4f}", *shown, relevance)))
    print_table(table)
    if answer.note:
        say(f"note: {answer.note}", err=True)


def query_restful(settings: Settings, own: dict[str, Any]) -> int:
    """Serves queries until it is stopped."""
    from cli.serve import serve_queries

    serve_queries(settings, lambda collection: _say_ready(settings, collection, "search"))
    return 0


def index_restful(settings: Settings, own: dict[str, Any]) -> int:
    """Serves indexing until it is stopped."""
    from cli.serve import serve_indexing

    serve_indexing(settings, lambda collection: _say_ready(settings, collection, "index"))
    return 0


def _say_ready(settings: Settings, collection: Any, verb: str) -> None:
    from serving.jina.ports import in_url, to_ask

    say(f"model: {collection.model}")
    url = f"http://{in_url(settings.host)}:{settings.port}/{verb}"
    say(f"ready: POST {url}  (gRPC on {settings.port + 1}; Ctrl-C stops)")
    if settings.writable and verb == "search":
        say("writable: POST /index, /update, /delete, and DELETE /documents/ID")
    if verb == "search":
        body = '{"top_k": 5, "mode": "search", "data": ["hello world"]}'
        if collection.model.has_lexical:  # with words that may be unknown
            body = '{"data": ["hello world"], "parameters": {"top_k": 5, "fusion": "rrf"}}'
        header = "Content-Type: application/json"
        to_try = f"http://{in_url(to_ask(settings.host))}:{settings.port}/search"
        say(f"try:   curl --request POST -d '{body}' -H '{header}' '{to_try}'")


def train(settings: Settings, own: dict[str, Any]) -> int:
    """Trains a model; on scenes without `--weights`, the small one that comes with the program."""
    if settings.model == "sparse":
        from cli.sparse_model import train as train_sparse

        folder = train_sparse(settings, own["out"], own["set_"], lambda line: say(line, err=True))
    else:
        from cli.train import run

        folder = run(settings, own["steps"], own["out"], own["set_"], lambda line: say(line, err=True))
    say(f"weights: {folder}")
    return 0


def evaluate(settings: Settings, own: dict[str, Any]) -> int:
    """Prints recall both ways, or precision by class folder, and the skills on scenes."""
    if settings.model == "sparse":
        others = {"--through": own["through"] != "exact", "--compare": own["compare"], "--folds": own["folds"]}
        others["--report"] = own["report"]
        unused = [name for name, is_given in others.items() if is_given]
        if unused:
            raise InputError(
                f"{', '.join(unused)}: not for `evaluate -m sparse`, which measures its parts by themselves"
            )
        return sparse(settings, own)
    from cli.evaluate import Options, run

    result = run(settings, Options(own["through"], own["compare"], own["folds"] or 0, own["report"]))
    if own["as_json"]:
        say_json(result)
    else:
        _print_figures(result)
    if own["report"]:
        say(f"report: {own['report']}", err=True)
    return 0


def sparse(settings: Settings, own: dict[str, Any]) -> int:
    """What is measured of a sparse model: recalls, posting lists, how its parts are best joined."""
    from cli import sparse_model as task
    from crossmodal.evaluation.lexical import recall_table

    result = {"evaluate": task.evaluate, "analyse": task.analyse, "tune": task.tune}[own["task"]](settings)
    if own["as_json"] or "rows" not in result:
        say_json(result, indent=None if own["as_json"] else 2)
    else:
        _print_table(recall_table("", result["rows"]))
    return 0


def _print_figures(result: dict[str, Any]) -> None:
    from crossmodal.evaluation.tables import tables

    say(", ".join(f"{result[name]} {name}" for name in ("images", "captions") if name in result))
    for why, n in result["left_out"].items():
        say(f"left out: {n} {why.replace('_', ' ')}")
    for direction, n in result.get("not_found", {}).items():
        if n:
            say(f"{direction}: {n} queries are not answered with their own: a miss, at a rank nobody knows")
    for figures in tables(result):
        _print_table(figures)


def _print_table(figures: Any) -> None:
    table = new_table(figures.title)
    for place, heading in enumerate(figures.headings):
        table.add_column(Text(printable(heading)), overflow="fold", justify="right" if place else "left")
    for row in figures.rows:
        table.add_row(*cells(row))
    print_table(table)


def data(settings: Settings, own: dict[str, Any]) -> int:
    """Draws scenes into a folder, in Flickr8k's layout."""
    from crossmodal.datasets.registry import N_SCENES, scenes_folder
    from crossmodal.datasets.scenes import write_scenes
    from crossmodal.scenes.world import SPLITS

    split = next((known for known in SPLITS if known == (settings.split or "test")), None)
    if split is None:
        raise InputError(f"scenes has the splits {', '.join(SPLITS)}, not {settings.split!r}")
    if own["out"] is None:
        say(str(scenes_folder(split)))
        return 0
    write_scenes(own["out"], split, settings.num_docs or N_SCENES)
    say(str(own["out"]))
    return 0


def models(settings: Settings, own: dict[str, Any]) -> int:
    """Lists weights that can be had by name."""
    from cli.models import run, table

    found, left_out = run(settings, own["query"])
    if own["as_json"]:
        say_json([entry.to_dict() for entry in found])
        return 0
    print_table(table(found))
    for family in left_out:
        say(f"and the backbones of {family}: -t models -m {family} [NAME]", err=True)
    return 0


def download(settings: Settings, own: dict[str, Any]) -> int:
    """Fetches weights ahead and says where they are."""
    from cli.download import run

    files = run(settings)
    if own["as_json"]:
        say_json([file.to_dict() for file in files])
    else:
        say(*(f"{file.sha256}  {file.path}  ({file.n_bytes:,} bytes)" for file in files))
    return 0


def keys(settings: Settings, own: dict[str, Any]) -> int:
    """Makes an API key, and shows it this once."""
    from serving.middleware import new_key, read_keys, write_keys

    if settings.keys is None:
        raise InputError("-t keys takes --keys FILE and what the key is for: python app.py -t keys --keys FILE read")
    known = read_keys(settings.keys) if settings.keys.exists() else []
    key, record = new_key(own["query"] or "read")  # type: ignore[arg-type]
    write_keys(settings.keys, [*known, record])
    say(key)
    say(f"it may {record.scope}, and is shown this once; take {record.id} out of the file to withdraw it", err=True)
    return 0


def lifecycle(settings: Settings, own: dict[str, Any]) -> int:
    """What is done to a collection that is there."""
    from cli import commands

    return commands.COMMANDS[own["task"]](settings, {**own, "index_config": index_config_of(own)})


TASKS: dict[str, Callable[[Settings, dict[str, Any]], int]] = {
    "index": index,
    "query": query,
    "query-t2i": query,
    "query-i2t": query,
    "query-i2i": query,
    "query-restful": query_restful,
    "index-restful": index_restful,
    **dict.fromkeys(
        ("collections", "delete", "verify", "compact", "rebuild", "map", "reindex", "rollback", "export", "import"),
        lifecycle,
    ),
    "calibrate": lifecycle,
    "keys": keys,
    "train": train,
    "evaluate": evaluate,
    "analyse": sparse,
    "tune": sparse,
    "data": data,
    "models": models,
    "download": download,
}

if __name__ == "__main__":
    main()
