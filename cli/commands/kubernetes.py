"""crossmodal kubernetes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from cli.commands import Command
from cli.parameters import FOLDER, Options, option
from cli.printing import say
from crossmodal import __version__
from crossmodal.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class KubernetesOptions(Options):
    """Options of `kubernetes`."""

    out: Path | None = option("--out", type=FOLDER, help="Folder to write.")
    store: str | None = option(
        "--store",
        envvar="CROSSMODAL_STORE",
        metavar="URL",
        help="The database: postgresql://USER@HOST/DATABASE.",
    )
    collection: str = option("--collection", default="pictures", help="Name of the collection.")
    container_image: str = option(
        "--container-image", default=f"crossmodal-search:{__version__}", help="Container image, built by Dockerfile."
    )
    replicas: int = option(
        "--replicas",
        type=click.IntRange(1, 250),
        default=2,
        help="Least number of query nodes, at most a quarter of the greatest.",
    )
    pictures_claim: str = option(
        "--pictures-claim", metavar="NAME", default="pictures", help="PersistentVolumeClaim with the pictures."
    )
    password_secret: str = option(
        "--password-secret",
        metavar="NAME",
        default="crossmodal-database",
        help="Secret whose key `password` is the database user's password.",
    )


def run(options: KubernetesOptions) -> int:
    """Prints the paths of the manifests."""
    from cli.manifests import write_manifests

    if options.out is None or options.store is None:
        raise InputError("-t kubernetes takes --out FOLDER and --store postgresql://USER@HOST/DATABASE")
    paths = write_manifests(
        options.out,
        image=options.container_image,
        store=options.store,
        collection=options.collection,
        replicas=options.replicas,
        pictures=options.pictures_claim,
        secret=options.password_secret,
    )
    say(*map(str, paths))
    return 0


COMMAND = Command(
    KubernetesOptions,
    run,
    "Write Kubernetes manifests of a collection in PostgreSQL.\n\n"
    "They have query nodes with a service and an autoscaler, a job that indexes, and network policies: "
    "docs/scale-out.md.",
    (
        ("--out k8s --store postgresql://ann@db/pictures", "then: kubectl apply -f k8s"),
        ("--out k8s --container-image registry.example/search:1", "with CROSSMODAL_STORE in the environment"),
    ),
)
