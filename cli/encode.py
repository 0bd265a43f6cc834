"""encode: the pictures of a source as Parquet files, made in this process or on a Ray cluster."""

from __future__ import annotations

import signal
from pathlib import Path

from cli.printing import say_aside
from cli.progress import Meter
from crossmodal.bulk.encoding import PartEncoder, Work
from crossmodal.bulk.inputs import Input, read_inputs
from crossmodal.bulk.object_store import ObjectStore
from crossmodal.bulk.run import Encode, Outcome, check_origin, encode_here, origin_of_parts, run
from crossmodal.collection.transfer import Origin
from crossmodal.core.settings import Settings
from crossmodal.datasets import registry as data_sets
from crossmodal.encoders import registry as models
from crossmodal.encoders.engine_choice import choose, precision_of_new
from crossmodal.images.sources import is_object_url


def encode(
    settings: Settings, out: Path, *, part_size: int, cluster: str | None = None, s3_endpoint: str = ""
) -> tuple[Outcome, Origin]:
    """Encodes the pictures of a source into the parts of a folder, and shows the progress.

    Args:
        settings: The source, the model and the engine.
        out: The folder of the parts.
        part_size: Pictures per part, on average.
        cluster: The address of a Ray cluster; None to encode in this process.
        s3_endpoint: The URL of the object store; empty for that of AWS.

    Returns:
        The outcome, and the model and precision of the vectors.

    Raises:
        InputError: The source does not exist, or options contradict each other.
        StateError: The folder has parts of another model, or the cluster can't be used.
    """
    store = ObjectStore(s3_endpoint)
    read = read_inputs(settings.data_set, store, settings.split, settings.columns, settings.exclude)
    records = list(data_sets.limited(read, Input, settings.num_docs))
    origin = _origin(settings, out)
    work = Work(origin, settings.engine, store)
    n_pictures = sum(isinstance(record, Input) for record in records)
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Meter("pictures", n_pictures) as meter:
            outcome = run(
                records,
                out,
                _encode(work, settings.threads, cluster),
                part_size=part_size,
                metadata=settings.metadata,
                progress=meter.advance,
            )
    finally:
        signal.signal(signal.SIGTERM, previous)
    return outcome, origin


def _encode(work: Work, threads: int, cluster: str | None) -> Encode:
    if cluster is None:
        return encode_here(PartEncoder(work, threads, say=say_aside))
    from crossmodal.bulk.ray_cluster import encode_on_cluster

    return encode_on_cluster(cluster, work, threads, say_aside)


def _origin(settings: Settings, out: Path) -> Origin:
    """The model and precision of the run: those of the parts that exist, if none are named."""
    source = data_sets.canonical(settings.data_set)
    found = origin_of_parts(out)
    family, weights = settings.model, settings.weights
    if weights is None and found is not None and (found.model.family == family or not settings.model_named):
        family, weights = found.model.family, found.model.weights
    spec = models.resolve(family, weights or models.default_weights(family, source))
    if found is None:
        made_with = precision_of_new(spec, settings.engine, say_aside)
        place = f"/{source.replace('://', '/')}" if is_object_url(source) else source
        return Origin(spec, made_with, data_sets.collection_name(place))
    check_origin(out, found, spec)
    choose(spec, settings.engine, found.made_with, say_aside)  # refuses a precision that does not mix
    return found
