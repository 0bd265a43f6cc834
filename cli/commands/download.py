"""crossmodal download."""

from __future__ import annotations

from dataclasses import dataclass

from cli.commands import Command
from cli.completion import complete_weights
from cli.options import JsonOptions
from cli.parameters import option
from cli.printing import say_result


@dataclass(frozen=True, kw_only=True)
class DownloadOptions(JsonOptions):
    """Options of `download`."""

    weights: str | None = option(
        "--weights",
        argument="WEIGHTS",
        sparse_envvar="IMAGE_EMBEDDING_MODEL_PATH",
        shell_complete=complete_weights,
        help="Name of weights of the family.",
    )
    model: str | None = option("-m", "--model", help="Model family: clip, vse or timm.  [default: clip]")


def run(options: DownloadOptions) -> int:
    """Prints the path, the size and the SHA-256 of each file."""
    from cli.download import run as download

    files = download(options.settings())
    lines = [f"{file.sha256}  {file.path}  ({file.n_bytes:,} bytes)" for file in files]
    return say_result([file.to_dict() for file in files], lines, as_json=options.as_json)


COMMAND = Command(
    DownloadOptions,
    run,
    "Download weights ahead of their first use.",
    (
        ("ViT-B-32/laion2b_s34b_b79k", "a CLIP with its tokenizer"),
        ("resnet101 -m timm", "a backbone"),
    ),
)
